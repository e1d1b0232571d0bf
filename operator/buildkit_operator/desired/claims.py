"""PersistentVolumeClaims of a builder: their template, their expansion, and how much room they give. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired.cache_volume import STATE_VOLUME, claim_labels, claim_spec
from buildkit_operator.kube import quantity
from buildkit_operator.kube.resources import Manifest

_RESIZE_ERRORS: Final = ("ControllerResizeError", "NodeResizeError")
"""Conditions of a claim whose storage failed to grow it (KEP-1790)."""


@dataclass(frozen=True)
class Claim:
    """What is seen of one claim."""

    name: str
    uid: str
    requested: str
    """The size it asks for, a quantity."""
    capacity: str | None
    """The size its volume has; None before it has one."""
    phase: str
    storage_class: str | None
    failure: str | None = None
    """What its storage said when it failed to grow it."""
    refusal: str | None = None
    """What the API server said when it refused to have it grow."""

    @classmethod
    def of(cls, manifest: Manifest, refusal: str | None) -> Claim:
        """Read a live claim."""
        metadata, spec, status = manifest["metadata"], manifest["spec"], manifest.get("status", {})
        conditions = status.get("conditions") or ()
        failures = [c for c in conditions if c["type"] in _RESIZE_ERRORS and c["status"] == "True"]
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            requested=spec["resources"]["requests"]["storage"],
            capacity=status.get("capacity", {}).get("storage"),
            phase=status.get("phase", "Pending"),
            storage_class=spec.get("storageClassName"),
            failure=str(failures[0].get("message")) if failures else None,
            refusal=refusal,
        )

    @property
    def pod(self) -> str:
        """Name of the pod that uses it."""
        return self.name.removeprefix(f"{STATE_VOLUME}-")

    @property
    def workload(self) -> str:
        """Name of the StatefulSet that it is of."""
        return self.pod.rpartition("-")[0]

    def is_smaller(self, size: str) -> bool:
        """Tell whether there is a volume that does not have this size yet."""
        return self.capacity is not None and quantity.value(self.capacity) < quantity.value(size)

    def is_stuck(self) -> bool:
        """Tell whether it will not grow before somebody changes something."""
        return self.refusal is not None or self.failure is not None


@dataclass(frozen=True)
class Claims:
    """What is seen of a builder's claims."""

    templates: Mapping[str, Manifest] = field(default_factory=dict)
    """By its name, each live StatefulSet's, which cannot be changed any more."""
    used: Sequence[Claim] = ()
    """Those of the replicas that there should be, by ordinal."""

    def of(self, workload: str) -> Claims:
        """Return those of one workload."""
        return Claims(self.templates, [claim for claim in self.used if claim.workload == workload])


NO_CLAIMS: Final = Claims()


def seen_claims(
    builder: BuildKitBuilder,
    stateful_sets: Iterable[Manifest],
    manifests: Iterable[Manifest],
    refusals: Mapping[str, str],
) -> Claims:
    """Read the claims in use off live objects; refusals are by a claim's uid.

    A claim belongs to a replica by its name, whichever StatefulSet made it: one that was retained is used again.
    """
    if builder.spec.cache.persistent_volume_claim is None:
        return NO_CLAIMS
    by_name = {manifest["metadata"]["name"]: manifest for manifest in manifests}
    wanted = [
        claim_name(builder, architecture, ordinal)
        for architecture in builder.shared.each_architecture
        for ordinal in range(builder.shared.replicas)
    ]
    found = [by_name[name] for name in wanted if name in by_name]
    used = [Claim.of(claim, refusals.get(claim["metadata"]["uid"])) for claim in found]
    return Claims({live["metadata"]["name"]: live["spec"]["volumeClaimTemplates"][0] for live in stateful_sets}, used)


def claim_name(builder: BuildKitBuilder, architecture: Architecture | None, ordinal: int) -> str:
    """Return the name that Kubernetes gives the claim of a replica."""
    return f"{STATE_VOLUME}-{names.daemon(builder.metadata.name, architecture)}-{ordinal}"


def volume_claim_template(builder: BuildKitBuilder, claims: Claims, architecture: Architecture | None) -> Manifest:
    """Return the volumeClaimTemplate: the live one where there is one, as the API server lets nobody change it."""
    if (live := claims.templates.get(names.daemon(builder.metadata.name, architecture))) is not None:
        return _kept(live, builder.spec.cache.size)
    asked = builder.spec.cache.persistent_volume_claim
    return {
        "metadata": {"name": STATE_VOLUME, "labels": claim_labels(builder)},
        "spec": claim_spec(builder, None if asked is None else asked.storage_class_name),
    }


def _kept(live: Manifest, size: str) -> Manifest:
    """Return a live template as it was applied: with the user's spelling of the size, the same object again."""
    spec = dict(live["spec"])
    if quantity.is_same(spec["resources"]["requests"]["storage"], size):
        spec["resources"] = {"requests": {"storage": size}}
    metadata = {key: value for key, value in live["metadata"].items() if value is not None}
    return {"metadata": metadata, "spec": spec}


def room(builder: BuildKitBuilder, claims: Claims) -> str:
    """Return what the smallest volume in use holds, a quantity; spec.cache.size where no volume is known.

    A volume that is about to grow counts only while no other has grown: a new replica's claim begins with the
    template's old size, and would have all daemons replaced, and again once it has grown.
    """
    size = builder.spec.cache.size
    volumes = [claim for claim in claims.used if claim.capacity is not None]
    has_grown = any(not claim.is_smaller(size) for claim in volumes)
    counting = [claim for claim in volumes if not (has_grown and claim.is_smaller(size) and not claim.is_stuck())]
    return min((str(claim.capacity) for claim in counting), key=quantity.value, default=size)


def to_grow(builder: BuildKitBuilder, claims: Claims) -> list[Claim]:
    """Return the claims that ask for less than spec.cache.size. Only bound ones can be told to ask for more."""
    size = quantity.value(builder.spec.cache.size)
    return [claim for claim in claims.used if claim.phase == "Bound" and quantity.value(claim.requested) < size]


def request(builder: BuildKitBuilder, claim: Claim) -> Manifest:
    """Return what is applied to a claim to have it grow. The uid keeps it from creating one that has just gone."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim.name, "namespace": builder.metadata.namespace, "uid": claim.uid},
        "spec": {"resources": {"requests": {"storage": builder.spec.cache.size}}},
    }
