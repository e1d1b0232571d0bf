"""Informer cache: every watched object as the API server told of it last, by watches, lists and answers to writes."""

from __future__ import annotations

import json
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.resources import Key, Manifest, Resource

REMEMBERED_REMOVALS: Final = 4096
"""How many removed objects' versions are kept, against news of them that arrives late."""

COMPRESSED_FROM: Final = 16 * 1024
"""Bytes of JSON from which an object is compressed."""

NO_KEYS: Final[frozenset[Key]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Entry:
    """One object: what is asked of it often, and the rest packed."""

    uid: str
    version: int
    owner: Key
    packed: bytes
    """The object, see `pack`."""

    def unpacked(self) -> Manifest:
        return unpack(self.packed)


def pack(manifest: Manifest) -> bytes:
    """Return an object as JSON in UTF-8: a fifth of the memory that its dicts take; a large one is compressed too."""
    packed = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False).encode()
    return packed if len(packed) < COMPRESSED_FROM else zlib.compress(packed, level=1)


def unpack(packed: bytes) -> Manifest:
    """Return a packed object, which takes some 20 microseconds."""
    manifest: Manifest = json.loads(packed if packed.startswith(b"{") else zlib.decompress(packed))
    return manifest


class Cache:
    """Live objects by kind, namespace and name, and by the primary object they belong to.

    What it hands out is the caller's own. Nothing here awaits, so every method is atomic in the event loop.
    What is older than what is cached is ignored: an answer to our own write often overtakes the watch.
    """

    def __init__(self, kinds: Kinds) -> None:
        """Start empty."""
        self._kinds = kinds
        self._objects: dict[Resource, dict[Key, _Entry]] = {resource: {} for resource in kinds.all}
        self._children: defaultdict[Key, dict[Resource, set[str]]] = defaultdict(dict)
        self._references: dict[Key, Key] = {}
        self._dependents: defaultdict[Key, set[Key]] = defaultdict(set)
        self._removed: OrderedDict[str, int] = OrderedDict()

    def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as it was last seen; None where there is none, or it lacks the owner label."""
        entry = self._objects[resource].get((namespace, name))
        return None if entry is None else entry.unpacked()

    def primary_keys(self) -> list[Key]:
        """Return the keys of all primary objects."""
        return list(self._objects[self._kinds.primary])

    def children(self, key: Key, resource: Resource | None = None) -> list[Manifest]:
        """Return the objects whose owner label names `key`, of one kind or of all, by kind and name."""
        children = self._children.get(key, {})
        kinds = sorted(children, key=lambda kind: kind.kind) if resource is None else [resource]
        return [
            self._objects[kind][key[0], name].unpacked() for kind in kinds for name in sorted(children.get(kind, ()))
        ]

    def count_children(self, key: Key) -> int:
        """Count the objects whose owner label names `key`."""
        return sum(len(names) for names in self._children.get(key, {}).values())

    def dependents(self, key: Key) -> frozenset[Key]:
        """Return the primary objects that refer to this one, whether it exists or not."""
        return frozenset(self._dependents.get(key, ()))

    def count(self, resource: Resource) -> int:
        """Count the objects of a kind."""
        return len(self._objects[resource])

    def knows(self, resource: Resource, key: Key, uid: str, version: int) -> bool:
        """Tell whether an object is cached as it was then or later."""
        known = self._objects[resource].get(key)
        return known is not None and known.uid == uid and known.version >= version

    def put(self, resource: Resource, manifest: Manifest) -> frozenset[Key]:
        """Upsert; return the keys to enqueue; a stale resourceVersion is ignored."""
        key, uid, version = _identity(manifest)
        known = self._objects[resource].get(key)
        if version <= self._removed.get(uid, -1) or (known is not None and version <= known.version):
            return NO_KEYS
        concerned = self._drop(resource, key)
        owner, kept = self._owner(resource, manifest), self._kinds.keep(resource, manifest)
        if owner is None:  # the answer to a write shows a child that has just lost its label
            return concerned
        if kept is None:  # somebody else's, which may be in the way of one of ours
            return concerned | {owner}
        self._objects[resource][key] = _Entry(uid, version, owner, pack(kept))
        if resource != self._kinds.primary:
            self._children[owner].setdefault(resource, set()).add(key[1])
            return concerned | self._concerned(resource, owner)
        self._refer(key, self._kinds.refers_to(manifest))
        return concerned | {owner} | self.dependents(key)

    def remove(self, resource: Resource, manifest: Manifest) -> frozenset[Key]:
        """Delete an object that is gone or lost its label; return the keys to enqueue."""
        key, uid, version = _identity(manifest)
        self._remember_removal(uid, version)
        known = self._objects[resource].get(key)
        if known is None:
            owner = self._owner(resource, manifest)  # of somebody else's object, which is in nobody's way any more
            return NO_KEYS if owner is None else frozenset({owner})
        if known.uid != uid or version < known.version:
            return NO_KEYS
        return self._drop(resource, key)

    def prune(
        self, resource: Resource, namespace: str | None, uids: Iterable[str], resource_version: int
    ) -> frozenset[Key]:
        """Delete what a list of this version, of one namespace or of all, does not hold; newer objects stay.

        This finds the deletions that a watch missed while it was disconnected. Returns the keys to enqueue.
        """
        listed = frozenset(uids)
        gone = [
            (key, entry.uid)
            for key, entry in self._objects[resource].items()
            if namespace in (None, key[0]) and entry.uid not in listed and entry.version <= resource_version
        ]
        for _key, uid in gone:
            self._remember_removal(uid, resource_version)
        return NO_KEYS.union(*(self._drop(resource, key) for key, _uid in gone))

    def _owner(self, resource: Resource, manifest: Manifest) -> Key | None:
        metadata = manifest["metadata"]
        name = metadata["name"]
        if resource != self._kinds.primary:
            name = (metadata.get("labels") or {}).get(self._kinds.owner_label)
        return None if name is None else (metadata["namespace"], name)

    def _drop(self, resource: Resource, key: Key) -> frozenset[Key]:
        entry = self._objects[resource].pop(key, None)
        if entry is None:
            return NO_KEYS
        if resource != self._kinds.primary:
            siblings = self._children[entry.owner]
            siblings[resource].discard(key[1])
            if not any(siblings.values()):
                del self._children[entry.owner]
            return self._concerned(resource, entry.owner)
        self._refer(key, None)
        return frozenset({key}) | self.dependents(key)

    def _concerned(self, resource: Resource, owner: Key) -> frozenset[Key]:
        """Return the primary objects that news of a child are for."""
        referred = self._references.get(owner) if resource in self._kinds.told_to_referred else None
        return frozenset({owner}) if referred is None else frozenset({owner, referred})

    def _refer(self, key: Key, to: Key | None) -> None:
        before = self._references.pop(key, None)
        if before is not None:
            self._dependents[before].discard(key)
            if not self._dependents[before]:
                del self._dependents[before]
        if to is not None:
            self._references[key] = to
            self._dependents[to].add(key)

    def _remember_removal(self, uid: str, version: int) -> None:
        self._removed[uid] = max(version, self._removed.pop(uid, version))
        if len(self._removed) > REMEMBERED_REMOVALS:
            self._removed.popitem(last=False)


def _identity(manifest: Manifest) -> tuple[Key, str, int]:
    metadata = manifest["metadata"]
    # Versions of one kind can be compared as numbers (KEP-5504).
    return (metadata["namespace"], metadata["name"]), metadata["uid"], int(metadata["resourceVersion"])
