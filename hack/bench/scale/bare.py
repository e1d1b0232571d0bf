"""A bare client: it sends the writes that the operator sent, prepared, and does nothing else."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller.apply_set import stamped
from buildkit_operator.controller.certificate_issuance import StoredCertificates, issue_due
from buildkit_operator.desired import children, needs_certificates
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.manifests import without_version
from buildkit_operator.kube.resources import EVENT, KNOWN, Key, Manifest
from buildkit_operator.pki.keypairs import Lifetimes
from hack.bench.load import Request, Server
from hack.bench.scale.api import Connection
from hack.bench.scale.fleet import Fleet, builder
from hack.cluster.audit import Request as Answered
from hack.cluster.controlplane import ControlPlane

CONNECTIONS: Final = 16
"""As many as the operator has workers."""
APPLY: Final = "application/apply-patch+yaml"
QUERY: Final = "?fieldManager=buildkit-operator&force=true&fieldValidation=Strict"
NAMESPACE: Final = "namespace-of-builder"
NAME: Final = "name-of-builder"
UID: Final = "uid-of-builder"

_RESOURCES: Final = {(resource.api_version, resource.kind): resource for resource in KNOWN}


@dataclass(frozen=True)
class Sent:
    """What a bare client sent."""

    writes: int
    seconds: float


@dataclass(frozen=True)
class Recording:
    """What the operator wrote for one builder of each mode, as it is for all of them."""

    statuses: dict[str, Manifest]
    """The status that a builder ends with, by mode."""
    status_writes: dict[str, int]
    events: dict[str, Manifest]
    event_writes: dict[str, int]

    @classmethod
    def of(cls, api: Connection, fleet: Fleet, written: Iterable[Answered]) -> "Recording":
        """Look at the first builder of each mode, whose objects are there, and at what was written for it."""
        keys = {fleet.mode(number): fleet.key(number) for number in (0, 1)}
        statuses = {mode: api.ask("GET", names.BUILDER.path(*key))["status"] for mode, key in keys.items()}
        written = list(written)
        of_status = {
            mode: sum(r.subresource == "status" and (r.namespace, r.name) == key for r in written)
            for mode, key in keys.items()
        }
        events = {mode: _events(api, key) for mode, key in keys.items()}
        return cls(
            statuses, of_status, {m: e[0] for m, e in events.items() if e}, {m: len(e) for m, e in events.items()}
        )


def _events(api: Connection, key: Key) -> Sequence[Manifest]:
    found = api.ask("GET", EVENT.path(key[0]))["items"]
    return [event for event in found if event["regarding"].get("name") == key[1]]


def send(control_plane: ControlPlane, fleet: Fleet, recording: Recording) -> Sent:
    """Create the builders, which nobody reconciles, and send what the operator would write for them."""
    server = Server.of(control_plane)
    server.send(fleet.make_namespaces(), CONNECTIONS)
    server.send(fleet.create(), CONNECTIONS)
    templates = {mode: list(_templates(mode, recording)) for mode in ("Shared", "Sidecar")}
    requests = [
        _filled(template, fleet.key(number), f"{number}-{position}")
        for number in range(fleet.builders)
        for position, template in enumerate(templates[fleet.mode(number)])
    ]
    began = time.monotonic()
    server.send(requests, CONNECTIONS)
    return Sent(len(requests), time.monotonic() - began)


def _templates(mode: str, recording: Recording) -> Iterator[Request]:
    """Yield the writes for one builder, with words in place of what tells it from others."""
    for manifest in _children(mode):
        resource = _RESOURCES[manifest["apiVersion"], manifest["kind"]]
        # As the operator creates: refused where there is one already.
        new = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "1"}}
        yield _apply(resource.path(NAMESPACE, manifest["metadata"]["name"]), new)
    status: Manifest = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "status": recording.statuses[mode],
    }
    for number in range(recording.status_writes[mode]):
        # Each says something else, as the operator's do.
        said = {**status, "status": {**status["status"], "managedBy": f"default/{number}"}}
        yield _apply(names.BUILDER.path(NAMESPACE, NAME, "status"), said)
    for _ in range(recording.event_writes[mode]):
        yield Request(EVENT.path(NAMESPACE), json.dumps(_event(recording.events[mode])).encode())


def _children(mode: str) -> list[Manifest]:
    metadata = {"name": NAME, "namespace": NAMESPACE, "uid": UID, "generation": 1}
    made = BuildKitBuilder.model_validate(builder(NAME, mode) | {"metadata": metadata})
    platform, certificates = Platform(), None
    if needs_certificates(made):
        none = StoredCertificates(None, None, None, None, None)
        certificates = issue_due(made, none, platform.cluster_domain, Lifetimes(), datetime.now(UTC))
    wanted = children(made, platform, certificates, confine(made.spec, PodSecurity()))
    return [stamped(without_version(manifest)) for manifest in wanted]


def _event(recorded: Manifest) -> Manifest:
    regarding = {**recorded["regarding"], "name": NAME, "namespace": NAMESPACE}
    kept = {key: value for key, value in recorded.items() if not key.startswith("deprecated")}
    return {**kept, "metadata": {"name": f"{NAME}.POSITION", "namespace": NAMESPACE}, "regarding": regarding}


def _apply(path: str, manifest: Manifest) -> Request:
    return Request(path + QUERY, json.dumps(manifest).encode(), method="PATCH", content_type=APPLY)


def _filled(template: Request, key: Key, position: str) -> Request:
    namespace, name = key
    body = template.body.replace(NAMESPACE.encode(), namespace.encode()).replace(NAME.encode(), name.encode())
    path = template.path.replace(NAMESPACE, namespace).replace(NAME, name)
    return Request(
        path, body.replace(b"POSITION", position.encode()), method=template.method, content_type=template.content_type
    )
