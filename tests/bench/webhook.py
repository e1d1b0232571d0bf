"""How fast the webhook answers by itself, and what it adds to creating a pod."""

import asyncio
import json
import selectors
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from urllib.parse import urlencode

from buildkit_operator.kube.auth import connect
from buildkit_operator.kube.client import Client
from tests.api.webhook.process import WebhookProcess
from tests.api.webhook.world import NAME, NAMESPACE, Installation, prepare
from tests.bench.api_server import CRDS, running
from tests.bench.figures import Figure
from tests.cluster.controlplane import ControlPlane
from tests.cluster.progress import step
from tests.kubectl import wait_for

Manifest = dict[str, Any]

API: Final = "/apis/buildkit-operator.dev/v1alpha1/namespaces/{namespace}/buildkitbuilders"
LABEL: Final = "buildkit-operator.dev/builder"
BUILDERS: Final = (1, 20, 100)
"""In namespaces of their own."""
CONCURRENCY: Final = (1, 16)
SECONDS: Final = 5.0
CREATES: Final = 600
"""Pods of each of the two sorts."""


def measure() -> list[Figure]:
    """Measure one webhook process on an API server without pods, with the status that the operator writes."""
    with installed() as installation:
        (process,) = installation.processes
        with step("Asking the webhook"):
            figures = [_reviews(installation, process, concurrency) for concurrency in CONCURRENCY]
        for builders in BUILDERS:
            with step(f"Creating pods beside {builders} builders"):
                figures += [_creates(installation.control_plane, f"bench-{builders}", c) for c in CONCURRENCY]
        return [
            *figures,
            Figure("webhook: resident memory after that", f"{process.memory() / 1024:.0f} MiB", "≤ 60 MiB"),
        ]


@contextmanager
def installed() -> Iterator[Installation]:
    """Have an API server with builders and a webhook that serves it within the block."""
    with ControlPlane() as control_plane, tempfile.TemporaryDirectory() as folder:
        control_plane.apply_crds(CRDS)
        prepare(control_plane)
        with step("Rendering builders"), running(control_plane):
            for builders in BUILDERS:
                _create_builders(control_plane, f"bench-{builders}", builders)
        installation = Installation(control_plane, Path(folder))
        try:
            installation.install(log_level="warning")
            yield installation
        finally:
            installation.stop()


def _create_builders(control_plane: ControlPlane, namespace: str, builders: int) -> None:
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    for number in range(builders):
        builder = {
            "apiVersion": "buildkit-operator.dev/v1alpha1",
            "kind": "BuildKitBuilder",
            "metadata": {"name": f"builder-{number}"},
            "spec": {"mode": "Sidecar"},
        }
        control_plane.request("POST", API.format(namespace=namespace), builder)

    def all_are_rendered() -> bool:
        items = control_plane.request("GET", API.format(namespace=namespace))["items"]
        return all("injection" in item.get("status", {}) for item in items)

    wait_for("all builders to be rendered", all_are_rendered)


# The webhook by itself


def _reviews(installation: Installation, process: WebhookProcess, concurrency: int) -> Figure:
    """Ask over so many connections that are kept open, each with one question at a time."""
    body = json.dumps(_review(installation.control_plane)).encode()
    request = (
        b"POST /label?timeout=5s HTTP/1.1\r\nHost: webhook\r\nUser-Agent: kube-apiserver-admission\r\n"
        b"Content-Length: %d\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n"
        b"Accept-Encoding: gzip\r\n\r\n%b" % (len(body), body)
    )
    before = process.cpu()
    taken = _ask(process.https_port, installation.secret()["ca.crt"], request, concurrency)
    spent = process.cpu() - before
    return Figure(
        f"webhook: reviews, {concurrency} at once",
        f"{len(taken) / SECONDS:.0f}/s, {_p50_p99(taken)}, {spent / len(taken) * 1e6:.0f} µs of processor time each",
        "≥ 6,000/s" if concurrency > 1 else "",
    )


def _review(control_plane: ControlPlane) -> Manifest:
    """Return what the API server asks about a pod that has got its defaults."""
    query = urlencode({"dryRun": "All"})
    pod = control_plane.request("POST", f"/api/v1/namespaces/bench-1/pods?{query}", _pod("bench-1"))
    del pod["metadata"]["uid"], pod["metadata"]["creationTimestamp"]
    pod["metadata"]["labels"][LABEL] = "builder-0"
    resource = {"group": "", "version": "v1", "resource": "pods"}
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "namespace": "bench-1",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:arc:listener", "groups": ["system:authenticated"]},
            "object": pod,
            "oldObject": None,
            "dryRun": True,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]},
        },
    }


def _ask(port: int, authority: bytes, request: bytes, concurrency: int) -> list[float]:
    """Return how long each answer took, in seconds. Raises AssertionError for one that is no injection."""
    tls = ssl.create_default_context(cadata=authority.decode())
    taken: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(concurrency):
            plain = socket.create_connection(("127.0.0.1", port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = tls.wrap_socket(plain, server_hostname=f"{NAME}.{NAMESPACE}.svc")
            client.settimeout(0)
            selector.register(client, selectors.EVENT_READ, _Question(client, request))
        deadline = time.perf_counter() + SECONDS
        while time.perf_counter() < deadline:
            for ready, _ in selector.select(1):
                question: _Question = ready.data
                if question.is_answered():
                    taken.append(question.ask_again())
        for key in tuple(selector.get_map().values()):
            key.data.client.close()
    return taken


class _Question:
    """One connection, on which the same question is asked again and again."""

    def __init__(self, client: ssl.SSLSocket, request: bytes) -> None:
        self.client = client
        self._request = request
        self._answer = b""
        self._asked = 0.0
        self.ask_again()

    def ask_again(self) -> float:
        """Ask, and return how many seconds have passed since the last time."""
        self._answer = b""
        now = time.perf_counter()
        before, self._asked = self._asked, now
        self.client.send(self._request)
        return now - before

    def is_answered(self) -> bool:
        """Read what has come, and return whether it is all."""
        try:
            self._answer += self.client.recv(65536)
        except ssl.SSLWantReadError:
            return False
        head, _, body = self._answer.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0] or 0)
        if not length or len(body) < length:
            return False
        assert b'"allowed":true,"patchType"' in body, body
        return True


# Pods through the API server


def _creates(control_plane: ControlPlane, namespace: str, concurrency: int) -> Figure:
    """Create pods with and without the label in turn, without storing them."""
    plain, labelled = asyncio.run(_create_in_turn(control_plane.kubeconfig, namespace, concurrency))
    more = [(b - a) * 1000 for a, b in zip(_percentiles(plain), _percentiles(labelled), strict=True)]
    return Figure(
        f"webhook: pod created, {namespace.removeprefix('bench-')} builders, {concurrency} at once",
        f"p50 +{more[0]:.2f} ms, p99 +{more[1]:.2f} ms over {_p50_p99(plain)}",
        "p50 ≤ +1.5 ms" if concurrency == 1 else "",
    )


async def _create_in_turn(kubeconfig: Path, namespace: str, concurrency: int) -> tuple[list[float], list[float]]:
    connection = await connect(str(kubeconfig))
    client = Client(connection, field_manager="bench")
    plain: list[float] = []
    labelled: list[float] = []

    async def create(number: int) -> None:
        for taken, labels in ((plain, {}), (labelled, {LABEL: "builder-0"})):
            started = time.perf_counter()
            await client.try_to_create(_pod(namespace, number, **labels))
            taken.append(time.perf_counter() - started)

    async def some(first: int) -> None:
        for number in range(first, CREATES, concurrency):
            await create(number)

    try:
        for number in range(50):  # until everything is compiled and connected
            await create(number)
        plain.clear()
        labelled.clear()
        await asyncio.gather(*map(some, range(concurrency)))
    finally:
        await client.close()
        await connection.close()
    return plain, labelled


def _pod(namespace: str, number: int = 0, **labels: str) -> Manifest:
    """Return a runner's pod, about as large as they are."""
    env = [{"name": f"RUNNER_{n}", "value": f"value of variable {n}"} for n in range(8)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"runner-{number}", "namespace": namespace, "labels": {"app": "runner", **labels}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"fsGroup": 1001},
            "containers": [
                {
                    "name": "runner",
                    "image": "ghcr.io/actions/actions-runner:2.330.0",
                    "command": ["/home/runner/run.sh"],
                    "env": env,
                    "volumeMounts": [{"name": "work", "mountPath": "/home/runner/_work"}],
                }
            ],
            "volumes": [{"name": "work", "emptyDir": {}}],
        },
    }


def _percentiles(taken: list[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    return median(taken), quantiles(taken, n=100)[98]


def _p50_p99(taken: list[float]) -> str:
    p50, p99 = _percentiles(taken)
    return f"p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"
