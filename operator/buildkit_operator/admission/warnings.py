"""Admission warnings: what a pod's author should know although it gets its builder. kubectl shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from buildkit_operator.admission.variables import Variables

UNSERVED: Final = (
    'no container of this pod can use BuildKitBuilder "{builder}" of namespace "{namespace}", as its '
    "spec.injection.containers names none of them: rename the container or change that list"
)
"""For a pod that gets a sidecar and nothing that would lead to it; the policies warn in the same words."""


def warnings(variables: Variables) -> Iterator[str]:
    """Return sentences on a pod that is injected."""
    if not variables.served:
        yield UNSERVED.format(builder=variables.name, namespace=variables.namespace)
    ours = variables.params.env
    for _, container in variables.served:
        for variable in container.get("env") or ():
            name = variable["name"]
            if name in ours and variable != ours[name]:
                yield (
                    f"container {container['name']} sets {name} itself and will not use BuildKitBuilder "
                    f"{variables.name}"
                )
