"""Scrape targets: from a builder and its pods to what is exported, and which daemons are asked. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.manifests import condition, controller_of, has_ended
from buildkit_operator.kube.resources import POD, Manifest

MOST_DAEMONS: Final = 201
"""Of a builder: while it rolls, there are the old ones and the new ones, and the API takes a hundred replicas."""
POD_TEMPLATE_HASH: Final = "pod-template-hash"
"""Label on a Deployment's pods: how the name of their ReplicaSet ends."""
_LABELS: Final = (names.OWNER_LABEL, POD_TEMPLATE_HASH)


def keep_address(pod: Manifest) -> Manifest:
    """Keep of a daemon's pod who it is and whose, where it is, and whether it is ready."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    identity = ("name", "namespace", "uid", "resourceVersion")
    labels = {key: metadata["labels"][key] for key in _LABELS if key in (metadata.get("labels") or {})}
    owner = controller_of(pod)
    conditions = [found for found in status.get("conditions") or () if found["type"] == "Ready"]
    return {
        "metadata": {
            **{key: metadata[key] for key in identity if key in metadata},
            "labels": labels,
            "ownerReferences": [owner] if owner else [],
        },
        "spec": {"hostNetwork": bool((pod.get("spec") or {}).get("hostNetwork"))},
        "status": {"phase": status.get("phase"), "podIP": status.get("podIP"), "conditions": conditions},
    }


def keep_target(builder: Manifest) -> Manifest:
    """Keep of a builder what says how many daemons it has, and how they are asked."""
    metadata, spec, status = builder["metadata"], builder.get("spec") or {}, builder.get("status") or {}
    shared = spec.get("shared") or {}
    identity = ("name", "namespace", "uid", "resourceVersion", "generation")
    asked = {key: shared[key] for key in ("replicas", "port", "tls", "from") if key in shared}
    return {
        "metadata": {key: metadata[key] for key in identity if key in metadata},
        "spec": {
            **{key: spec[key] for key in ("mode",) if key in spec},
            **({"shared": asked} if "shared" in spec else {}),
        },
        "status": {key: status[key] for key in ("pods",) if key in status},
    }


KINDS: Final = Kinds(
    primary=names.BUILDER,
    children={POD: keep_address},
    owner_label=names.OWNER_LABEL,
    keep_primary=keep_target,
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
    address: tuple[str, int] | None
    """IP address and port where it is asked; None while it is not ready."""
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
    daemons = (pod for pod in pods if has_daemons and _is_daemon(builder, pod))
    counts = (manifest.get("status") or {}).get("pods") or {}
    return BuilderTarget(
        namespace=builder.metadata.namespace,
        name=builder.metadata.name,
        wanted=builder.shared.replicas if has_daemons else None,
        runners=counts.get("injected", 0),
        runners_ready=counts.get("ready", 0),
        pods=tuple(_daemon_pod(builder, pod) for pod in islice(daemons, MOST_DAEMONS)),
    )


def _is_daemon(builder: BuildKitBuilder, pod: Manifest) -> bool:
    """Tell whether a pod is one of those that the builder's workload made; the labels alone anybody can set.

    The workload is not looked at, which would take more rights. A forged reference to it makes a pod one of its own,
    and its controller then deletes one that is too many.
    """
    owner, workload = controller_of(pod) or {}, names.daemon(builder.metadata.name)
    replica_set = f"{workload}-{(pod['metadata'].get('labels') or {}).get(POD_TEMPLATE_HASH)}"
    made_by = (str(owner.get("apiVersion")).partition("/")[0], owner.get("kind"), owner.get("name"))
    return made_by in {("apps", "StatefulSet", workload), ("apps", "ReplicaSet", replica_set)} and not has_ended(pod)


def _daemon_pod(builder: BuildKitBuilder, pod: Manifest) -> DaemonPod:
    namespace, name, status = builder.metadata.namespace, builder.metadata.name, pod["status"]
    ready = condition(pod, "Ready").get("status") == "True"
    with_tls = builder.shared.tls.mode is not TLSMode.DISABLED
    # The address of a pod with hostNetwork is its node's, where others listen.
    ip = status["podIP"] if ready and not pod["spec"]["hostNetwork"] and _is_address(status["podIP"]) else None
    return DaemonPod(
        namespace=namespace,
        builder=name,
        name=pod["metadata"]["name"],
        uid=pod["metadata"]["uid"],
        address=None if ip is None else (ip, builder.shared.port),
        server_name=f"{names.daemon(name)}.{namespace}.svc" if with_tls else None,
    )


def _is_address(ip: object) -> bool:
    """Tell whether it is an address, and not a name that would be looked up."""
    try:
        ipaddress.ip_address(str(ip))
    except ValueError:
        return False
    return True
