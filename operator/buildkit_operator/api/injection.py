"""spec.injection: which runner pods get the builder, and what of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from buildkit_operator.api import names
from buildkit_operator.api.container_resources import Resources
from buildkit_operator.api.field_types import MountPath, ObjectName, ShortName, SomeLabels
from buildkit_operator.api.fields import SET, Model, rule, rules


class PodSelector(Model):
    """Which pods are picked without the label buildkit-operator.dev/builder."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"!('{names.BUILDER_LABEL}' in self.matchLabels)",
                f"a pod with the label {names.BUILDER_LABEL} gets the builder that this names, and is picked by none",
                ".matchLabels",
            )
        )
    )

    match_labels: SomeLabels
    """Labels that a pod must have, all of them. Selectors of two builders of a namespace should not overlap."""


class LocalCache(Model):
    """A volume for `type=local` build cache, which buildctl and buildx keep on their own side, not in the daemon."""

    claim_name: ObjectName
    """PersistentVolumeClaim of the builder's namespace; runner pods on several nodes need one that is ReadWriteMany."""
    mount_path: MountPath = "/mnt/buildkit-cache"
    """Where the job's containers find it."""


class Connector(Model):
    """The container that leads runner pods to shared daemons."""

    resources: Resources = Resources()
    """What it may use of its node, and the front of each of the builder's own daemons too; unset: what the operator's
    administrator set for all, by default requests of 10m CPU and 32Mi memory and a memory limit of 128Mi. For
    namespaces whose quotas, limit ranges or policies ask for more.
    """


class Injection(Model):
    """What runner pods get."""

    pod_selector: PodSelector | None = None
    """Runner pods to pick without the label, in namespaces labelled buildkit-operator.dev/injection=enabled."""
    containers: Annotated[list[ShortName], Field(max_length=32)] = Field(default=[], json_schema_extra=SET)
    """Containers and init containers that get the socket and BUILDKIT_HOST; empty: all."""
    buildx: bool = True
    """Let `docker build` and `buildx build` use the builder, by BUILDX_BUILDER and BUILDX_CONFIG."""
    local_cache: LocalCache | None = None
    """A volume for `type=local` build cache that is kept between jobs."""
    connector: Connector | None = None
    """The container that runner pods get in mode Shared; unset: all defaults."""
