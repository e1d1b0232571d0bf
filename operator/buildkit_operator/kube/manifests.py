"""What every program asks of a plain object: a condition, its controller, its version, whether a pod has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from buildkit_operator.kube.resources import Manifest, Resource

NO_VERSION: Final = "1"
"""A resourceVersion that no object has: etcd's first revision is older than every object."""


def condition(manifest: Manifest, kind: str) -> Manifest:
    """Return a condition of an object, empty where it has none of that type."""
    conditions: list[Manifest] = (manifest.get("status") or {}).get("conditions") or []
    return next((found for found in conditions if found.get("type") == kind), {})


def timestamp(moment: datetime) -> str:
    """Return a time as the API server writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def controller_of(manifest: Manifest) -> Manifest | None:
    """Return the owner reference to an object's controller, of which there is one at most; None where there is none."""
    references: list[Manifest] = manifest["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def is_of(reference: Manifest, resource: Resource) -> bool:
    """Tell whether an owner reference is to an object of this kind, in whatever version of its API group."""
    group, _, _ = str(reference["apiVersion"]).rpartition("/")
    return (group, reference["kind"]) == (resource.group, resource.kind)


def owned_by(manifest: Manifest, resource: Resource, uid: str) -> bool:
    """Tell whether the object's controller is the one of this kind with this uid.

    The owner label alone anybody can set; and a reference with the uid of another kind's object is to nothing.
    """
    owner = controller_of(manifest)
    return owner is not None and is_of(owner, resource) and bool(owner["uid"] == uid)


def version_of(manifest: Manifest | None) -> Manifest:
    """Return the fields of metadata by which an apply is refused unless the object is still this one, or still none.

    With its uid it is not made anew, should somebody have deleted it.
    """
    if manifest is None:
        return {"resourceVersion": NO_VERSION}
    return {key: manifest["metadata"][key] for key in ("uid", "resourceVersion")}


def without_version(manifest: Manifest) -> Manifest:
    """Return the manifest without what `version_of` returns."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in {"uid", "resourceVersion"}}
    return {**manifest, "metadata": metadata}


def has_ended(pod: Manifest) -> bool:
    """Tell whether a pod has ended for good; a Deployment leaves such pods, evicted ones for instance, lying about."""
    return (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}
