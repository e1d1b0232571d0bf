"""The status subresource: conditions and counts for users, and the rendered injection for runner pods."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from buildkit_operator.api.fields import ATOMIC, INT64, Labels, Model, list_map


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """One statement on the builder's state (Kubernetes API conventions, "Typical status properties")."""

    type: Annotated[str, Field(min_length=1, max_length=316)]
    """Ready: usable now. Reconciling, Stalled, Insecure: present only while True. Stalled needs somebody to change
    something; Insecure says that the builder goes without TLS.
    """
    status: ConditionStatus
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one word for machines."""
    message: Annotated[str, Field(max_length=32768)]
    """Why, in a sentence for people, with the remedy where there is one."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When status last changed."""
    observed_generation: Annotated[int, Field(ge=0, json_schema_extra=INT64)]
    """The generation of the spec that this was said of."""


class InjectedObject(Model):
    """A container or volume as it is added to a pod, whole."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})

    name: str
    """Its name, which no other container or volume of the pod may have."""


class InjectedVariable(Model):
    """An environment variable for a job's containers; in its value, {container} stands for the container's name."""

    name: str
    """Name of the variable."""
    value: str
    """Its value."""


class InjectedMount(Model):
    """Where a job's containers find an injected volume."""

    name: str
    """Name of the volume."""
    mount_path: str
    """Path in the container."""


class RenderedInjection(Model):
    """What a runner pod of the builder gets, exactly; for the admission policies or the webhook, which add it."""

    # One owner for all of it: the API server copies a builder, with who owns what, for each pod of its namespace.
    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    init_containers: list[InjectedObject] = Field(default=[], json_schema_extra=ATOMIC)
    """The container of the daemon, or of the connector to it, which goes before the pod's own init containers."""
    volumes: list[InjectedObject] = Field(default=[], json_schema_extra=ATOMIC)
    """Volumes for the pod."""
    env: list[InjectedVariable] = Field(default=[], json_schema_extra=ATOMIC)
    """Variables for the job's containers; one that a container sets itself stays as it is."""
    buildx_env: list[InjectedVariable] = Field(default=[], json_schema_extra=ATOMIC)
    """Variables for buildx, given together, or not at all to a container that sets one of them itself."""
    volume_mounts: list[InjectedMount] = Field(default=[], json_schema_extra=ATOMIC)
    """Mounts for the job's containers."""
    containers: list[str] = Field(default=[], json_schema_extra=ATOMIC)
    """Which of the pod's containers get variables and mounts; empty: all."""
    labels: Labels = Field(default={})
    """Labels for the pod."""
    host_users: bool | None = None
    """The pod's hostUsers, where the isolation needs a user namespace."""
    cache_key: bool | None = None
    """Whether the pod is annotated with the key by which it meets the same daemon again, unless it has one."""


class PodCounts(Model):
    """How many runner pods have the builder's sidecar; pods that have ended do not count."""

    injected: Annotated[int, Field(ge=0)] = 0
    """Pods that got the sidecar."""
    ready: Annotated[int, Field(ge=0)] = 0
    """Those whose daemon answers, or whose connector is up."""
    failed: Annotated[int, Field(ge=0)] = 0
    """Those whose sidecar cannot run."""


class BuilderStatus(Model):
    """What a builder is."""

    observed_generation: Annotated[int, Field(json_schema_extra=INT64)] = -1
    """Generation of the spec that was last processed; -1 until then."""
    conditions: Annotated[list[Condition], Field(max_length=16)] = Field(default=[], json_schema_extra=list_map("type"))
    """What holds for the builder now."""
    endpoint: str | None = None
    """Address for `buildctl --addr` and buildx's remote driver."""
    connection_secret_name: str | None = None
    """Secret with everything a job needs to connect: BUILDKIT_HOST and, with TLS, ca.crt, tls.crt, tls.key."""
    image: str | None = None
    """Image that the daemon runs."""
    replicas: int | None = None
    """Number of daemons that exist."""
    ready_replicas: int | None = None
    """Number of daemons that answer."""
    selector: str | None = None
    """Label selector of the daemons' pods, for autoscalers."""
    certificate_not_after_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When the daemon's certificate ends, or the client's own of a builder that uses another namespace's daemons; each
    is renewed well before.
    """
    pods: PodCounts | None = None
    """Runner pods with the builder's sidecar: the daemon, or in mode Shared the connector."""
    injection: RenderedInjection | None = None
    """What a runner pod gets. For machines: it may change with any version of the operator."""
