"""Watch configuration of builders: the watched child kinds, and what the informer cache keeps of each object."""

from __future__ import annotations

import json
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.controller.child_kinds import CHILD_KINDS, Watched
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.resources import POD, Key, Manifest


def provider_of(builder: Manifest) -> Key | None:
    """Return the builder of another namespace whose daemons a builder uses, as its spec says; valid it need not be."""
    provider = ((builder.get("spec") or {}).get("shared") or {}).get("from")
    return None if provider is None else (provider["namespace"], provider["name"])


def keep_builder(builder: Manifest) -> Manifest:
    """Return what is kept of a builder: all of it but the notes of others, which may be longer than the rest.

    Of a large one only what is asked of all builders at once: see builders.py, which reads the rest.
    """
    metadata = {key: value for key, value in builder["metadata"].items() if key in _METADATA}
    kept = {**builder, "metadata": metadata}
    return kept if is_reduced(kept) or len(json.dumps(kept)) <= LONGEST_KEPT else _reduced(kept)


def is_reduced(kept: Manifest) -> bool:
    """Tell whether only a part of a builder is kept."""
    return _REDUCED in kept


def _reduced(builder: Manifest) -> Manifest:
    spec, status = builder.get("spec") or {}, builder.get("status") or {}
    shared = {key: value for key, value in (spec.get("shared") or {}).items() if key in _OF_SHARED}
    return {
        **{key: builder[key] for key in ("apiVersion", "kind", "metadata") if key in builder},
        "spec": {
            **{key: spec[key] for key in ("mode",) if key in spec},
            **({"shared": shared} if shared else {}),
        },
        "status": {key: status[key] for key in _OF_STATUS if key in status},
        _REDUCED: True,
    }


LONGEST_KEPT: Final = 64 * 1024
"""Bytes of JSON of a builder that is kept whole. Usual ones have five or ten thousand."""
_REDUCED: Final = "reduced"
"""A key that no object has beside its metadata."""
_OF_SHARED: Final = ("from", "replicas", "autoscaling", "architectures")
_OF_STATUS: Final = (
    "autoscaling", "conditions", "certificateNotAfterTime", "certificateNotBeforeTime", "managedBy", "pods",
    "readyReplicas",
)  # fmt: skip
_METADATA: Final = (
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
)  # fmt: skip

BUILDERS: Final = Kinds(
    primary=names.BUILDER,
    children={kind.resource: kind.read.keep for kind in CHILD_KINDS if isinstance(kind.read, Watched)},
    owner_label=names.OWNER_LABEL,
    refers_to=provider_of,
    keep_primary=keep_builder,
    told_to_referred=frozenset({POD}),
)
