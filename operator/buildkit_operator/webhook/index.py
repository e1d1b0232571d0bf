"""Index of builders over the informer cache, by namespace and name; each is unpacked once until it changes."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from typing import Final

from buildkit_operator.admission.params import Params
from buildkit_operator.api import names
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.resources import Key, Manifest

UNPACKED: Final = 512
"""Builders that are kept unpacked as well, for the next pod; of more than that, those that have been so for longest."""


def keep_injection(builder: Manifest) -> Manifest:
    """Return what admission asks of a builder: who it is, which pods it picks, and all that a pod gets."""
    metadata, spec, status = builder["metadata"], builder.get("spec") or {}, builder.get("status") or {}
    injection = {key: spec["injection"][key] for key in ("podSelector",) if key in (spec.get("injection") or {})}
    return {
        "apiVersion": builder.get("apiVersion"),
        "kind": builder.get("kind"),
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion") if key in metadata},
        "spec": {
            **{key: spec[key] for key in ("mode", "isolation") if key in spec},
            **({"injection": injection} if injection else {}),
        },
        "status": {key: status[key] for key in ("injection", "conditions") if key in status},
    }


KINDS: Final = Kinds(primary=names.BUILDER, children={}, owner_label=names.OWNER_LABEL, keep_primary=keep_injection)
"""Builders alone: all that a pod gets stands in their status."""


class BuilderIndex:
    """The builders of a cache, as admission.review asks for them."""

    def __init__(self, cache: Cache) -> None:
        """Look them up in `cache`, and in nothing before `changed` was called for it."""
        self._cache = cache
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._unpacked: OrderedDict[Key, Params] = OrderedDict()

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

    def get(self, namespace: str, name: str) -> Params | None:
        """Return a builder, or None where there is none of that name; it is not the caller's to change."""
        found = self._unpacked.get((namespace, name))
        if found is None:
            builder = self._cache.get(KINDS.primary, namespace, name)
            if builder is not None:
                found = self._unpacked[namespace, name] = Params(builder)
                if len(self._unpacked) > UNPACKED:
                    self._unpacked.popitem(last=False)
        return found

    def list(self, namespace: str) -> Iterator[Params]:
        """Return the builders of a namespace; they are not the caller's to change."""
        for name in self._names.get(namespace, ()):
            builder = self.get(namespace, name)
            if builder is not None:
                yield builder
