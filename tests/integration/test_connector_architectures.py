"""Daemons of several architectures behind one connector: a real HAProxy, real daemons, and a real buildx."""

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.api.architectures import Architecture
from buildkit_operator.desired import paths
from buildkit_operator.desired.connector import Upstream, config_map
from buildkit_operator.desired.platform import Platform
from hack.cluster import artifacts
from hack.cluster.kubectl import wait_for
from hack.cluster.processes import Process, free_port
from tests.integration.builders.daemon import HOST, start_daemon
from tests.integration.proxied import program, refusal
from tests.unit.make import make_builder

LISTED: Final = ["arm64", "amd64"]
"""All daemons run on this machine, whichever that is: a daemon builds for what it is told."""


@dataclass(frozen=True)
class Daemon:
    """A daemon that was told its platform."""

    port: int

    def buildctl(self, *arguments: str) -> str:
        return buildctl(f"tcp://{HOST}:{self.port}", *arguments)


def answers(daemon: Daemon) -> bool:
    return bool(daemon.buildctl("debug", "workers"))


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Daemon]]:
    """Run a daemon of each architecture."""
    with ExitStack() as running:
        made = {}
        for name in LISTED:
            folder, daemon = tmp_path_factory.mktemp(name), Daemon(free_port())
            told = f"--oci-worker-platform={Architecture(name).platform}"
            process = start_daemon(folder, f"--addr=tcp://{HOST}:{daemon.port}", told)
            running.callback(process.kill)
            process.wait_until(partial(answers, daemon), 60)
            made[name] = daemon
        yield made


Connect = Callable[..., None]


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Return what starts a connector on a node of an architecture, to daemons at these ports, and describes it."""
    running: list[subprocess.Popen[bytes]] = []

    def connecting(ports: dict[str, int], arch: str = "") -> None:
        builder = make_builder(shared={"tls": {"mode": "Disabled"}, "architectures": LISTED})
        data = config_map(builder, Upstream.of(builder, Platform()))["data"]
        for name, text in data.items():
            (tmp_path / name).write_text(text)
        (tmp_path / "haproxy.cfg").write_text(here(data["haproxy.cfg"], ports, tmp_path))
        address = f"unix://{tmp_path}/buildkitd.sock"
        told = {"BUILDKIT_HOST": address, "ARCH": arch, "CACHE_KEY": "a", "BUILDX_CONTAINERS": "job"}
        environment = os.environ | told
        subprocess.run(["/bin/sh", tmp_path / "buildx.sh"], env=environment, check=True)
        with (tmp_path / "log").open("a") as log:
            command = [*program(), "-db", "-f", str(tmp_path / "haproxy.cfg")]
            running.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        for socket in ("buildkitd", *LISTED):
            wait_for("the socket is there", (tmp_path / f"{socket}.sock").exists, 10)

    yield connecting
    for process in running:
        process.kill()
        process.wait()


def here(text: str, ports: dict[str, int], folder: Path) -> str:
    """Return a configuration with what is different here: addresses, folders, and how long a build waits."""
    for architecture, port in ports.items():
        head, backend, rest = text.partition(f"\nbackend {architecture}\n")
        address = f"{HOST}:{port}"
        rest = re.sub(
            r"server-template daemon \d+ \S+(.*) resolvers daemons init-addr none",
            rf"server one {address}\1",
            rest,
            count=1,
        )
        rest = re.sub(r"(server service) \S+", rf"\1 {address}", rest, count=1)
        text = head + backend + rest
    for directory in (paths.CONFIG_DIRECTORY, paths.SOCKET_DIRECTORY):
        text = text.replace(directory, str(folder))
    return text.replace("UNREACHABLE_SECONDS 300", "UNREACHABLE_SECONDS 4")


def buildctl(address: str, *arguments: str) -> str:
    """Return what buildctl prints, nothing when it fails."""
    command = artifacts.ensure("buildkit")["buildkit"] / "buildctl"
    done = subprocess.run([command, f"--addr={address}", *arguments], capture_output=True, text=True, check=False)
    return done.stdout


def worker(address: str) -> str:
    """Return the identity of the daemon that an address leads to."""
    return buildctl(address, "debug", "workers", "--format={{(index . 0).ID}}").strip()


def ports(daemons: dict[str, Daemon]) -> dict[str, int]:
    return {name: daemon.port for name, daemon in daemons.items()}


@pytest.mark.parametrize(
    ("node", "met"), [("amd64", "amd64"), ("arm64", "arm64"), ("s390x", "arm64"), ("amd", "arm64"), ("", "arm64")]
)
def test_a_job_builds_on_the_architecture_of_its_node_or_else_on_the_first(
    connect: Connect, daemons: dict[str, Daemon], tmp_path: Path, node: str, met: str
) -> None:
    connect(ports(daemons), node)

    assert worker(f"unix://{tmp_path}/buildkitd.sock") == worker(f"tcp://{HOST}:{daemons[met].port}")
    for name, daemon in daemons.items():
        assert worker(f"unix://{tmp_path}/{name}.sock") == worker(f"tcp://{HOST}:{daemon.port}")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Serve an empty registry and return its host; one of this name is spoken to without TLS by everybody."""
    host = f"localhost:{free_port()}"
    process = Process(
        artifacts.ensure("crane")["crane"] / "crane",
        ["registry", "serve", f"--address={host}"],
        tmp_path / "registry.log",
    )
    try:
        process.wait_until(lambda: crane("catalog", host) is not None, 20)
        yield host
    finally:
        process.kill()


def crane(*arguments: str) -> str | None:
    """Return what crane prints, None when it fails."""
    command = artifacts.ensure("crane")["crane"] / "crane"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def built(daemons: dict[str, Daemon]) -> dict[str, Counter[str]]:
    """Return for each daemon how often it was asked for which platform, an empty one where a build said none."""
    asked = {}
    for name, daemon in daemons.items():
        lines = daemon.buildctl("debug", "histories", "--format={{json .Record.FrontendAttrs}}").splitlines()
        asked[name] = Counter(attributes.get("platform", "") for attributes in map(json.loads, lines))
    return asked


def buildx(folder: Path, *arguments: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "BUILDX_BUILDER": "buildkit",
        "BUILDX_CONFIG": str(folder / "buildx" / "job"),
    }
    (folder / "context").mkdir(exist_ok=True)
    (folder / "context" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    command = [str(artifacts.ensure("buildx")["buildx"] / "buildx"), *arguments, str(folder / "context")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("node", ["amd64", "arm64"])
def test_buildx_has_each_platform_built_by_the_daemon_of_its_architecture_with_nothing_set_up(
    connect: Connect, daemons: dict[str, Daemon], registry: str, tmp_path: Path, node: str
) -> None:
    connect(ports(daemons), node)
    before = built(daemons)
    image = f"{registry}/org/image:latest"

    buildx(tmp_path, "build", "--platform=linux/amd64,linux/arm64", f"--tag={image}", "--push")
    buildx(tmp_path, "build", f"--tag={image}-own", "--push")

    index = json.loads(crane("manifest", image) or "{}")
    assert {each["platform"]["architecture"] for each in index["manifests"]} - {"unknown"} == {"amd64", "arm64"}
    news = {name: asked - before[name] for name, asked in built(daemons).items()}
    assert news == {name: Counter([f"linux/{name}", *([""] if name == node else [])]) for name in LISTED}
    assert json.loads(crane("config", f"{image}-own") or "{}")["architecture"] == node


def test_a_build_waits_for_daemons_of_its_own_architecture_alone(
    connect: Connect, daemons: dict[str, Daemon], tmp_path: Path
) -> None:
    connect(ports(daemons) | {"arm64": free_port()}, "amd64")

    said = refusal(f"unix://{tmp_path}/arm64.sock", tmp_path)

    assert "no connection to demo-buildkitd-arm64.ci.svc:1234 could be made for 4 seconds" in said
    assert worker(f"unix://{tmp_path}/amd64.sock")
    assert worker(f"unix://{tmp_path}/buildkitd.sock")
