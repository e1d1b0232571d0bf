"""Child kinds: a row for each kind of object of a builder, with how it is read, applied and pruned, and its RBAC verbs.

A new kind of child is a row here and a renderer in desired/; the watches, the cache, apply, prune and the generated
roles all go by these rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.desired.cache_volume import STATE_VOLUME
from buildkit_operator.desired.container import CONFIG_VOLUME
from buildkit_operator.desired.scripts import CONNECTOR_SCRIPTS, FRONT_SCRIPTS, SCRIPTS
from buildkit_operator.engine.kinds import Transform
from buildkit_operator.engine.named_objects import short_ttl, until_resync
from buildkit_operator.kube.manifests import controller_of, is_of
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

Names: TypeAlias = Callable[[str], Sequence[str]]
"""Returns the names of a builder's objects of one kind, from the builder's name."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Listed and watched by the owner label, into the informer cache, which waits for it: every cluster serves it."""

    keep: Transform
    """What the cache keeps of an object."""


@dataclass(frozen=True, slots=True)
class ByName:
    """Read by name through a TTL cache, so that no role need allow listing the kind."""

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
    names: Names
    """Names of the objects of this kind that a builder of a name may have been given. Whatever else names the builder
    as its owner is not our making: prune looks for no others.
    """
    pruned: bool
    """Whether those that the builder owns and no longer wants are deleted after the others are applied."""
    verbs: Verbs
    """Rights that the operator needs for it."""
    why: str
    """The reason for these rights, for those who read the roles: a sentence or two."""


def keep_own(manifest: Manifest) -> Manifest | None:
    """Return what is kept of a kind that we apply: what is compared with it, and its status.

    None where no builder controls it: whoever may write one can set our label, and would fill our memory with others.
    """
    if not _is_controlled_by_a_builder(manifest):
        return None
    kept = {key: value for key, value in manifest.items() if key not in _CONTENT}
    kept["metadata"] = metadata = _only(manifest["metadata"], (*_IDENTITY, "generation"))
    metadata |= {key: _digests(manifest["metadata"][key], 256) for key in _NOTES if manifest["metadata"].get(key)}
    metadata["ownerReferences"] = [controller_of(manifest)]
    template = (manifest.get("spec") or {}).get("template")
    if template and "metadata" in template:
        notes = {key: _digests(template["metadata"][key], 256) for key in _NOTES if template["metadata"].get(key)}
        kept["spec"] = {**manifest["spec"], "template": {**template, "metadata": {**template["metadata"], **notes}}}
    kept |= digested_content(manifest)
    return kept if len(json.dumps(kept)) <= LONGEST_KEPT else _too_long(kept)


def digested_content(manifest: Manifest) -> Manifest:
    """Return what a ConfigMap or Secret holds, a digest for each text, which is read nowhere; empty for other kinds."""
    return {key: _digests(manifest[key], 0) for key in _CONTENT if key in manifest}


def keep_pod_state(pod: Manifest) -> Manifest:
    """Return what is kept of a pod: its identity, how our containers are doing, and of its spec what was injected."""
    live = pod.get("status") or {}
    status = _only(live, ("phase", "reason", "message", "conditions"))
    for key in ("initContainerStatuses", "containerStatuses"):
        if key in live:
            ours = [container for container in live[key] or () if container["name"] in _OUR_CONTAINERS]
            status[key] = [*ours, *_one_that_has_begun(live[key] or ())]
            if any(container["name"] == names.FRONT for container in ours):
                # Where it is asked for its builds.
                status |= _only(live, ("podIP",))
    return {
        **_only(pod, ("apiVersion", "kind")),
        "metadata": {
            **_labelled(pod["metadata"]),
            **_notes(pod["metadata"]),
            **_first(pod["metadata"], "finalizers"),
        },
        "spec": {
            **_only(pod.get("spec") or {}, ("nodeName",)),
            **_first(pod.get("spec") or {}, "readinessGates"),
            **_injected(pod.get("spec") or {}),
        },
        "status": status,
    }


def keep_claim_state(claim: Manifest) -> Manifest:
    """Return what is kept of a PVC, which a StatefulSet made, or a user: what it asks for and how it is doing."""
    return {
        **_only(claim, ("apiVersion", "kind")),
        "metadata": _labelled(claim["metadata"]),
        "spec": _only(claim.get("spec") or {}, ("resources", "storageClassName")),
        "status": _only(claim.get("status") or {}, ("phase", "capacity", "conditions")),
    }


LONGEST_KEPT: Final = 128 * 1024
"""Bytes of a child that are kept to be compared. A longer one, to which others added, is applied at each reconcile."""

_IDENTITY: Final = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_NOTES: Final = ("labels", "annotations")
_CONTENT: Final = ("data", "binaryData")
_OUR_LABELS: Final = (names.OWNER_LABEL, names.INJECTED_LABEL)
_OF_SIDECAR: Final = ("name", "image", "command", "restartPolicy")
_OUR_CONTAINERS: Final = frozenset({*names.SIDECARS, names.FRONT, names.VOLUME_OWNER})


_LONGEST_COST: Final = 12
"""Characters of a deletion cost, a number of 32 bits; the API server refuses others."""

LONGEST_SIDECAR: Final = 4096
"""Bytes of a sidecar that are kept; a longer one is none of ours."""


def _is_controlled_by_a_builder(manifest: Manifest) -> bool:
    owner = controller_of(manifest)
    return owner is not None and is_of(owner, names.BUILDER)


def _injected(spec: Manifest) -> Manifest:
    """Return a pod's sidecar and what that reads: whether a pod has one is not told by its labels."""
    sidecars = [_only(c, _OF_SIDECAR) for c in spec.get("initContainers") or () if c["name"] in names.SIDECARS]
    volumes = spec.get("volumes") or ()
    config = [_only(v, ("name", "configMap")) for v in volumes if v["name"] == CONFIG_VOLUME]
    if not sidecars or len(json.dumps([sidecars, config])) > LONGEST_SIDECAR:
        return {}
    made = [{"name": STATE_VOLUME, "ephemeral": {}} for v in volumes if v["name"] == STATE_VOLUME and "ephemeral" in v]
    return {"initContainers": sidecars, "volumes": [*config, *made]}


def _notes(metadata: Manifest) -> Manifest:
    """Return the engine's note on a pod of which no container was given the builder, which is empty then, and ours."""
    noted = metadata.get("annotations") or {}
    kept = {names.CONTAINERS_ANNOTATION: ""} if noted.get(names.CONTAINERS_ANNOTATION) == "" else {}
    cost = noted.get(names.DELETION_COST_ANNOTATION)
    if cost is not None:
        kept[names.DELETION_COST_ANNOTATION] = cost[:_LONGEST_COST]
    return {"annotations": kept} if kept else {}


def _one_that_has_begun(statuses: Sequence[Manifest]) -> list[Manifest]:
    """Return of a job's own containers one that runs or has ended, if any: the job has begun then."""
    for container in statuses:
        begun = {"running", "terminated"} & set(container.get("state") or ())
        if begun and container["name"] not in _OUR_CONTAINERS:
            return [{"name": container["name"], "state": {which: {} for which in sorted(begun)}}]
    return []


def _labelled(metadata: Manifest) -> Manifest:
    """Return who an object of others is, with its controller and our labels."""
    labels = _only(metadata.get("labels") or {}, _OUR_LABELS)
    owners = [owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    return {
        **_only(metadata, _IDENTITY),
        **({"labels": labels} if labels else {}),
        **({"ownerReferences": owners} if owners else {}),
    }


def _digests(texts: Manifest, longest: int) -> Manifest:
    """Return texts with a digest, which no text can be, in place of each that is longer: changes show all the same."""
    return {
        key: _digest(text) if isinstance(text, str) and len(text) > longest else text for key, text in texts.items()
    }


def _digest(text: str) -> Manifest:
    return {"sha256": _OF_SCRIPTS.get(text) or _sha256(text)}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_OF_SCRIPTS: Final = {
    text: _sha256(text) for scripts in (SCRIPTS, CONNECTOR_SCRIPTS, FRONT_SCRIPTS) for text in scripts.values()
}
"""Of the texts that are most of all ConfigMaps, and the same in each."""


def _too_long(kept: Manifest) -> Manifest:
    """Return of a child who it is, how it is doing, and what is short of its spec."""
    spec = {key: value for key, value in (kept.get("spec") or {}).items() if len(json.dumps(value)) <= 4096}
    metadata = {**_labelled(kept["metadata"]), **_only(kept["metadata"], ("generation",))}
    return {**_only(kept, ("apiVersion", "kind", "status")), "metadata": metadata, "spec": spec}


def _first(mapping: Manifest, key: str) -> Manifest:
    """Return the first few of a list that anybody can make long."""
    return {key: mapping[key][:3]} if mapping.get(key) else {}


def _only(mapping: Manifest, keys: Iterable[str]) -> Manifest:
    return {key: mapping[key] for key in keys if key in mapping}


def _daemon(builder: str) -> Sequence[str]:
    return (names.daemon(builder),)


def _services(builder: str) -> Sequence[str]:
    headless = (names.headless(builder, architecture) for architecture in (None, *Architecture))
    return *names.daemons(builder), *headless


def _config_maps(builder: str) -> Sequence[str]:
    return names.daemon(builder), names.front(builder), names.sidecar(builder), names.connector(builder)


def _made_by_others(_builder: str) -> Sequence[str]:
    return ()


def _written_secrets(builder: str) -> Sequence[str]:
    return names.authority_secret(builder), names.server_secret(builder), names.connection_secret(builder)


def _certificates(builder: str) -> Sequence[str]:
    return names.server_secret(builder), names.client_secret(builder)


_OWN: Final = ("get", "list", "watch", "create", "patch", "delete")
_OWN_BY_NAME: Final = ("get", "create", "patch", "delete")
_WHY_OWN: Final = "A builder's objects. Server-side apply is create and patch."


def _own(resource: Resource, made: Names = _daemon, apply: Apply = Apply.TOGETHER) -> ChildKind:
    """Return the row of a kind that is watched, applied and pruned, as most are."""
    return ChildKind(resource, Watched(keep_own), apply, made, pruned=True, verbs=_OWN, why=_WHY_OWN)


CHILD_KINDS: Final = (
    _own(SERVICE, _services),
    _own(CONFIG_MAP, _config_maps),
    _own(SERVICE_ACCOUNT),
    _own(DEPLOYMENT, names.daemons, apply=Apply.LAST),
    _own(STATEFUL_SET, names.daemons, apply=Apply.LAST),
    _own(NETWORK_POLICY),
    _own(POD_DISRUPTION_BUDGET, names.daemons),
    ChildKind(
        SECRET,
        ByName(),
        Apply.TOGETHER,
        _written_secrets,
        pruned=True,
        verbs=_OWN_BY_NAME,
        why="Secrets by name: nobody can read all of them through the operator.",
    ),
    ChildKind(
        CERTIFICATE,
        ByName(until_resync, optional=True),
        Apply.TOGETHER,
        _certificates,
        # They are withdrawn before the Secrets that they fill are applied, see cert_manager_requests.
        pruned=False,
        verbs=_OWN_BY_NAME,
        why="Certificates that cert-manager issues, for builders that ask for it; by name as well.",
    ),
    ChildKind(
        POD,
        Watched(keep_pod_state),
        Apply.NEVER,
        _made_by_others,
        pruned=False,
        verbs=("list", "watch", "create", "patch"),
        why="What keeps daemons from starting. create: as dry runs, to see whether a runner pod would get its sidecar; "
        "patch: the deletion cost of daemons' pods, so that the emptiest go first. The ValidatingAdmissionPolicy "
        "buildkit-operator-probe refuses all others.",
    ),
    ChildKind(
        PERSISTENT_VOLUME_CLAIM,
        Watched(keep_claim_state),
        Apply.NEVER,
        _made_by_others,
        # Never deleted, whatever label they have: they belong to the StatefulSet or to nobody.
        pruned=False,
        verbs=("get", "list", "watch", "patch"),
        why="The PVCs of shared builders, which StatefulSets make, are told to grow; and whether that of a local "
        "cache is there.",
    ),
)

BY_RESOURCE: Final[Mapping[Resource, ChildKind]] = {kind.resource: kind for kind in CHILD_KINDS}

BY_KIND: Final[Mapping[str, ChildKind]] = {kind.resource.kind: kind for kind in CHILD_KINDS}
"""The same, by what a manifest says of its kind: no two groups have one of a name here."""
