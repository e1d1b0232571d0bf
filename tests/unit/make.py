"""Small builders of what the functions under test are given: resources, certificates, live objects."""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired import children, injection, needs_certificates
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.keypairs import KeyPair
from buildkit_operator.pki.rotation import Authorities

UID: Final = "6f1c2a52-9d4e-4b8e-9d0c-0b1f3a5f7c11"
NOW: Final = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

FAKE_CERTIFICATES: Final = Certificates(
    trust=b"certificate of the authority",
    server=KeyPair(b"certificate of the server", b"key of the server"),
    client=KeyPair(b"certificate of the client", b"key of the client"),
    authorities=Authorities(KeyPair(b"certificate of the authority", b"key of the authority")),
    renewal=NOW,
)
"""The same at every run, for objects that are compared byte by byte. No TLS library would take them."""


def make_resource(name: str = "demo", *, generation: int = 1, **spec: Any) -> Manifest:
    """Return a builder as the API server has it, of mode Shared unless the spec says otherwise."""
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name, "namespace": "ci", "uid": UID, "generation": generation, "resourceVersion": "7"},
        "spec": {"mode": "Shared", **spec},
    }


def make_builder(name: str = "demo", *, generation: int = 1, **spec: Any) -> BuildKitBuilder:
    """Return a builder; the spec is written as users write it, in camelCase."""
    return BuildKitBuilder.model_validate(make_resource(name, generation=generation, **spec))


def fake_certificates(builder: BuildKitBuilder) -> Certificates | None:
    """Return fake certificates for a builder that needs any."""
    return FAKE_CERTIFICATES if needs_certificates(builder) else None


def children_of(
    builder: BuildKitBuilder, certificates: Certificates | None = None, enforced: PodSecurity | None = None
) -> list[Manifest]:
    """Return a builder's objects in a namespace that enforces nothing, or this."""
    return children(builder, Platform(), certificates, confine(builder.spec, enforced or PodSecurity()))


def injection_of(builder: BuildKitBuilder, enforced: PodSecurity | None = None) -> Manifest:
    """Return what a Sidecar builder's runner pods get in a namespace that enforces nothing, or this."""
    return injection.render(builder, Platform(), confine(builder.spec, enforced or PodSecurity()))


def changed(spec: Manifest, path: str, value: Any) -> Manifest:
    """Return a copy of nested dicts and lists with another value at a path such as `env.0.name`."""
    result = copy.deepcopy(spec)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target: Any = result
    for part in parents:
        target = target[part] if isinstance(part, int) else target.setdefault(part, {})
    target[last] = value
    return result


def make_deployment(
    *, total: int = 1, updated: int | None = None, ready: int = 0, name: str = "demo-buildkitd", **extra: Any
) -> Manifest:
    """Return a daemon's Deployment as its controller leaves it; `extra` goes into its status."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "ci", "generation": 3},
        "spec": {"template": {"spec": {"containers": [{"name": "buildkitd", "image": "example.com/buildkit:1"}]}}},
        "status": {
            "observedGeneration": 3,
            "replicas": total,
            "updatedReplicas": total if updated is None else updated,
            "readyReplicas": ready,
            **extra,
        },
    }


def make_stateful_set(*, total: int = 1, updated: int | None = None, ready: int = 0) -> Manifest:
    """Return a StatefulSet of daemons with claims as its controller leaves it, of as many replicas as are there."""
    made = make_deployment(total=total, updated=updated, ready=ready)
    return made | {"kind": "StatefulSet", "spec": made["spec"] | {"replicas": total or 1}}


def make_claim(
    ordinal: int,
    requested: str = "50Gi",
    *,
    name: str | None = None,
    phase: str = "Bound",
    capacity: str | None = None,
    storage_class: str | None = "standard",
    conditions: Sequence[Manifest] = (),
) -> Manifest:
    """Return a daemon's claim; one that is bound has a volume of the size it asks for unless another is given."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name or f"buildkit-state-demo-buildkitd-{ordinal}", "uid": f"claim-{ordinal}"},
        "spec": {
            "resources": {"requests": {"storage": requested}},
            **({"storageClassName": storage_class} if storage_class else {}),
        },
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            **({"capacity": {"storage": capacity or requested}} if phase == "Bound" else {}),
        },
    }


def make_pod(
    name: str = "demo-buildkitd-7c9d-x2x4z", *, created: str = "2026-11-24T11:59:00Z", **status: Any
) -> Manifest:
    """Return a daemon's pod with this status."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ci", "creationTimestamp": created},
        "status": {"phase": "Pending", **status},
    }


def container_status(**states: Manifest) -> list[Manifest]:
    """Return containerStatuses of a pod whose daemon is in these states, such as `state={"waiting": {…}}`."""
    return [{"name": "buildkitd", "ready": False, "restartCount": 0, **states}]
