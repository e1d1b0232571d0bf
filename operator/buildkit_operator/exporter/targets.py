"""Scrape targets: from a builder and its pods to what is exported, and which daemons are asked. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.manifests import condition, has_ended
from buildkit_operator.kube.resources import POD, Manifest


def keep_address(pod: Manifest) -> Manifest:
    """Keep of a daemon's pod who it is, where it is, and whether it is ready."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    identity = ("name", "namespace", "uid", "resourceVersion", "labels")
    conditions = [found for found in status.get("conditions") or () if found["type"] == "Ready"]
    return {
        "metadata": {key: metadata[key] for key in identity if key in metadata},
        "status": {"phase": status.get("phase"), "podIP": status.get("podIP"), "conditions": conditions},
    }


KINDS: Final = Kinds(
    primary=names.BUILDER,
    children={POD: keep_address},
    owner_label=names.OWNER_LABEL,
    extra_selector=f"app.kubernetes.io/name={names.DAEMON}",
)
"""Builders and the pods of shared daemons. Runner pods, of which there are many more, stand counted in the status."""


@dataclass(frozen=True, slots=True)
class DaemonPod:
    """A pod of a shared builder."""

    namespace: str
    builder: str
    name: str
    uid: str
    address: str | None
    """Where it is asked, as gRPC writes it; None while it is not ready."""
    server_name: str | None
    """Name that its certificate carries; None where the builder goes without TLS."""


@dataclass(frozen=True, slots=True)
class BuilderTarget:
    """What is exported of a builder without asking its daemons, and the pods of these."""

    namespace: str
    name: str
    wanted: int | None
    """Daemons that it should have; None where it has none of its own."""
    runners: int
    """Runner pods with its sidecar that have not ended."""
    runners_ready: int
    """Those whose sidecar is up."""
    pods: tuple[DaemonPod, ...]


def read_builder(manifest: Manifest, pods: Iterable[Manifest]) -> BuilderTarget:
    """Return the targets of a builder and its pods. Raises pydantic.ValidationError for a spec of another version."""
    builder = BuildKitBuilder.model_validate(manifest)
    has_daemons = builder.role is Role.DAEMONS
    counts = (manifest.get("status") or {}).get("pods") or {}
    return BuilderTarget(
        namespace=builder.metadata.namespace,
        name=builder.metadata.name,
        wanted=builder.shared.replicas if has_daemons else None,
        runners=counts.get("injected", 0),
        runners_ready=counts.get("ready", 0),
        pods=tuple(_daemon_pod(builder, pod) for pod in pods if has_daemons and not has_ended(pod)),
    )


def _daemon_pod(builder: BuildKitBuilder, pod: Manifest) -> DaemonPod:
    namespace, name, status = builder.metadata.namespace, builder.metadata.name, pod["status"]
    ready = condition(pod, "Ready").get("status") == "True"
    with_tls = builder.shared.tls.mode is not TLSMode.DISABLED
    return DaemonPod(
        namespace=namespace,
        builder=name,
        name=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        address=_address(status["podIP"], builder.shared.port) if ready and status["podIP"] else None,
        server_name=f"{names.daemon(name)}.{namespace}.svc" if with_tls else None,
    )


def _address(ip: str, port: int) -> str:
    """Return an address that gRPC looks up nowhere."""
    return f"ipv6:[{ip}]:{port}" if ":" in ip else f"ipv4:{ip}:{port}"
