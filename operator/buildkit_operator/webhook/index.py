"""Index of builders over the informer cache, by namespace and name; each is unpacked once until it changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.resources import Key, Manifest

KINDS: Final = Kinds(primary=names.BUILDER, children={}, owner_label=names.OWNER_LABEL)
"""Builders alone: all that a pod gets stands in their status."""


class BuilderIndex:
    """The builders of a cache, as admission.review asks for them."""

    def __init__(self, cache: Cache) -> None:
        """Look them up in `cache`, and in nothing before `changed` was called for it."""
        self._cache = cache
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._unpacked: dict[Key, Manifest] = {}

    def changed(self, key: Key) -> None:
        """Take note that a builder is new, changed or gone."""
        namespace, name = key
        self._unpacked.pop(key, None)
        if self._cache.get(KINDS.primary, namespace, name) is not None:
            self._names[namespace].add(name)
            return
        self._names[namespace].discard(name)
        if not self._names[namespace]:
            del self._names[namespace]

    def get(self, namespace: str, name: str) -> Manifest | None:
        """Return a builder, or None where there is none of that name; it is not the caller's to change."""
        found = self._unpacked.get((namespace, name))
        if found is None:
            found = self._cache.get(KINDS.primary, namespace, name)
            if found is not None:
                self._unpacked[namespace, name] = found
        return found

    def list(self, namespace: str) -> Iterator[Manifest]:
        """Return the builders of a namespace; they are not the caller's to change."""
        for name in self._names.get(namespace, ()):
            builder = self.get(namespace, name)
            if builder is not None:
                yield builder
