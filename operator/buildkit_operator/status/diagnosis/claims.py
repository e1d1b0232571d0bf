"""Diagnosis of PersistentVolumeClaims: what keeps them from holding a builder's cache, with the remedy. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.claims import Claim, Claims
from buildkit_operator.kube import quantity
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import Finding, about_volumes, sentence, unschedulable

NAMED: Final = 3
"""How many PVCs of one kind a sentence names: there may be a hundred."""


def diagnose(builder: BuildKitBuilder, claims: Claims, pods: Iterable[Manifest]) -> Finding | None:
    """Return the first thing about PVCs that keeps daemons from running.

    That a PVC has no volume yet is no finding before the scheduler gives up on a pod: most classes make one only when
    a pod has its node (WaitForFirstConsumer).
    """
    lost = next((claim for claim in claims.used if claim.phase == "Lost"), None)
    if lost is not None:
        return _lost(builder, lost)
    refused = next((said for pod in pods if (said := unschedulable(pod)) and about_volumes(said)), None)
    if refused is None:
        return None
    pending = next((claim for claim in claims.used if claim.phase == "Pending"), None)
    if pending is not None:
        return _pending(builder, pending, refused)
    return _out_of_reach(refused) if "volume node affinity" in refused else None


def waiting(claims: Claims) -> str | None:
    """Return which PVCs wait for their volumes, in a sentence, or None."""
    pending = [claim for claim in claims.used if claim.phase == "Pending"]
    return f"Waiting for the volume of {_listed(pending)}." if pending else None


def remarks(builder: BuildKitBuilder, claims: Claims) -> list[str]:
    """Return what is to be said of PVCs that have another size than their builder asks for; daemons go on."""
    size = builder.spec.cache.size
    smaller = [claim for claim in claims.used if claim.is_smaller(size)]
    refused = [claim for claim in smaller if claim.refusal is not None]
    failed = [claim for claim in smaller if claim.refusal is None and claim.failure is not None]
    growing = [claim for claim in smaller if not claim.is_stuck()]
    larger = [claim for claim in claims.used if quantity.value(claim.requested) > quantity.value(size)]
    said = []
    if refused:
        said.append(
            f"Not grown to spec.cache.size {size}: {_listed(refused)}, as the API server refuses it: "
            f"{sentence(refused[0].refusal)} Let the StorageClass allow volume expansion, or set spec.cache.size back."
        )
    if failed:
        said.append(
            f"Not grown to spec.cache.size {size}: {_listed(failed)}, as the storage fails to: "
            f"{sentence(failed[0].failure)}"
        )
    if growing:
        said.append(f"Growing to spec.cache.size {size}: {_listed(growing)}.")
    if larger:
        said.append(
            f"Larger than spec.cache.size {size}: {_listed(larger)}. A PVC never shrinks: set spec.cache.size back, "
            "or remove spec.cache.persistentVolumeClaim and then the PVCs, and ask for them again."
        )
    return said


def _lost(builder: BuildKitBuilder, claim: Claim) -> Finding:
    namespace = builder.metadata.namespace
    return Finding(
        Reason.CLAIM_LOST,
        f"PVC {claim.name} has lost its volume, and the cache with it. Delete the PVC and its pod, and both are "
        f"recreated: kubectl delete -n {namespace} pvc/{claim.name} pod/{claim.pod}",
    )


def _pending(builder: BuildKitBuilder, claim: Claim, refused: str) -> Finding:
    if claim.storage_class is None:
        remedy = (
            "It names no StorageClass and the cluster has no default one: mark one as default, or remove "
            "spec.cache.persistentVolumeClaim and the PVC, and ask for it again with a storageClassName."
        )
    else:
        why = f"kubectl describe -n {builder.metadata.namespace} pvc {claim.name}"
        remedy = f"Why StorageClass {claim.storage_class} gives it none: {why}"
    return Finding(Reason.CLAIM_PENDING, f"PVC {claim.name} has no volume: {sentence(refused)} {remedy}")


def _out_of_reach(refused: str) -> Finding:
    return Finding(
        Reason.UNSCHEDULABLE,
        f"No node that can reach a PVC's volume takes its pod: {sentence(refused)} Make room there, or delete PVC "
        "and pod, with the cache, to have both recreated elsewhere.",
    )


def _listed(claims: list[Claim]) -> str:
    """Return the names of PVCs with their sizes."""
    named = [f"{claim.name} ({claim.capacity or claim.requested})" for claim in claims[:NAMED]]
    more = [f"{len(claims) - NAMED} more"] if len(claims) > NAMED else []
    return ", ".join([*named, *more])
