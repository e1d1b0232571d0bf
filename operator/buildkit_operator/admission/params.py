"""Parameter resource of the admission policies, `params` in CEL: a builder, and what of it is the same for every pod.

Each is computed when it is first asked for, and once: the webhook keeps a builder until it changes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from buildkit_operator.admission.places import place
from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest


class Params:
    """A builder as the API server has it; it is not changed."""

    def __init__(self, builder: Manifest) -> None:
        """Take the builder as an object with metadata."""
        self.builder: Final = builder
        self.name: Final[str] = builder["metadata"]["name"]
        self.status: Final[Manifest] = builder.get("status") or {}

    @property
    def is_rendered(self) -> bool:
        """Whether the operator has said what pods of the builder get."""
        return "injection" in self.status

    @cached_property
    def injection(self) -> Manifest:
        """What they get. Raises KeyError where that is not rendered."""
        rendered: Manifest = self.status["injection"]
        return rendered

    def ours(self, field: str) -> list[Any]:
        """Return a list of status.injection."""
        return self.injection.get(field) or []

    @cached_property
    def container_names(self) -> tuple[str, ...]:
        """Names of the containers that are injected, in their order."""
        return tuple(container["name"] for container in self.ours("initContainers"))

    @cached_property
    def has_daemon(self) -> bool:
        """Whether build steps run in the pod: by what is injected, whatever mode the spec asks for meanwhile."""
        return names.DAEMON in self.container_names

    @cached_property
    def volume_names(self) -> frozenset[str]:
        """Names of the volumes that are injected."""
        return frozenset(volume["name"] for volume in self.ours("volumes"))

    @cached_property
    def mounts(self) -> frozenset[tuple[str, str]]:
        """What containers of the job mount, each with its volume and its path."""
        return frozenset((mount["name"], mount["mountPath"]) for mount in self.ours("volumeMounts"))

    @cached_property
    def private_volumes(self) -> frozenset[str]:
        """The volumes that the injected container has, and those that no container of the job is given."""
        given = {name for name, _ in self.mounts}
        injected = {m["name"] for container in self.ours("initContainers") for m in container.get("volumeMounts") or ()}
        return frozenset(name for name in self.volume_names if name not in given or name in injected)

    @cached_property
    def places(self) -> list[tuple[str, str, str]]:
        """The same as `mounts` in their order, each with the place that the path leads to."""
        return [(m["name"], m["mountPath"], place(m["mountPath"])) for m in self.ours("volumeMounts")]

    @cached_property
    def env(self) -> dict[str, Manifest]:
        """The variables of the job's containers, by name."""
        return {variable["name"]: variable for variable in self.ours("env")}
