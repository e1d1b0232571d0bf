"""The test cluster: brought up, found, and taken down so that nothing of it remains."""

import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hack.cluster import (
    artifacts,
    cache,
    current,
    dind,
    engine,
    host,
    images,
    kind,
    layers,
    node,
    pins,
    progress,
    ready,
    sandbox,
    state,
    tools,
)
from hack.cluster.docker import Docker, DockerError
from hack.cluster.problems import ClusterError
from hack.cluster.state import State


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up: what a client needs, and the programs to look around with."""

    kubeconfig: Path
    bin: Path
    # Of a kind cluster: the engine that runs it, whether that is private, and the node's container.
    docker: Docker | None = None
    private: bool = False
    node: str = ""

    def load(self, *names: str) -> None:
        """Bring images of the Docker engine into the cluster; the operator's is built from this checkout first.

        Raises ClusterError, also where the cluster is the user's: it can only pull.
        """
        if self.docker is None:
            raise ClusterError("The cluster of a kubeconfig pulls its images by itself: push them to where it can.")
        for name in names:
            if name == pins.OPERATOR_IMAGE:
                images.build_operator(self.docker, private=self.private)
            images.load(self.docker, self.node, name)

    def load_dind(self) -> None:
        """Bring Docker-in-Docker's image into the cluster; the user's own pulls it by itself. Raises ClusterError."""
        if self.docker is not None:
            dind.load(self.docker, self.node, private=self.private)


def up() -> Cluster:
    """Return the chosen cluster, brought up first where it is not.

    What is left of an earlier try is cleared first, and what a failing or interrupted try has begun is cleared again.
    Raises ClusterError, RecipeError or toolchain.MissingError.
    """
    name = state.name()
    with cache.lock(f"cluster-{name}"):
        if current.chosen():
            current.up(ready.REGISTRY)
            return _cluster_of_user()
        found = state.load(name)
        if found is not None and found.complete and _alive(found):
            return _complete(found)
        if found is not None:
            with progress.step("Clearing what is left of an earlier cluster"):
                _clear(found)
        with _cleared_on_failure(name):
            return _complete(_begin(name))


def down() -> bool:
    """Take the chosen cluster down; tell whether there was one. Raises ClusterError when something would remain."""
    name = state.name()
    with cache.lock(f"cluster-{name}"):
        if current.chosen():
            return current.down()
        found = state.load(name)
        if found is None:
            return False
        with progress.step(f"Removing the cluster {name}", f"Removed the cluster {name}"):
            _clear(found)
        return True


def find() -> Cluster | None:
    """Return the chosen cluster if it is up."""
    name = state.name()
    if current.chosen():
        return _cluster_of_user() if current.kubeconfig().exists() else None
    found = state.load(name)
    return _cluster(found) if found is not None and found.complete and _alive(found) else None


def serving(server: str) -> Cluster | None:
    """Return the cluster of ours whose API server has this URL, of whichever name and checkout."""
    for folder in sorted(state.root().glob("*")):
        found = state.load(folder.name)
        if found is not None and found.complete and f"server: {server}\n" in found.kubeconfig.read_text():
            return _cluster(found)
    return None


def _begin(name: str) -> State:
    """Make the cluster, up to where its API server answers."""
    machine, docker = engine.find()
    if engine.use_private(machine) or docker is None:
        if machine.pull_problem:
            progress.say("The Docker engine here cannot pull images, so the cluster gets one of its own beside it.")
        return _begin_privately(name)
    made = State(name)
    made.save()
    tools.write(name, docker=docker)
    configuration = kind.configuration(private=False, port=api_port())
    kind.create(docker, name, kind.UPSTREAM_IMAGE, configuration, made.kubeconfig)
    return made


def _begin_privately(name: str) -> State:
    port = api_port()
    _make_images()
    made = sandbox.start(name)
    docker = _docker(made)
    node.load(docker)
    tools.write(name, docker=docker)
    configuration = kind.configuration(
        private=True,
        port=port,
        may_lower_oom_score=sandbox.runtime() == "runc",
        cgroup_v1=host.has_cgroup_v1(),
    )
    kind.create(docker, name, kind.LOCAL_IMAGE, configuration, made.kubeconfig)
    sandbox.forward(made, port)
    text = made.kubeconfig.read_text()
    made.kubeconfig.write_text(text.replace(f"https://{sandbox.GUEST}:", "https://127.0.0.1:"))
    return made


def _make_images() -> None:
    """Make what the private engine and its cluster consist of, independent parts side by side."""
    pool = ThreadPoolExecutor()
    try:
        programs = pool.submit(artifacts.ensure, *tools.PROGRAMS)
        # Everything else is made on top of it.
        pool.submit(layers.base).result()
        for parts in ((images.local_archive, node.kubeadm_archive), (sandbox.tree, node.local_archive)):
            for part in [pool.submit(make) for make in parts]:
                part.result()
        programs.result()
    finally:
        # Not to wait: on Ctrl-C, whoever waits for these builds has gone.
        pool.shutdown(wait=False, cancel_futures=True)


def _complete(made: State) -> Cluster:
    """Bring in the images, wait for everything, and lay out what people need."""
    tools.write(made.name, made.kubeconfig.read_text(), _docker(made))
    images.load_published(_docker(made), kind.node(made.name), private=made.private)
    ready.wait(made.kubeconfig)
    if not made.complete:
        replace(made, complete=True).save()
    return _cluster(made)


@contextmanager
def _cleared_on_failure(name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if (half := state.load(name)) is not None:
            with progress.step("Clearing what has been begun"):
                _clear(half)
        raise


def _clear(found: State) -> None:
    if found.private:
        if found.supervisor is not None and found.supervisor.alive():
            # Otherwise the engine gives the node's systemd ten seconds to stop by itself. One that does not answer yet
            # has no node.
            docker = _docker(found)
            with suppress(DockerError):
                if containers := docker("ps", "--all", "--quiet").split():
                    docker("rm", "--force", "--volumes", *containers)
        sandbox.stop(found)
    else:
        kind.delete(_docker(found), found.name)
    tools.remove(found.name)
    found.forget()


def _alive(found: State) -> bool:
    if found.private and (found.supervisor is None or not found.supervisor.alive()):
        return False
    return ready.answers(found.kubeconfig)


def _docker(made: State) -> Docker:
    if made.private:
        return Docker(sandbox.client(), sandbox.docker_host(made))
    return Docker([shutil.which("docker") or "docker"])


def _cluster(made: State) -> Cluster:
    own = tools.folder(made.name)
    return Cluster(own / "kubeconfig", own / "bin", _docker(made), made.private, kind.node(made.name))


def _cluster_of_user() -> Cluster:
    return Cluster(current.kubeconfig(), tools.folder(current.NAME) / "bin")


def api_port() -> int:
    """Return the loopback port for the API server: $CLUSTER_PORT, or one that is free."""
    chosen = os.environ.get("CLUSTER_PORT", "0")
    if not chosen.isdigit() or int(chosen) > 65535:
        raise ClusterError(f'CLUSTER_PORT="{chosen}" must be a TCP port.')
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", int(chosen)))
        except OSError as problem:
            raise ClusterError(f"Port {chosen} is taken by {host.port_holder(int(chosen))}.") from problem
        port: int = listener.getsockname()[1]
        return port
