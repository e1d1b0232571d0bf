"""Idempotence: whether a pod has its builder already. Asked without the builder, it goes by the marker and by names."""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import cel
from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest

NOT_INJECTED: Final = (
    f"the pod is labelled {names.INJECTED_LABEL} already, but does not have BuildKitBuilder "
    '"{builder}". Remove that label, and what another builder may have added to the pod.'
)
"""What is said of a pod that is marked and was therefore left alone, but does not have what it is marked for."""


def is_marked(pod: Manifest) -> bool:
    """Tell whether the pod says that it got a builder, and shall be left as it is.

    So it is after a builder was added, when webhooks of others have run and ours is asked again, and with a copy of an
    injected pod. To look at these again would double what a pod costs the API server.
    """
    return names.INJECTED_LABEL in (pod["metadata"].get("labels") or {})


def has_builder(pod: Manifest, builder: str) -> bool:
    """Tell whether the pod has what the marker stands for."""
    labels = pod["metadata"].get("labels") or {}
    return labels.get(names.INJECTED_LABEL) == builder and any(
        container["name"] in names.SIDECARS and container.get("restartPolicy") == "Always"
        for container in pod["spec"].get("initContainers") or ()
    )


IS_MARKED: Final = cel.expression("'$INJECTED_LABEL' in object.metadata.labels")
"""CEL, of a pod that has labels."""

HAS_BUILDER: Final = cel.expression(
    """
    $marked && object.metadata.labels['$INJECTED_LABEL'] == variables.builder
    && has(object.spec.initContainers)
    && object.spec.initContainers.exists(c, c.name in $sidecars
      && has(c.restartPolicy) && c.restartPolicy == 'Always')
    """,
    marked=IS_MARKED,
    sidecars=cel.strings(names.SIDECARS),
)
"""CEL of the same as has_builder, likewise."""
