"""Faults between operator and API server, while builders are being made: what is made is the same in the end."""

import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import apply_policies, make_administrator
from tests.integration.builders.everything import Everything
from tests.integration.conftest import CRDS
from tests.integration.engine.proxy import FaultProxy
from tests.support import faults

SPECS: Final[tuple[Manifest, ...]] = (
    {},
    {"mode": "Sidecar"},
    {"shared": {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}}},
    {"cache": {"persistentVolumeClaim": {}, "size": "1Gi"}},
)
ACCOUNT: Final = "operator"
DEFAULT: Final = "/api/v1/namespaces/default"
EDITED: Final = "example.com/other:1"
AGAIN_SECONDS: Final = 240
"""Until all is well after a fault: attempts are a minute apart after a long one, and a silent watch lasts as long."""


@dataclass
class Disturbed:
    """An operator that reaches its API server through a proxy, one process from the first fault to the last."""

    everything: Everything
    proxy: FaultProxy
    operator: BuilderOperator
    token: "Token"
    """Its own."""
    undisturbed: dict[str, Manifest]
    """What it has made of as many builders without a fault."""


@dataclass
class Token:
    """A token of an administrator's ServiceAccount, in a kubeconfig that leads to the proxy."""

    proxy: FaultProxy
    control_plane: ControlPlane
    kubeconfig: Path
    number: int = 0
    """It is valid for as long as there is the Secret of this number."""
    value: str = field(default="", repr=False)

    def issue(self) -> None:
        self.number += 1
        bound = {"apiVersion": "v1", "kind": "Secret", "name": f"{ACCOUNT}-{self.number}"}
        self.control_plane.request("POST", f"{DEFAULT}/secrets", {"metadata": {"name": bound["name"]}})
        asked = {"spec": {"boundObjectRef": bound}}
        answer = self.control_plane.request("POST", f"{DEFAULT}/serviceaccounts/{ACCOUNT}/token", asked)
        self.value = answer["status"]["token"]
        new = self.proxy.write_kubeconfig(self.kubeconfig.with_suffix(".new"), self.value)
        new.rename(self.kubeconfig)

    def revoke(self) -> None:
        self.control_plane.request("DELETE", f"{DEFAULT}/secrets/{ACCOUNT}-{self.number}")

    def is_refused(self) -> bool:
        try:
            self.control_plane.request("GET", DEFAULT, token=self.value)
        except urllib.error.HTTPError as refused:
            return refused.code == HTTPStatus.UNAUTHORIZED
        return False


@contextmanager
def killed_api_server(disturbed: Disturbed) -> Iterator[None]:
    disturbed.everything.control_plane.kill_api_server()
    disturbed.everything.control_plane.start_api_server()
    yield


@contextmanager
def compacted(disturbed: Disturbed) -> Iterator[None]:
    """Compact and defragment etcd each second, with all watches cut after it: what they go on from is gone."""
    is_over = threading.Event()

    def compact() -> None:
        while not is_over.wait(1):
            disturbed.everything.control_plane.compact()
            disturbed.proxy.cut_watches()

    with ThreadPoolExecutor(1) as pool:
        compacting = pool.submit(compact)
        try:
            yield
        finally:
            is_over.set()
        compacting.result()


@contextmanager
def rotated_token(disturbed: Disturbed) -> Iterator[None]:
    """Revoke the operator's token (401), and let it find the next one only in the end."""
    control_plane = disturbed.everything.control_plane
    disturbed.token.revoke()
    wait_for("the API server forgets that it was valid", disturbed.token.is_refused)
    mark = control_plane.mark()
    disturbed.proxy.cut_watches()
    try:
        yield
        assert HTTPStatus.UNAUTHORIZED in {request.code for request in control_plane.audit(mark)}
    finally:
        disturbed.token.issue()


def answering(status: HTTPStatus, disturbed: Disturbed) -> AbstractContextManager[None]:
    return disturbed.proxy.answering(status)


Fault = Callable[[Disturbed], AbstractContextManager[None]]

SHORT: Final[dict[str, Fault]] = {
    "watches-cut": lambda disturbed: disturbed.proxy.cutting(),
    "gone": lambda disturbed: disturbed.proxy.forgetting(),
}
LONG: Final[dict[str, Fault]] = {
    **SHORT,
    "hanging": lambda disturbed: disturbed.proxy.hanging(),
    "slow": lambda disturbed: disturbed.proxy.slow(),
    "killed": killed_api_server,
    "lost": lambda disturbed: disturbed.proxy.losing(),
    "refused": lambda disturbed: disturbed.proxy.away(),
    "compacted": compacted,
    "token-rotated": rotated_token,
    "clock-ahead": lambda disturbed: disturbed.proxy.telling_time(timedelta(hours=1)),
    "clock-behind": lambda disturbed: disturbed.proxy.telling_time(-timedelta(hours=1)),
    **{
        f"answered-{status:d}": partial(answering, status)
        for status in (
            HTTPStatus.INTERNAL_SERVER_ERROR,
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
        )
    },
}
FAULTS: Final = LONG if faults.ALL else SHORT


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disturbed]:
    folder = tmp_path_factory.mktemp("faults")
    with ControlPlane() as control_plane, FaultProxy(control_plane) as proxy:
        control_plane.apply_crds(CRDS)
        apply_policies(control_plane)
        everything = Everything(control_plane)
        make_administrator(control_plane, ACCOUNT)
        token = Token(proxy, control_plane, folder / "kubeconfig")
        token.issue()
        operator = BuilderOperator(token.kubeconfig, folder / "log")
        try:
            operator.wait_ready()
            namespace = everything.create_namespace("undisturbed")
            begin(everything, namespace)
            disturb(namespace)
            everything.wait_ready(AGAIN_SECONDS)
            everything.wait_at_rest()
            (made,) = everything.snapshot(("undisturbed",))
            yield Disturbed(everything, proxy, operator, token, made)
        finally:
            operator.kill()


def names(half: int) -> list[str]:
    """Return the names of those builders that are there before a fault, or are made in it."""
    return [f"demo-{number:03}" for number in range(half, faults.BUILDERS, 2)]


def begin(everything: Everything, namespace: Builders) -> None:
    """Make half of the builders, and begin with the other half."""
    create(namespace, names(0))
    everything.wait_ready(AGAIN_SECONDS)
    create(namespace, names(1))


def create(namespace: Builders, made: list[str]) -> None:
    for name in made:
        namespace.create(name, **SPECS[int(name[-3:]) // 2 % len(SPECS)])


def disturb(namespace: Builders) -> None:
    """Change and delete some of what has been made."""
    for name in names(0):
        namespace.edit(name, image=EDITED)
    for name in names(0)[:: len(SPECS)]:
        namespace.delete("services", f"{name}-buildkitd")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_made_is_the_same_after_a_fault(disturbed: Disturbed, fault: str) -> None:
    everything, operator = disturbed.everything, disturbed.operator
    namespace = everything.create_namespace(f"during-{fault}")
    # What earlier faults have left stays with the operator; looking at all of it would take longer each time.
    everything.namespace = namespace.namespace
    memory = operator.memory()

    begin(everything, namespace)
    with FAULTS[fault](disturbed):
        disturb(namespace)
        # That it lasts is the point, and nothing tells when it has been long enough.
        time.sleep(faults.SECONDS)
        assert operator.running
        assert operator.get("/livez")[0] == 200
    ended = time.monotonic()

    with suppress(TimeoutError):  # what is not is of interest
        everything.wait("all is as without it", lambda: differing(disturbed, namespace) == {}, AGAIN_SECONDS)
    seconds = time.monotonic() - ended
    everything.wait_at_rest()
    assert differing(disturbed, namespace) == {}
    assert operator.running
    print(
        f"\n{fault} for {faults.SECONDS:g} s, {faults.BUILDERS} builders: all made {seconds:.1f} s after its end; "
        f"memory {memory / 1024:.0f} → {operator.memory() / 1024:.0f} MiB"
    )


def differing(disturbed: Disturbed, namespace: Builders) -> dict[str, tuple[Manifest | None, Manifest | None]]:
    """Return what is not as it is without a fault, with what it should be."""
    wanted = disturbed.undisturbed
    (made,) = disturbed.everything.snapshot((namespace.namespace,))
    return {
        key: (made.get(key), wanted.get(key)) for key in made.keys() | wanted.keys() if made.get(key) != wanted.get(key)
    }
