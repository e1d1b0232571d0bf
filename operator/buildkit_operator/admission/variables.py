"""Variables of the admission policies: what refusals and the patch go by, in CEL and as properties in Python."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Final

from buildkit_operator.admission import cel
from buildkit_operator.admission.params import Params
from buildkit_operator.kube.resources import Manifest

CONTAINER_LISTS: Final = ("initContainers", "containers")
"""The lists of a pod's spec whose containers can use a builder, in the order in which they run."""

_RENDERED: Final = ("initContainers", "volumes", "env", "buildxEnv", "volumeMounts", "containers")
"""The lists of status.injection; one that is empty is absent."""

VARIABLES: Final = {
    "injection": "params.status.injection",
    **{
        f"our{name[0].upper()}{name[1:]}": cel.expression(
            "has(variables.injection.$field) ? variables.injection.$field : []", field=name
        )
        for name in _RENDERED
    },
    "ourLabels": "has(variables.injection.labels) ? variables.injection.labels : {}",
    "ourNames": "variables.ourInitContainers.map(c, c.name)",
    **{
        name: cel.expression("has(object.spec.$field) ? object.spec.$field : []", field=name)
        for name in (*CONTAINER_LISTS, "volumes")
    },
    "served": cel.expression("""
        (variables.initContainers + variables.containers).filter(c, !(c.name in variables.ourNames)
          && (variables.ourContainers.size() == 0 || c.name in variables.ourContainers))
    """),
    "servedNames": "variables.served.map(c, c.name)",
}
"""The CEL of each. The API server evaluates a variable when it is first asked for, and once."""


class Variables:
    """A pod as it is created and a builder of its namespace, both as the API server has them; neither is changed."""

    def __init__(self, pod: Manifest, params: Params, namespace: str) -> None:
        """Take the namespace apart from the pod: while that is being created, it need not name its own."""
        self.pod = pod
        self.params = params
        self.namespace = namespace
        self.name = params.name
        self.spec: Manifest = pod["spec"]
        self.labels: Manifest = pod["metadata"].get("labels") or {}
        self.annotations: Manifest = pod["metadata"].get("annotations") or {}

    def listed(self, field: str) -> list[Manifest]:
        """Return a list of the pod's spec."""
        return self.spec.get(field) or []

    @cached_property
    def served(self) -> list[tuple[str, Manifest]]:
        """The containers that are to have the builder, each with its path in the pod (RFC 6901)."""
        return list(self._served())

    def _served(self) -> Iterator[tuple[str, Manifest]]:
        ours, chosen = self.params.container_names, self.params.ours("containers")
        for field in CONTAINER_LISTS:
            for position, container in enumerate(self.listed(field)):
                name = container["name"]
                if name not in ours and (not chosen or name in chosen):
                    yield f"/spec/{field}/{position}", container
