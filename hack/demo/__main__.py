"""The first ten minutes with the operator, as commands that people could type: a cluster, both modes, real builds.

Leaves the cluster up, so that everything can be looked at; run again, it starts from what is there.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from buildkit_operator.kube.manifests import condition
from hack.cluster import current, installation, pins
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from hack.cluster.problems import ClusterError
from hack.cluster.progress import say, step
from hack.cluster.recipes import RecipeError
from hack.cluster.toolchain import MissingError

HERE: Final = Path(__file__).parent
TOP: Final = HERE.parents[1]
NAMESPACE: Final = "demo"
REMOVAL_FROM_USERS: Final = (
    f"kubectl delete namespace {NAMESPACE} && kubectl delete -k deploy/kustomize/overlays/policies && "
    "CLUSTER=current make cluster-down"
)
TAGS: Final = ("org/example-image", "org/sidecar-image", "buildkit-operator")


def main() -> int:
    """Show it all, and say how to go on; what went wrong is a sentence on standard error and the status 1."""
    try:
        demonstrate()
    except (ClusterError, RecipeError, MissingError, KubectlError, BuildError, TimeoutError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def demonstrate() -> None:
    """Show one command after the other. Raises what the cluster, kubectl or a build have to say."""
    kubectl = installation.install()
    team = kubectl.create_namespace(NAMESPACE)
    _provide_source(team)
    again = "The same build again: its steps come from the cache"
    timings = {
        "shared builder applied → ready": _make_builder(team, "demo", "builder.yaml"),
        "first build, two tags pushed": _build(team, "build", "The first build: every step runs"),
        "same build again": _build(team, "build", again),
        "the operator's own image": _build_operator_image(team),
        "sidecar builder applied → ready": _make_builder(team, "sidecar", "sidecar.yaml"),
        "docker build with a sidecar": _build(
            team, "sidecar-build", "docker build, with a daemon in the job's own pod"
        ),
        "its builder switched to Shared → ready": _switch(team, "sidecar"),
        "the same job, through a connector": _build(
            team, "sidecar-build", "The very same Job, now through a connector to a shared daemon"
        ),
        "the same job again": _build(team, "sidecar-build", again),
    }
    _show(team, timings)


def _provide_source(team: Kubectl) -> None:
    files = [f"--from-file={file}" for file in sorted((HERE / "example").iterdir()) if file.is_file()]
    source = team("create", "configmap", "example", *files, "--dry-run=client", "--output=yaml")
    team("apply", "--server-side", "--filename=-", text=source)


def _make_builder(team: Kubectl, name: str, file: str) -> float:
    team("delete", "bkb", name, "--ignore-not-found", "--wait")
    with timed(f"Making the builder {name}", f"kubectl apply -f hack/demo/{file}") as seconds:
        team("apply", "--server-side", f"--filename={HERE / file}")
        team("wait", "--for=condition=Ready", f"bkb/{name}", "--timeout=120s", timeout=130)
    return seconds()


def _switch(team: Kubectl, name: str) -> float:
    """Have a builder's jobs share a daemon from now on; nothing of a job changes."""
    patch = '--patch={"spec":{"mode":"Shared"}}'
    with timed(
        f"Switching the builder {name} to mode Shared",
        f"""kubectl patch bkb {name} --type=merge -p '{{"spec":{{"mode":"Shared"}}}}'""",
    ) as seconds:
        team("patch", "bkb", name, "--type=merge", patch)
        wait_for("the builder has switched", lambda: _is_ready(team, name), 120)
    return seconds()


def _is_ready(team: Kubectl, name: str) -> bool:
    """Tell whether a builder is ready for the newest spec."""
    builder = team.get("bkb", name)
    ready = condition(builder, "Ready")
    return ready.get("status") == "True" and ready["observedGeneration"] == builder["metadata"]["generation"]


def _build(team: Kubectl, job: str, title: str) -> float:
    team("delete", "job", job, "--ignore-not-found", "--wait")
    with timed(title, f"kubectl apply -f hack/demo/{job}.yaml") as seconds:
        team("apply", "--server-side", f"--filename={HERE / job}.yaml")
        wait_for("the build has ended", lambda: _ended(team, job), 300)
    log = team("logs", f"job/{job}", "--container=build")
    _print_steps(log)
    if _ended(team, job) == "failed":
        raise BuildError(f"The build failed:\n{log}")
    return seconds()


def _build_operator_image(team: Kubectl) -> float:
    """Build from this machine: through a port-forward, with the certificates of the connection Secret."""
    with (
        installation.connection_files(team, "demo-connection") as tls,
        team.port_forward("service/demo-buildkitd", 1234) as port,
        timed(
            "The operator's own image, built from this machine", f"buildctl --addr tcp://localhost:{port} build …"
        ) as seconds,
    ):
        command = [
            str(team.program.with_name("buildctl")),
            f"--addr=tcp://localhost:{port}",
            f"--tlsdir={tls}",
            "build",
            "--frontend=dockerfile.v0",
            f"--local=context={TOP}",
            f"--local=dockerfile={TOP / 'deploy'}",
            f"--opt=build-arg:BASE={pins.PYTHON_IMAGE}",
            f"--output=type=image,name={installation.REGISTRY}/buildkit-operator:demo,push=true",
        ]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise BuildError(f"The operator's image could not be built:\n{built.stderr[-3000:]}")
    return seconds()


def _ended(team: Kubectl, job: str) -> str | None:
    status = team.get("job", job)["status"]
    return "succeeded" if status.get("succeeded") else "failed" if status.get("failed") else None


def _print_steps(log: str) -> None:
    """Print the Dockerfile's steps, those that were CACHED, and what was pushed, without the lines between."""
    shown = (r"#\d+ \[(?!internal)", r"#\d+ CACHED$", r"#\d+ pushing manifest .* done$")
    lines = [line for line in log.splitlines() if any(re.match(pattern, line) for pattern in shown)]
    for line in dict.fromkeys(lines):
        print(f"    {line.partition('@sha256')[0]}", flush=True)


def _show(team: Kubectl, timings: dict[str, float]) -> None:
    print(f"\n$ kubectl get bkb -n {NAMESPACE} -o wide")
    print(team("get", "bkb", "--output=wide"))
    print("Tags in the registry:")
    for repository in TAGS:
        print(f"  {repository}: {', '.join(installation.tags(team, repository))}")
    print("\nTimings:")
    for what, seconds in timings.items():
        print(f"  {seconds:5.1f} s  {what}")
    print(
        f"""
The cluster stays up. Look around:
  export KUBECONFIG={team.kubeconfig} PATH={team.program.parent}:$PATH
  kubectl describe bkb demo -n {NAMESPACE}
  kubectl get pods -n {NAMESPACE} -l buildkit-operator.dev/injected=sidecar
  kubectl explain bkb.spec
  kubectl logs -n buildkit-operator -l app.kubernetes.io/name=buildkit-operator --tail=-1
Remove it:
  {REMOVAL_FROM_USERS if current.chosen() else "make cluster-down"}
"""
    )


@contextmanager
def timed(title: str, command: str) -> Iterator["Clock"]:
    """Show what is being done, with the command that does it, and give a clock that stops at the end of the block."""
    say(f"$ {command}")
    clock = Clock()
    with step(title):
        yield clock
        clock.stop()


class BuildError(Exception):
    """A build failed; the message is its log."""


class Clock:
    """Seconds since it was made, until it was stopped."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stopped: float | None = None

    def stop(self) -> None:
        self._stopped = time.monotonic()

    def __call__(self) -> float:
        return (self._stopped or time.monotonic()) - self._started


if __name__ == "__main__":
    sys.exit(main())
