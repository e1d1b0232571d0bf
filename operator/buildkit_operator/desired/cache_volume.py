"""Volume of the daemon's cache: what it is in a pod, and the claims that it is on."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.daemon import DataSource
from buildkit_operator.desired.metadata import INSTANCE_LABEL, labels
from buildkit_operator.kube.resources import Manifest

STATE_VOLUME: Final = "buildkit-state"

SNAPSHOT_GROUP: Final = "snapshot.storage.k8s.io"


def state_volume(builder: BuildKitBuilder) -> Manifest:
    """Return the pod's volume. In the place of a shared daemon's a StatefulSet puts the PVC that it makes."""
    cache = builder.spec.cache
    if (volume := cache.ephemeral_volume) is not None:
        spec = claim_spec(builder, volume.storage_class_name)
        if volume.data_source is not None:
            spec["dataSource"] = _data_source(volume.data_source)
        template = {"metadata": {"labels": claim_labels(builder)}, "spec": spec}
        return {"name": STATE_VOLUME, "ephemeral": {"volumeClaimTemplate": template}}
    medium = {"medium": cache.medium} if cache.medium is not None else {}
    return {"name": STATE_VOLUME, "emptyDir": {**medium, "sizeLimit": cache.size}}


def claim_spec(builder: BuildKitBuilder, storage_class: str | None) -> Manifest:
    """Return the spec of a claim that holds the builder's cache."""
    return {
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": builder.spec.cache.size}},
        **({"storageClassName": storage_class} if storage_class else {}),
    }


def claim_labels(builder: BuildKitBuilder) -> dict[str, str]:
    """Return the labels of a claim, which may outlive its builder and has no owner that Argo CD knows.

    With the others' `instance`, an application of the builder's name would take it for its own and prune it.
    """
    return {key: text for key, text in labels(builder).items() if key != INSTANCE_LABEL}


def ephemeral_claim(pod: str) -> str:
    """Return the name that Kubernetes gives the claim of a pod's ephemeral volume."""
    return f"{pod}-{STATE_VOLUME}"


def _data_source(source: DataSource) -> Manifest:
    group = {"apiGroup": SNAPSHOT_GROUP} if source.kind == "VolumeSnapshot" else {}
    return {**group, "kind": source.kind, "name": source.name}
