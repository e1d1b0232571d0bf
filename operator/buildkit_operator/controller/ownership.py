"""Ownership of child objects: whose an object is, which are adopted, and what is said of the others. No I/O.

Owners get lost: backups are restored without owner references, and `kubectl delete --cascade=orphan` takes them away.
What then still says by its labels that the operator made it for the builder is adopted, as controllers of Kubernetes do
by their selectors: who could have put it there could also have changed the builder's own. The Secret with its
authority's key is not: who only may create Secrets could have put there, long before, a key that they know, and clients
would trust it. That one a person has to give to the builder, by the command that the condition names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Final, TypeAlias

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.metadata import labels, owner_reference
from buildkit_operator.kube.manifests import controller_of, is_of, owned_by
from buildkit_operator.kube.resources import SECRET, Manifest, Resource

Found: TypeAlias = tuple[Resource, Manifest]
"""An object, of which at least the metadata is there, with its kind."""

_TELLING: Final = (names.OWNER_LABEL, "app.kubernetes.io/managed-by")
"""Labels by which an object says that the operator made it for a builder."""

_NOBODY: Final = "nobody that this operator knows"


class PreviousOwnerTerminating(Exception):  # noqa: N818  no error: it passes
    """A child still belongs to a deleted builder of the same name, and is about to be garbage-collected."""


def is_ours(live: Manifest, builder: BuildKitBuilder) -> bool:
    """Tell whether an object belongs to the builder: by its controller, whatever label it has."""
    return owned_by(live, names.BUILDER, builder.metadata.uid)


def is_adoptable(found: Found, builder: BuildKitBuilder) -> bool:
    """Tell whether an object has lost its owner and may be given to the builder."""
    resource, live = found
    return _is_orphan(live, builder) and not _holds_authority(resource, live, builder)


def adopted(found: Found, builder: BuildKitBuilder) -> Manifest:
    """Return the merge patch that gives an object to the builder, refused if it is another one by then."""
    resource, live = found
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
    others = live["metadata"].get("ownerReferences") or []
    metadata["ownerReferences"] = [*others, owner_reference(builder)]
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def ownership_conflict(
    builder: BuildKitBuilder, conflicts: Sequence[Found]
) -> PreviousOwnerTerminating | TerminalError:
    """Return what is in the way of applying objects that others own: nothing of anybody else's is taken over."""
    theirs = [found for found in conflicts if not _is_left_over(found[1], builder)]
    if not theirs:
        resource, live = conflicts[0]
        return PreviousOwnerTerminating(
            f"{resource.kind} {live['metadata']['name']} belongs to a deleted builder of the same name."
        )
    keys = [found for found in theirs if _holds_authority(*found, builder) and _is_orphan(found[1], builder)]
    rest = sorted((found for found in theirs if found not in keys), key=_whose)
    sentences = [_of_authority(builder)] if keys else []
    if rest:
        sentences.append(_of_others(builder, rest))
    return TerminalError(Reason.NAME_CONFLICT, " ".join(sentences))


def _is_orphan(live: Manifest, builder: BuildKitBuilder) -> bool:
    metadata, ours = live["metadata"], labels(builder)
    its = metadata.get("labels") or {}
    says_so = all(its.get(key) == ours[key] for key in _TELLING)
    return says_so and controller_of(live) is None and "deletionTimestamp" not in metadata


def _holds_authority(resource: Resource, live: Manifest, builder: BuildKitBuilder) -> bool:
    return resource is SECRET and live["metadata"]["name"] == names.authority_secret(builder.metadata.name)


def _is_left_over(live: Manifest, builder: BuildKitBuilder) -> bool:
    """Tell whether an object belongs to a deleted builder of the same name."""
    owner = controller_of(live)
    return owner is not None and is_of(owner, names.BUILDER) and bool(owner["name"] == builder.metadata.name)


def _whose(found: Found) -> str:
    owner = controller_of(found[1])
    return _NOBODY if owner is None else f"{owner['kind']} {owner['name']}"


def _of_authority(builder: BuildKitBuilder) -> str:
    """Say how the authority comes back to the builder: no certificate is made by another one meanwhile."""
    name, namespace = builder.metadata.name, builder.metadata.namespace
    secret = names.authority_secret(name)
    patch = json.dumps({"metadata": {"ownerReferences": [owner_reference(builder)]}}, separators=(",", ":"))
    return (
        f"Secret {secret} holds a CA and has lost its owner, as after a restore from a backup, or somebody else has "
        "put it there: it is neither used nor replaced. If this builder made it, give it back: "
        f"kubectl patch secret {secret} -n {namespace} --type=merge -p '{patch}'. If not, delete it."
    )


def _of_others(builder: BuildKitBuilder, found: Sequence[Found]) -> str:
    """Name all of them at once: whoever acts does so once."""
    groups = [(whose, list(group)) for whose, group in groupby(found, key=_whose)]
    whose = "; ".join(
        f"{_listed(group)} {'exists' if len(group) == 1 else 'exist'} already and "
        f"{'belongs' if len(group) == 1 else 'belong'} to {owner}"
        for owner, group in groups
    )
    one = len(found) == 1
    them = "it" if one else "them"
    sentence = (
        f"{whose}, so {'it was' if one else 'they were'} left alone. "
        f"Delete or rename {them}, or give the builder another name."
    )
    lost = [entry for owner, group in groups if owner == _NOBODY for entry in group]
    return sentence if not lost else f"{sentence} {_how_to_give(builder, lost)}"


def _how_to_give(builder: BuildKitBuilder, found: Sequence[Found]) -> str:
    """Say how objects are marked as the builder's, by one command for all; it then adopts them."""
    objects = " ".join(f"{resource.plural}/{live['metadata']['name']}" for resource, live in found)
    marks = " ".join(f"{key}={labels(builder)[key]}" for key in _TELLING)
    return (
        "What this builder made before, and lost by a restore, it takes back once it is labelled so: "
        f"kubectl label -n {builder.metadata.namespace} {objects} {marks}."
    )


def _listed(found: Sequence[Found]) -> str:
    texts = [f"{resource.kind} {live['metadata']['name']}" for resource, live in found]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
