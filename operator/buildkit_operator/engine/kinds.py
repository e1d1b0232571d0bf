"""What the operator watches, and how much of each object it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from buildkit_operator.api import names
from buildkit_operator.kube.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Manifest,
    Resource,
)

Key: TypeAlias = tuple[str, str]
"""Namespace and name of a builder."""

Trim: TypeAlias = Callable[[Manifest], Manifest]
"""Copies of an object what is worth keeping; never changes the original, which others hold too."""

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl's own copy of the whole object, which it leaves in an annotation."""

_TIMES: Final = ("creationTimestamp", "deletionTimestamp")


@dataclass(frozen=True, slots=True)
class Kinds:
    """A primary kind, whose objects are reconciled, and the kinds of its children."""

    primary: Resource
    children: Mapping[Resource, Trim]
    owner_label: str
    """Label on every child: the name of the primary object, in the same namespace, that it belongs to."""
    refers_to: Callable[[Manifest], Key | None] = field(default=lambda _manifest: None)
    """Gives another primary object that a primary object depends on, if it does."""
    narrowing: str = ""
    """Label selector of the children that are watched, where not all with that label are."""

    @property
    def all(self) -> tuple[Resource, ...]:
        """Every watched kind, the primary one last: nothing is reconciled before its children are known."""
        return (*self.children, self.primary)

    def selector(self, resource: Resource) -> str | None:
        """Label selector by which the server leaves out what is none of our business."""
        return None if resource == self.primary else self.child_selector

    @property
    def child_selector(self) -> str:
        """Label selector of all children."""
        return f"{self.owner_label},{self.narrowing}" if self.narrowing else self.owner_label

    def trim(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Copy what is worth keeping of an object."""
        return self.children.get(resource, keep_all)(manifest)


def keep_all(manifest: Manifest) -> Manifest:
    """Keep an object without the two records of who wrote what, which are often longer than the object."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    if LAST_APPLIED in (metadata.get("annotations") or ()):
        metadata["annotations"] = _without(metadata["annotations"], LAST_APPLIED)
    return {**manifest, "metadata": metadata}


def keep_pod_state(pod: Manifest) -> Manifest:
    """Keep of a pod what tells how its daemon is doing: its identity, its conditions and its containers' states."""
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


def _only(mapping: Manifest, keys: Iterable[str]) -> Manifest:
    return {key: mapping[key] for key in keys if key in mapping}


def _without(mapping: Manifest, key: str) -> Manifest:
    return {name: value for name, value in mapping.items() if name != key}


def provider_of(builder: Manifest) -> Key | None:
    """Give the builder of another namespace whose daemons a builder uses, as its spec says; valid it need not be."""
    provider = ((builder.get("spec") or {}).get("shared") or {}).get("from")
    return None if provider is None else (provider["namespace"], provider["name"])


BUILDERS: Final = Kinds(
    primary=Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND),
    children={
        DEPLOYMENT: keep_all,
        STATEFUL_SET: keep_all,
        # Never deleted, whatever label they have: they belong to the StatefulSet or to nobody.
        PERSISTENT_VOLUME_CLAIM: keep_all,
        SERVICE: keep_all,
        CONFIG_MAP: keep_all,
        SERVICE_ACCOUNT: keep_all,
        POD_DISRUPTION_BUDGET: keep_all,
        NETWORK_POLICY: keep_all,
        POD: keep_pod_state,
    },
    owner_label=names.OWNER_LABEL,
    refers_to=provider_of,
)
"""Secrets are not among them: they are read by name, so that RBAC need not allow listing them."""
