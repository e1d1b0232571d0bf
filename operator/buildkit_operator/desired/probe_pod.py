"""Pod of the admission dry-run probe: created as a dry run, it tells whether a runner pod would get its sidecar."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.kube.resources import Manifest

_AMOUNT: Final = {"cpu": "10m", "memory": "16Mi"}


def probe_pod(builder: BuildKitBuilder, default_image: str) -> Manifest:
    """Return a runner pod that a namespace of any Pod Security level admits as it stands, and most quotas."""
    metadata = builder.metadata
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata.name}-buildkit-probe",
            "namespace": metadata.namespace,
            "labels": {names.BUILDER_LABEL: metadata.name},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "job",
                    "image": builder.spec.image or default_image,
                    "resources": {"requests": _AMOUNT, "limits": _AMOUNT},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def is_injected(pod: Manifest, builder: BuildKitBuilder) -> bool:
    """Tell whether a pod got the builder's sidecar."""
    return bool((pod["metadata"].get("labels") or {}).get(names.INJECTED_LABEL) == builder.metadata.name)
