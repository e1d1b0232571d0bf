"""What a pod's author should know although the pod gets its builder: sentences that kubectl shows with the answer."""

from __future__ import annotations

from collections.abc import Iterator

from buildkit_operator.admission.facts import Facts
from buildkit_operator.api.builder import Isolation, Mode


def warnings(facts: Facts) -> Iterator[str]:
    """Return sentences on a pod that is injected."""
    ours = {variable["name"]: variable for variable in facts.ours("env")}
    for _, container in facts.served:
        for variable in container.get("env") or ():
            name = variable["name"]
            if name in ours and variable != ours[name]:
                yield f"container {container['name']} sets {name} itself and will not use BuildKitBuilder {facts.name}"
    if not facts.spec.get("shareProcessNamespace"):
        return
    if facts.builder["spec"]["mode"] == Mode.SHARED:
        yield (
            "the pod has shareProcessNamespace: true, so processes of its containers see the connector's, and those of "
            "the same user can read its certificate"
        )
    elif facts.builder["spec"].get("isolation") != Isolation.USER_NAMESPACE:
        yield (
            "the pod has shareProcessNamespace: true, so what a Dockerfile runs sees the processes of all its "
            "containers and can signal them"
        )
