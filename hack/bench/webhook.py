"""Webhook throughput and latency: AdmissionReviews sent as the API server sends them."""

import json
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from buildkit_operator.kube.resources import Manifest
from hack.bench.figures import Figure, Reach, milliseconds
from hack.bench.load import SECONDS, Request, Server
from hack.bench.rendered import LABEL, namespace, pods_path, rendered_builders, runner_pod
from hack.cluster.controlplane import ControlPlane
from hack.cluster.progress import step
from tests.integration.webhook.installation import NAME, NAMESPACE, Installation
from tests.integration.webhook.webhook_process import WebhookProcess

CONCURRENCY: Final = (1, 16)
ANSWERED: Final = "buildkit_operator_webhook_requests_total"
INJECTS: Final = b'"allowed":true,"patchType"'


def measure() -> list[Figure]:
    """Measure one webhook process on an API server without pods."""
    with rendered_builders() as control_plane, installed(control_plane) as installation:
        (process,) = installation.processes
        with step("Asking the webhook"):
            figures = [_reviews(installation, process, concurrency) for concurrency in CONCURRENCY]
        memory = process.memory() / 1024
        return [
            *figures,
            Figure("webhook: resident memory after that", f"{memory:.0f} MiB", memory, Reach(60, " MiB")),
        ]


@contextmanager
def installed(control_plane: ControlPlane) -> Iterator[Installation]:
    """Have a webhook process that serves an API server within the block."""
    with tempfile.TemporaryDirectory() as folder:
        installation = Installation(control_plane, Path(folder))
        try:
            installation.install(log_level="warning")
            yield installation
        finally:
            installation.stop()


def _reviews(installation: Installation, process: WebhookProcess, concurrency: int) -> Figure:
    server = Server(
        process.https_port,
        ssl.create_default_context(cadata=installation.secret()["ca.crt"].decode()),
        f"{NAME}.{NAMESPACE}.svc",
        {"User-Agent": "kube-apiserver-admission", "Accept": "application/json, */*", "Accept-Encoding": "gzip"},
    )
    body = json.dumps(_review(installation.control_plane)).encode()
    cpu, answered = process.cpu(), process.metric(ANSWERED)
    (taken,) = server.ask(Request(f"{installation.path()}?timeout=5s", body, INJECTS), concurrency=concurrency)
    cpu_each = (process.cpu() - cpu) / (process.metric(ANSWERED) - answered)
    rate = len(taken) / SECONDS
    return Figure(
        f"webhook: reviews, {concurrency} at once",
        f"{rate:,.0f}/s, {milliseconds(taken)}, {cpu_each * 1e6:.0f} µs of processor time each",
        rate,
        Reach(6000, "/s", at_least=True) if concurrency > 1 else None,
    )


def _review(control_plane: ControlPlane) -> Manifest:
    """Return what the API server asks about a pod that has got its defaults."""
    pod = control_plane.request("POST", pods_path(1), runner_pod(1))
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
            "namespace": namespace(1),
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:arc:listener", "groups": ["system:authenticated"]},
            "object": pod,
            "oldObject": None,
            "dryRun": True,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]},
        },
    }
