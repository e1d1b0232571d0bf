"""Watch configuration: a primary kind, its children, and the cache transform of each, which keeps what is needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from buildkit_operator.kube.resources import Key, Manifest, Resource

Reconcile: TypeAlias = Callable[[Key], Awaitable[float | None]]
"""Brings one primary object closer to what it should be.

Returns the seconds after which it wants to be called again, or None. What it raises is tried again with a backoff.
"""

Transform: TypeAlias = Callable[[Manifest], Manifest | None]
"""Cache transform: returns a copy with what is worth keeping, None where nothing is: anybody may set our label.

The original, which others hold too, stays as it is. What was transformed before is returned as it is.
"""

Listed: TypeAlias = MutableMapping[tuple[Resource, str | None], int]
"""Versions of lists that are in the cache, by kind and namespace, None for all of them."""

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl's own copy of the whole object, which it leaves in an annotation."""


def drop_bookkeeping(manifest: Manifest) -> Manifest:
    """Return an object without the two records of who wrote what, which are often longer than the object."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    if LAST_APPLIED in (metadata.get("annotations") or ()):
        metadata["annotations"] = _without(metadata["annotations"], LAST_APPLIED)
    return {**manifest, "metadata": metadata}


def _without(mapping: Manifest, key: str) -> Manifest:
    return {name: value for name, value in mapping.items() if name != key}


@dataclass(frozen=True, slots=True)
class Kinds:
    """A primary kind, whose objects are reconciled, and the kinds of its children."""

    primary: Resource
    children: Mapping[Resource, Transform]
    owner_label: str
    """Label on every child: the name of the primary object, in the same namespace, that it belongs to."""
    refers_to: Callable[[Manifest], Key | None] = field(default=lambda _manifest: None)
    """Returns another primary object that a primary object depends on, if it does."""
    keep_primary: Transform = drop_bookkeeping
    """What is kept of a primary object."""
    told_to_referred: frozenset[Resource] = frozenset()
    """Kinds of children whose news also concern the primary object that their own one refers to."""

    @property
    def all(self) -> tuple[Resource, ...]:
        """Every watched kind, the primary one last: nothing is reconciled before its children are known."""
        return (*self.children, self.primary)

    def selector(self, resource: Resource) -> str | None:
        """Label selector by which the server leaves out what is none of our business."""
        return None if resource == self.primary else self.owner_label

    def keep(self, resource: Resource, manifest: Manifest) -> Manifest | None:
        """Return a copy of an object with what its kind's transform keeps, None where that is nothing."""
        return (self.keep_primary if resource == self.primary else self.children[resource])(manifest)
