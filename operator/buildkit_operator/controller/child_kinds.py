"""Child kinds: a row for each kind of object of a builder, with how it is read, applied and pruned, and its RBAC verbs.

A new kind of child is a row here and a renderer in desired/; the watches, the cache, apply, prune and the generated
roles all go by these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from buildkit_operator.api import names
from buildkit_operator.engine.kinds import Transform, drop_bookkeeping
from buildkit_operator.engine.named_objects import short_ttl, until_resync
from buildkit_operator.kube.resources import (
    CERTIFICATE,
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Manifest,
    Resource,
)

Verbs: TypeAlias = tuple[str, ...]
"""What a role has to allow, in RBAC's words. Server-side apply is create and patch."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Listed and watched by the owner label, into the informer cache, which waits for it: every cluster serves it."""

    keep: Transform = drop_bookkeeping
    """What the cache keeps of an object."""


@dataclass(frozen=True, slots=True)
class ByName:
    """Read by name through a TTL cache, so that no role need allow listing the kind."""

    names: Callable[[str], Sequence[str]]
    """Names of the objects of this kind that a builder of a name may have; prune looks for no others."""
    ttl: Callable[[float], float] = short_ttl
    """Seconds for which an object is remembered, from the seconds between two resyncs."""
    optional: bool = False
    """Whether its CRD may be missing. The operator gets ready without it, and builders that need none work."""


class Apply(Enum):
    """When objects of a kind are applied."""

    NEVER = auto()
    """They are made by others, and read."""
    TOGETHER = auto()
    """Side by side with the others."""
    LAST = auto()
    """After all others: the pods of a workload mount them."""


@dataclass(frozen=True, slots=True)
class ChildKind:
    """One kind of object that a builder consists of, or that shows how the builder is doing."""

    resource: Resource
    read: Watched | ByName
    apply: Apply
    pruned: bool
    """Whether those that the builder owns and no longer wants are deleted after the others are applied."""
    verbs: Verbs
    """Rights that the operator needs for it."""
    why: str
    """The reason for these rights, for those who read the roles: a sentence or two."""


def keep_pod_state(pod: Manifest) -> Manifest:
    """Return what is kept of a pod, which tells how its daemon is doing: its identity, conditions and containers."""
    metadata = _only(
        pod["metadata"],
        ("name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences", *_TIMES),
    )
    status = _only(
        pod.get("status") or {},
        ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses"),
    )
    return {
        "apiVersion": pod["apiVersion"],
        "kind": pod["kind"],
        "metadata": metadata,
        "spec": _only(pod.get("spec") or {}, ("nodeName",)),
        "status": status,
    }


_TIMES: Final = ("creationTimestamp", "deletionTimestamp")


def _only(mapping: Manifest, keys: Iterable[str]) -> Manifest:
    return {key: mapping[key] for key in keys if key in mapping}


def _written_secrets(builder: str) -> Sequence[str]:
    return names.authority_secret(builder), names.server_secret(builder), names.connection_secret(builder)


def _certificates(builder: str) -> Sequence[str]:
    return names.server_secret(builder), names.client_secret(builder)


_OWN: Final = ("get", "list", "watch", "create", "patch", "delete")
_OWN_BY_NAME: Final = ("get", "create", "patch", "delete")
_WHY_OWN: Final = "A builder's objects. Server-side apply is create and patch."


def _own(resource: Resource, apply: Apply = Apply.TOGETHER) -> ChildKind:
    """Return the row of a kind that is watched, applied and pruned, as most are."""
    return ChildKind(resource, Watched(), apply, pruned=True, verbs=_OWN, why=_WHY_OWN)


CHILD_KINDS: Final = (
    _own(SERVICE),
    _own(CONFIG_MAP),
    _own(SERVICE_ACCOUNT),
    _own(DEPLOYMENT, Apply.LAST),
    _own(STATEFUL_SET, Apply.LAST),
    _own(NETWORK_POLICY),
    _own(POD_DISRUPTION_BUDGET),
    ChildKind(
        SECRET,
        ByName(_written_secrets),
        Apply.TOGETHER,
        pruned=True,
        verbs=_OWN_BY_NAME,
        why="Secrets by name: nobody can read all of them through the operator.",
    ),
    ChildKind(
        CERTIFICATE,
        ByName(_certificates, until_resync, optional=True),
        Apply.TOGETHER,
        # They are withdrawn before the Secrets that they fill are applied, see cert_manager_requests.
        pruned=False,
        verbs=_OWN_BY_NAME,
        why="Certificates that cert-manager issues, for builders that ask for it; by name as well.",
    ),
    ChildKind(
        POD,
        Watched(keep_pod_state),
        Apply.NEVER,
        pruned=False,
        verbs=("list", "watch", "create"),
        why="What keeps daemons from starting. create: only ever as a dry run, to see whether a runner pod would get "
        "its sidecar.",
    ),
    ChildKind(
        PERSISTENT_VOLUME_CLAIM,
        Watched(),
        Apply.NEVER,
        # Never deleted, whatever label they have: they belong to the StatefulSet or to nobody.
        pruned=False,
        verbs=("get", "list", "watch", "patch"),
        why="The PVCs of shared builders, which StatefulSets make, are told to grow; and whether that of a local "
        "cache is there.",
    ),
)

BY_RESOURCE: Final[Mapping[Resource, ChildKind]] = {kind.resource: kind for kind in CHILD_KINDS}
