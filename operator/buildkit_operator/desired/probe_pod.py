"""Pods of the admission dry-run probe: created as dry runs, they tell whether a runner pod would get its sidecar."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired.injection import sidecar
from buildkit_operator.desired.metadata import INSTANCE_LABEL
from buildkit_operator.kube.resources import Manifest

_PROBE: Final = {"exec": {"command": ["/bin/true"]}, "periodSeconds": 60}
"""Never run."""


_AMOUNTS: Final = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "128Mi"}
_ALL_RESOURCES: Final = {"requests": _AMOUNTS, "limits": _AMOUNTS}

_USER: Final = {"runAsNonRoot": True, "runAsUser": 65532}
"""Of the pod and of its container: some policies look at the one, some at the other."""


def probe_name(builder: BuildKitBuilder) -> str:
    """Return what the pod's name begins with. The API server makes the rest: a name of ours could be somebody's."""
    return f"{builder.metadata.name}-buildkit-probe-"


def probe_pod(builder: BuildKitBuilder, injection: Manifest) -> Manifest:
    """Return a runner pod of a builder, as far as it is known what its real ones are like.

    Its own container is as strict as a container can be, and what it cannot know (image, resources) is as in the
    container that is added to it: what refuses the pod for these would refuse it for that one, too.
    """
    return _pod(builder, injection, {**_known_labels(builder), **_picking_labels(builder), **_asking_label(builder)})


def control_pod(builder: BuildKitBuilder, injection: Manifest) -> Manifest:
    """Return the same pod, but that it asks for no builder and for all resources: what refuses it are others' reasons.

    But for its image, of which there is no other that would be known to be good here.
    """
    asking = _picking_labels(builder) | _asking_label(builder)
    kept = {key: value for key, value in _known_labels(builder).items() if key not in asking}
    pod = _pod(builder, injection, kept)
    pod["spec"]["containers"][0] |= {"imagePullPolicy": "Always", "resources": _ALL_RESOURCES}
    return pod


def _known_labels(builder: BuildKitBuilder) -> dict[str, str]:
    """Return labels that policies may demand of pods: the recommended ones, and those that the builder's own have."""
    recommended = {
        names.NAME_LABEL: "buildkit-probe",
        INSTANCE_LABEL: builder.metadata.name,
        "app.kubernetes.io/component": "probe",
        "app.kubernetes.io/part-of": names.OPERATOR,
        "app.kubernetes.io/managed-by": names.OPERATOR,
    }
    return {**recommended, **builder.shared.pod.labels}


def _picking_labels(builder: BuildKitBuilder) -> dict[str, str]:
    selector = builder.injection.pod_selector
    return selector.match_labels if selector is not None else {}


def _asking_label(builder: BuildKitBuilder) -> dict[str, str]:
    return {names.BUILDER_LABEL: builder.metadata.name}


def _pod(builder: BuildKitBuilder, injection: Manifest, labels: dict[str, str]) -> Manifest:
    added = sidecar(injection)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": probe_name(builder),
            "namespace": builder.metadata.namespace,
            "labels": labels,
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": _USER,
            "containers": [
                {
                    "name": next(iter(builder.injection.containers), "job"),
                    "image": added["image"],
                    "imagePullPolicy": added["imagePullPolicy"],
                    "resources": added["resources"],
                    "livenessProbe": _PROBE,
                    "readinessProbe": _PROBE,
                    "securityContext": {
                        **_USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def is_injected(pod: Manifest, builder: BuildKitBuilder) -> bool:
    """Tell whether a pod got the builder's sidecar."""
    return bool((pod["metadata"].get("labels") or {}).get(names.INJECTED_LABEL) == builder.metadata.name)
