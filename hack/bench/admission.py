"""Admission latency: what getting its builder, by either engine, adds to the creation of a pod without the label."""

import json
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from buildkit_operator.admission import policies
from buildkit_operator.kube.resources import Manifest
from hack.bench.figures import Figure, Reach, milliseconds, percentiles
from hack.bench.load import Request, Server
from hack.bench.rendered import BUILDERS, LABEL, pods_path, rendered_builders, runner_pod
from hack.bench.webhook import CONCURRENCY, installed
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from hack.cluster.progress import step
from tests.integration.admission.engines import Engine, Refusal

POLICIES: Final = Path(__file__).parents[2] / "deploy/kustomize/components/policies"
INJECTED: Final = "buildkit-operator.dev/injected"
STAYS_PLAIN: Final = b'"labels":{"app":"runner"}'
IS_INJECTED: Final = b'"buildkit-operator.dev/injected":"builder-0"'


@contextmanager
def _policies(control_plane: ControlPlane) -> Iterator[None]:
    """Have the admission policies in effect within the block."""
    engine = Engine("policies", control_plane)

    def outcomes() -> list[Manifest | Refusal]:
        return [engine.create(runner_pod(1, **{LABEL: builder})) for builder in ("builder-0", "no-builder")]

    def all_in_effect() -> bool:
        served, refused = outcomes()
        return (
            not isinstance(served, Refusal)
            and INJECTED in served["metadata"]["labels"]
            and isinstance(refused, Refusal)
        )

    def none_in_effect() -> bool:
        return all(not isinstance(pod, Refusal) and INJECTED not in pod["metadata"]["labels"] for pod in outcomes())

    control_plane.kubectl("apply", "--server-side", f"--kustomize={POLICIES}")
    wait_for("the policies to be in effect", all_in_effect)
    yield
    control_plane.kubectl("delete", f"--kustomize={POLICIES}")
    wait_for("the policies to be gone", none_in_effect)


@contextmanager
def _bare_policy(control_plane: ControlPlane) -> Iterator[None]:
    """Have a policy in effect within the block that does nothing but name the pod's builder on it.

    It goes by the same constraints and condition, with builders as its parameters: what it takes is the API server's.
    """
    policy, binding = (found for found in policies.manifests() if found["metadata"]["name"].endswith("-label"))
    path = f"/metadata/labels/{INJECTED.replace('/', '~1')}"
    patch = f"[JSONPatch{{op: 'add', path: '{path}', value: params.metadata.name}}]"
    policy["spec"]["mutations"] = [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}]
    policy["spec"]["variables"] = []
    manifests = yaml.safe_dump_all([policy, binding])

    def in_effect() -> bool:
        try:
            created = control_plane.request("POST", pods_path(1), runner_pod(1, **{LABEL: "builder-0"}))
        except urllib.error.HTTPError:  # before the API server has read its first builder
            return False
        return INJECTED in created["metadata"]["labels"]

    control_plane.kubectl("apply", "--server-side", "--filename=-", text=manifests)
    wait_for("the bare policy to be in effect", in_effect)
    yield
    control_plane.kubectl("delete", "--filename=-", text=manifests)
    wait_for("the bare policy to be gone", lambda: not in_effect())


@dataclass(frozen=True)
class _Engine:
    name: str
    installed: Callable[[ControlPlane], AbstractContextManager[object]]
    reaches: Mapping[int, Reach]
    """Of p50 with one pod at a time, by the number of builders in the namespace."""


ENGINES: Final = (
    _Engine("bare policy", _bare_policy, {}),
    _Engine("policies", _policies, {1: Reach(1.0, " ms"), 20: Reach(3.0, " ms")}),
    _Engine("webhook", installed, dict.fromkeys(BUILDERS, Reach(1.5, " ms"))),
)


def measure() -> list[Figure]:
    """Measure one engine after the other on one API server without pods, and that server with neither."""
    with rendered_builders() as control_plane:
        server = Server.of(control_plane)
        with step("Creating pods without an engine"):
            figures = [_without_engine(server, concurrency) for concurrency in CONCURRENCY]
        for engine in ENGINES:
            with engine.installed(control_plane):
                for builders in BUILDERS:
                    with step(f"Creating pods with the {engine.name} beside {builders} builders"):
                        figures += [_with_engine(server, engine, builders, c) for c in CONCURRENCY]
        return figures


def _without_engine(server: Server, concurrency: int) -> Figure:
    (taken,) = server.ask(_creation(1, STAYS_PLAIN), concurrency=concurrency)
    return Figure(f"pod created, nothing installed, {concurrency} at once", milliseconds(taken))


def _with_engine(server: Server, engine: _Engine, builders: int, concurrency: int) -> Figure:
    """Create pods with and without the label in turn."""
    plain, labelled = server.ask(
        _creation(builders, STAYS_PLAIN),
        _creation(builders, IS_INJECTED, **{LABEL: "builder-0"}),
        concurrency=concurrency,
    )
    p50, p99 = ((b - a) * 1000 for a, b in zip(percentiles(plain), percentiles(labelled), strict=True))
    return Figure(
        f"{engine.name}: pod created, 1 of {builders} builders, {concurrency} at once",
        f"p50 {p50:+.2f} ms, p99 {p99:+.2f} ms over {milliseconds(plain)}",
        p50,
        engine.reaches.get(builders) if concurrency == 1 else None,
    )


def _creation(builders: int, expected: bytes, **labels: str) -> Request:
    return Request(pods_path(builders), json.dumps(runner_pod(builders, **labels)).encode(), expected)
