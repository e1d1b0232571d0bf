"""Diagnosis of refused runner pods: whether it is for what is added to them, or for others' reasons. No I/O.

Every pod is refused that asks for a builder whose own part the API server, or a policy of the cluster, does not take.
What else refuses one pod, such as a quota that is used up, may let the next one through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import Reason
from buildkit_operator.kube import errors, quantity
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import CONNECTOR_IMAGE_SETTING, Finding, sentence

CONSTRAINTS_PAGE: Final = f"{names.DOCUMENTATION}/constraints/"
"""What our containers have that policies ask for, and what they cannot have."""

UNTRIED: Final = ("A probe pod was refused, though: ", "Whether pods get it could not be tried: ")
"""So begin the remarks on a builder of which it is not known how its runner pods fare."""

_INJECTED_FIELDS: Final = (
    "spec.initContainers[",
    "spec.volumes[",
    "spec.containers[0].env[",
    "spec.containers[0].volumeMounts[",
    "spec.hostUsers",
    "metadata.labels",
)
"""Where the pod that is tried has nothing of its own, or nothing that validation could refuse."""

_INVALID: Final = 'Pod "'
"""So begins what validation says, in contrast to policies and webhooks."""

_UNLIMITED: Final = re.compile(r"for: ([\w.,-]+)")
"""Containers that lack what a quota counts (kubernetes, resourcequota/controller.go: must specify … for: a,b)."""

_OUT_OF_RANGE: Final = re.compile(
    r"(?:minimum|maximum) \S+ usage per Container is|max limit to request ratio per Container"
)
"""What a LimitRange says of a container that it does not name (kubernetes, limitranger/admission.go). It is ours: the
only other one of the pod that is tried asks for the same.
"""

_POD_OUT_OF_RANGE: Final = re.compile(r"maximum \S+ usage per Pod is (\S+), but (?:request|limit) is ([\w.]+)")
_IMAGE: Final = re.compile(r"\b(?:images?|registr(?:y|ies)|repositor(?:y|ies)|digests?|tags?)\b", re.IGNORECASE)
"""Words that policies on images have in common."""

_QUOTA: Final = re.compile(r"exceeded quota: \S+, requested: (?P<requested>\S+), used: \S+, limited: (?P<limited>\S+)")
"""What a quota says of a pod that would be too much (kubernetes, resourcequota/controller.go)."""

_COUNTED: Final = ("pods", "count/")
"""So begins what a quota counts by the pod, with or without a container of ours; all else is what containers ask."""


def refused_injection(
    builder: BuildKitBuilder, injection: Manifest, error: errors.ApiError, said: str
) -> Finding | None:
    """Return why pods are refused for what is added to them; None where the words alone do not tell that.

    `said` are the server's words, as they are to be told.
    """
    if isinstance(error, errors.Invalid) and _INVALID in said:
        if any(field.startswith(_INJECTED_FIELDS) for field in error.fields):
            message = f"The API server refuses pods with what this builder adds to them: {said}"
            return Finding(Reason.REJECTED, message)
        return None
    if not (_lacks_amounts(injection, said) or _OUT_OF_RANGE.search(said) or _is_never_enough(said)):
        return None
    return Finding(
        Reason.PODS_REFUSED,
        f"Every pod with the label of this builder is refused for the container that is added to it: {sentence(said)} "
        f"Set {_resources_field(builder)} to what the namespace takes, or let a LimitRange set defaults for containers "
        "that lack them.",
    )


def names_image(said: str) -> bool:
    """Tell whether a refusal is about an image: the pods that are tried have no other than that of what is added."""
    return _IMAGE.search(said) is not None


def refused_by_policy(builder: BuildKitBuilder, said: str) -> Finding:
    """Return the finding that a policy of the cluster refuses what is added, as it takes a pod without it."""
    image = "spec.image" if builder.role is Role.SIDECAR else CONNECTOR_IMAGE_SETTING
    return Finding(
        Reason.PODS_REFUSED,
        f"Every pod with the label of this builder is refused for what is added to it: {sentence(said)} Give the "
        f"container what the policy asks for, by {_resources_field(builder)} or {image}; or exempt containers named "
        f"{', '.join(names.SIDECARS)} from it. What they can have: {CONSTRAINTS_PAGE}",
    )


def refused_by_others(said: str) -> Finding:
    """Return the finding that a pod could not be tried, for reasons that are not the builder's."""
    return Finding(Reason.PODS_REFUSED, f"{UNTRIED[0]}{sentence(said)}")


def not_allowed_to_try(right: str) -> Finding:
    """Return the finding that the operator lacks the right to try a pod."""
    return Finding(Reason.PODS_REFUSED, f"{UNTRIED[1]}the operator may not {right}.")


def _resources_field(builder: BuildKitBuilder) -> str:
    return "spec.resources" if builder.role is Role.SIDECAR else "spec.injection.connector.resources"


def _lacks_amounts(injection: Manifest, said: str) -> bool:
    """Tell whether a quota wants amounts of the container that is added."""
    if "must specify" not in said:
        return False
    lacking = {name for found in _UNLIMITED.findall(said) for name in found.split(",")}
    return any(container["name"] in lacking for container in injection["initContainers"])


def _is_never_enough(said: str) -> bool:
    """Tell whether the container that is added is by itself more than the namespace ever gives to a pod."""
    # The pod's own container wants the same.
    return any(amount / 2 > allowed for amount, allowed in _bounds(said))


def _bounds(said: str) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield how much of something the pod's containers want together, and how much of it a pod may have."""
    for most, wanted in _POD_OUT_OF_RANGE.findall(said):
        yield quantity.value(wanted), quantity.value(most)
    for found in _QUOTA.finditer(said):
        limited = _amounts(found["limited"])
        for resource, wanted in _amounts(found["requested"]).items():
            if resource in limited and not resource.startswith(_COUNTED):
                yield wanted, limited[resource]


def _amounts(listed: str) -> dict[str, Decimal]:
    pairs = (item.rpartition("=") for item in listed.rstrip(".,;]").split(","))
    return {name: quantity.value(amount) for name, _, amount in pairs if quantity.is_quantity(amount)}
