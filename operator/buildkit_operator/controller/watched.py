"""Watch configuration of builders: the watched child kinds, and what the informer cache keeps of each object."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api import names
from buildkit_operator.controller.child_kinds import CHILD_KINDS, Watched
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.resources import Key, Manifest


def provider_of(builder: Manifest) -> Key | None:
    """Return the builder of another namespace whose daemons a builder uses, as its spec says; valid it need not be."""
    provider = ((builder.get("spec") or {}).get("shared") or {}).get("from")
    return None if provider is None else (provider["namespace"], provider["name"])


BUILDERS: Final = Kinds(
    primary=names.BUILDER,
    children={kind.resource: kind.read.keep for kind in CHILD_KINDS if isinstance(kind.read, Watched)},
    owner_label=names.OWNER_LABEL,
    refers_to=provider_of,
)
