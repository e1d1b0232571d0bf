"""What every program asks of a plain object: a condition, its controller owner reference, whether a pod has ended."""

from __future__ import annotations

from buildkit_operator.kube.resources import Manifest


def condition(manifest: Manifest, kind: str) -> Manifest:
    """Return a condition of an object, empty where it has none of that type."""
    conditions: list[Manifest] = (manifest.get("status") or {}).get("conditions") or []
    return next((found for found in conditions if found.get("type") == kind), {})


def controller_of(manifest: Manifest) -> Manifest | None:
    """Return the owner reference to an object's controller, of which there is one at most; None where there is none."""
    references: list[Manifest] = manifest["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def owned_by(manifest: Manifest, uid: str) -> bool:
    """Tell whether the object's controller is the one with this uid; the owner label alone anybody can set."""
    owner = controller_of(manifest)
    return owner is not None and bool(owner["uid"] == uid)


def has_ended(pod: Manifest) -> bool:
    """Tell whether a pod has ended for good; a Deployment leaves such pods, evicted ones for instance, lying about."""
    return (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}
