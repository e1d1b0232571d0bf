"""spec.injection: which runner pods get the builder, and what of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from buildkit_operator.api.fields import (
    SET,
    Labels,
    Model,
    Name,
    rule,
    rules,
)


class PodSelector(Model):
    """Which pods are picked without the label buildkit-operator.dev/builder."""

    match_labels: Annotated[Labels, Field(min_length=1)]
    """Labels that a pod must have, all of them. Selectors of two builders of a namespace should not overlap."""


class LocalCache(Model):
    """A volume for `type=local` build cache, which buildctl and buildx keep on their own side, not in the daemon."""

    claim_name: Name
    """PersistentVolumeClaim of the builder's namespace; runner pods on several nodes need one that is ReadWriteMany."""
    mount_path: Annotated[
        str,
        Field(
            min_length=2,
            max_length=255,
            pattern=r"^/[^:]*[^:/]$",
            json_schema_extra=rules(
                rule(
                    "self != '/run/buildkit' && !self.startsWith('/run/buildkit/')",
                    "may not be in /run/buildkit, where the daemon's socket is",
                ),
            ),
        ),
    ] = "/mnt/buildkit-cache"
    """Where the job's containers find it."""


class Injection(Model):
    """What runner pods get."""

    pod_selector: PodSelector | None = None
    """Runner pods to pick without the label, in namespaces labelled buildkit-operator.dev/injection=enabled."""
    containers: Annotated[list[Annotated[str, Field(min_length=1, max_length=63)]], Field(max_length=32)] = Field(
        default=[], json_schema_extra=SET
    )
    """Containers and init containers that get the socket and BUILDKIT_HOST; empty: all."""
    buildx: bool = True
    """Let `docker build` and `buildx build` use the builder, by BUILDX_BUILDER and BUILDX_CONFIG."""
    local_cache: LocalCache | None = None
    """A volume for `type=local` build cache that is kept between jobs."""
