"""Objects that cannot be read whole: each is told of once, by its name, and counted."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from buildkit_operator.kube import decoding
from buildkit_operator.kube.resources import Manifest, Resource

REMEMBERED: Final = 2048
"""Objects that were told of and will not be again; of more than that, the oldest are forgotten."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class UnreadableObjects:
    """Looks through what comes from the API server."""

    observe: Callable[[str], None] = lambda _resource: None
    """Called with the kind of each that is told of."""
    _told: OrderedDict[tuple[Resource, str, str], None] = field(default_factory=OrderedDict)

    def check(self, resource: Resource, manifest: Manifest) -> None:
        """Leave out of an object, in place, what is not to be read, and tell of it."""
        if decoding.shorten(manifest):
            metadata = manifest.get("metadata") or {}
            self.tell(resource, str(metadata.get("namespace", "")), str(metadata.get("name", "")))

    def tell(self, resource: Resource, namespace: str, name: str) -> None:
        """Log, once for each object, that something of it is not read."""
        who = (resource, namespace, name)
        is_known = who in self._told
        self._told[who] = None
        self._told.move_to_end(who)
        if is_known:
            return
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self.observe(resource.display_name)
        logger.warning(
            "%s %s of namespace %s is not read whole: it is larger than %d MiB, nested deeper than %d levels, or has a "
            "number out of range. Look at its metadata.managedFields too, which kubectl hides without "
            "--show-managed-fields.",
            resource.kind,
            name,
            namespace,
            decoding.MAX_BYTES >> 20,
            decoding.MAX_DEPTH,
        )
