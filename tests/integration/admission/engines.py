"""An API server with builders and one of the two engines, and what becomes of a pod there."""

import json
import re
import ssl
import urllib.error
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final
from urllib.parse import urlencode

import yaml

from buildkit_operator.admission.params import Params
from buildkit_operator.admission.review import Builders, WebhookName, answer
from buildkit_operator.desired import injection
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.unit.make import make_builder

HERE: Final = Path(__file__).parent
NAMESPACES: Final = {"ci": {}, "open": {"buildkit-operator.dev/injection": "enabled"}}
RENDERED: Final[dict[str, Manifest]] = {
    "rendered-rootless": {
        "resources": {"requests": {"cpu": 1, "memory": "1.5Gi"}, "limits": {"ephemeral-storage": 21474836480}},
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "daemon": {"registries": [{"host": "registry.example.com", "caSecretName": "ca"}]},
        "injection": {"localCache": {"claimName": "cache"}, "buildx": False},
    },
    "rendered-node-default": {"securityProfiles": "NodeDefault", "cache": {"size": "1.5Ti"}},
    "rendered-volume": {"cache": {"ephemeralVolume": {"storageClassName": "fast"}}},
    "rendered-shared": {"mode": "Shared", "injection": {"localCache": {"claimName": "cache"}}},
    "rendered-user-namespace": {"isolation": "UserNamespace", "injection": {"containers": ["job"]}},
}
"""Specs of builders that are rendered by the operator's own function."""

_BUILDERS_API: Final = "/apis/buildkit-operator.dev/v1alpha1/namespaces/{namespace}/buildkitbuilders"


@dataclass(frozen=True)
class Refusal:
    """What the API server said instead of creating the pod."""

    code: int
    sentence: str
    """Without the words in front that name the engine."""


@dataclass(frozen=True)
class Engine:
    """An API server in which pods get their builders in one of the two ways."""

    name: str
    control_plane: ControlPlane

    def create(self, pod: Manifest, *, dry_run: bool = True) -> Manifest | Refusal:
        """Create a pod and return it as it is stored, or why it is not."""
        query = urlencode({"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {}))
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods?{query}"
        try:
            created: Manifest = self.control_plane.request("POST", path, pod)
        except urllib.error.HTTPError as error:
            status = json.loads(error.read())
            return Refusal(error.code, _sentence(status["message"]))
        return created

    def wait_until_effective(self) -> None:
        """Poll until the API server acts on all that was configured; it takes a moment to notice."""
        for builder in read_builders():
            pod = _probe(builder["namespace"], {"buildkit-operator.dev/builder": builder["name"]})
            wait_for(f"{self.name} to know {builder['name']}", partial(self._is_decided, pod))
        wait_for(f"{self.name} to pick pods", lambda: _is_marked(self.create(_probe("open", {"pool": "linux"}))))

    def _is_decided(self, pod: Manifest) -> bool:
        outcome = self.create(pod)
        return "there is no" not in outcome.sentence if isinstance(outcome, Refusal) else _is_marked(outcome)


def comparable(outcome: Manifest | Refusal) -> str | Manifest:
    """Return everything of a pod but what is different in each of two."""
    if isinstance(outcome, Refusal):
        return outcome.sentence
    its_own = {"uid", "creationTimestamp", "managedFields", "name" if "generateName" in outcome["metadata"] else ""}
    metadata = {key: value for key, value in outcome["metadata"].items() if key not in its_own}
    return {**outcome, "metadata": metadata}


def _probe(namespace: str, labels: dict[str, str]) -> Manifest:
    return {
        "metadata": {"name": "probe", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "probe", "image": "probe"}]},
    }


def _is_marked(outcome: Manifest | Refusal) -> bool:
    return not isinstance(outcome, Refusal) and "buildkit-operator.dev/injected" in outcome["metadata"]["labels"]


def _sentence(message: str) -> str:
    return re.sub(r"^.*?(ValidatingAdmissionPolicy|admission webhook) .*? denied (the )?request: ", "", message)


def read_builders() -> list[Manifest]:
    """Return the builders of builders.yaml, and those with what the operator really renders."""
    written: list[Manifest] = yaml.safe_load((HERE / "builders.yaml").read_text())["builders"]
    rendered = [
        {"namespace": "ci", "name": name, "spec": spec, "injection": render(name)} for name, spec in RENDERED.items()
    ]
    return [*written, *rendered]


def render(name: str) -> Manifest:
    """Return the status.injection that the operator gives to one of RENDERED."""
    builder = make_builder(name, **{"mode": "Sidecar", **RENDERED[name]})
    return injection.render(builder, Platform(), confine(builder.spec, PodSecurity()))


def create_builders(control_plane: ControlPlane) -> None:
    """Create the namespaces and their builders, each with the status that the operator would have given it."""
    for namespace, labels in NAMESPACES.items():
        control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace, "labels": labels}})
    for builder in read_builders():
        path = _BUILDERS_API.format(namespace=builder["namespace"])
        created = control_plane.request("POST", path, as_resource(builder))
        created["status"] = as_status(builder)
        control_plane.request("PUT", f"{path}/{builder['name']}/status", created)


def as_resource(builder: Manifest) -> Manifest:
    """Return one of the builders as its author writes it."""
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": builder["name"]},
        "spec": {"mode": "Sidecar", **builder["spec"]},
    }


def as_status(builder: Manifest) -> Manifest:
    """Return the status that the operator would give it."""
    status: Manifest = {}
    if "ready" in builder:
        status["conditions"] = [
            {
                "type": "Ready",
                "status": "False",
                "reason": "Tested",
                "message": builder["ready"],
                "lastTransitionTime": "2026-11-24T12:00:00Z",
                "observedGeneration": 1,
            }
        ]
    if "injection" in builder:
        name = builder["name"]
        labels = {"buildkit-operator.dev/injected": name, "buildkit-operator.dev/owner": name}
        status["injection"] = {key: value for key, value in builder["injection"].items() if value != []}
        status["injection"]["labels"] = labels
    return status


@dataclass(frozen=True)
class StoredBuilders(Builders):
    """The builders of an API server, as it returned them once."""

    items: list[Manifest] = field(default_factory=list)

    def get(self, namespace: str, name: str) -> Params | None:
        """Return a builder, or None where there is none of that name."""
        return next((builder for builder in self.list(namespace) if builder.name == name), None)

    def list(self, namespace: str) -> Iterable[Params]:
        """Return the builders of a namespace."""
        return (Params(builder) for builder in self.items if builder["metadata"]["namespace"] == namespace)


def stored_builders(control_plane: ControlPlane) -> StoredBuilders:
    """Ask the API server for all builders."""
    return StoredBuilders(
        [
            builder
            for namespace in NAMESPACES
            for builder in control_plane.request("GET", _BUILDERS_API.format(namespace=namespace))["items"]
        ]
    )


class WebhookServer(ThreadingHTTPServer):
    """Answers the API server's reviews."""

    def __init__(self, builders: Builders, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.builders = builders
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"https://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebhookServer

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        webhook = WebhookName(self.path.strip("/").split("?")[0])
        body = json.dumps(answer(webhook, review, self.server.builders).review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's signature
        """Say nothing."""
