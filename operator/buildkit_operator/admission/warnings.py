"""Admission warnings: what a pod's author should know although it gets its builder. kubectl shows them."""

from __future__ import annotations

from collections.abc import Iterator

from buildkit_operator.admission.variables import Variables
from buildkit_operator.api.builder import Isolation, Mode


def warnings(variables: Variables) -> Iterator[str]:
    """Return sentences on a pod that is injected."""
    ours = {variable["name"]: variable for variable in variables.ours("env")}
    for _, container in variables.served:
        for variable in container.get("env") or ():
            name = variable["name"]
            if name in ours and variable != ours[name]:
                yield (
                    f"container {container['name']} sets {name} itself and will not use BuildKitBuilder "
                    f"{variables.name}"
                )
    if not variables.spec.get("shareProcessNamespace"):
        return
    if variables.builder["spec"]["mode"] == Mode.SHARED:
        yield (
            "the pod has shareProcessNamespace: true, so processes of its containers see the connector's, and those of "
            "the same user can read its certificate"
        )
    elif variables.builder["spec"].get("isolation") != Isolation.USER_NAMESPACE:
        yield (
            "the pod has shareProcessNamespace: true, so what a Dockerfile runs sees the processes of all its "
            "containers and can signal them"
        )
