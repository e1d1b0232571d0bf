"""The status subresource: conditions and counts for users, and the rendered injection for runner pods."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from buildkit_operator.api.field_types import LONGEST_KEY
from buildkit_operator.api.fields import ATOMIC, INT64, Model, list_map

Short = Annotated[str, Field(max_length=LONGEST_KEY)]
Value = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]


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
    last_transition_time: Time
    """When status last changed."""
    observed_generation: Annotated[int, Field(ge=0, le=2**53 - 1, json_schema_extra=INT64)]
    """The generation of the spec that this was said of."""


# Not every field of it is known: which of them a container has is the cluster's business, and the operator that renders
# it may be newer than the CRD. Users have no right to write it, and lists of them are bounded.
class InjectedObject(Model):
    """A container or volume as it is added to a pod, whole."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})

    name: Short
    """Its name, which no other container or volume of the pod may have."""


class InjectedVariable(Model):
    """An environment variable for a job's containers; in its value, {container} stands for the container's name."""

    name: Short
    """Name of the variable."""
    value: Value
    """Its value."""


class InjectedMount(Model):
    """Where a job's containers find an injected volume."""

    name: Short
    """Name of the volume."""
    mount_path: Value
    """Path in the container."""


class RenderedInjection(Model):
    """What a runner pod of the builder gets, exactly; for the admission policies or the webhook, which add it."""

    # One owner for all of it: the API server copies a builder, with who owns what, for each pod of its namespace.
    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})

    init_containers: Annotated[list[InjectedObject], Field(max_length=4)] = Field(default=[], json_schema_extra=ATOMIC)
    """The container of the daemon, or of the connector to it, which goes before the pod's own init containers."""
    volumes: Annotated[list[InjectedObject], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Volumes for the pod."""
    env: Annotated[list[InjectedVariable], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Variables for the job's containers; one that a container sets itself stays as it is."""
    buildx_env: Annotated[list[InjectedVariable], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Variables for buildx, given together, or not at all to a container that sets one of them itself."""
    volume_mounts: Annotated[list[InjectedMount], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Mounts for the job's containers."""
    containers: Annotated[list[Short], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Which of the pod's containers get variables and mounts; empty: all."""
    labels: Annotated[dict[str, Short], Field(max_length=32)] = Field(default={})
    """Labels for the pod."""
    host_users: bool | None = None
    """The pod's hostUsers, where the isolation needs a user namespace."""
    cache_key: bool | None = None
    """Whether the pod is annotated with the key by which it gets the same daemon again, unless it has one."""


class PodCounts(Model):
    """How many runner pods have the builder's sidecar; pods that have ended do not count."""

    injected: Count = 0
    """Pods that got the sidecar."""
    ready: Count = 0
    """Those whose daemon answers, or whose connector is up."""
    failed: Count = 0
    """Those whose sidecar cannot run."""


class AutoscalingStatus(Model):
    """What spec.shared.autoscaling has come to."""

    desired_replicas: Count = 0
    """Number of daemons that there should be; with architectures, of each."""
    last_scale_time: Time | None = None
    """When that number last changed."""
    message: Value | None = None
    """Why it changed then, in a sentence."""
    idle_since_time: Time | None = None
    """Since when fewer daemons would do: spec.shared.autoscaling.idleSeconds later, the others are taken away."""
    idle_replicas: Count | None = None
    """How many were needed at most since then."""


class BuilderStatus(Model):
    """What a builder is."""

    observed_generation: Annotated[int, Field(ge=-1, le=2**53 - 1, json_schema_extra=INT64)] = -1
    """Generation of the spec that was last processed; -1 until then."""
    conditions: Annotated[list[Condition], Field(max_length=16)] = Field(default=[], json_schema_extra=list_map("type"))
    """What holds for the builder now."""
    managed_by: Value | None = None
    """Installation of the operator that is in charge of the builder, as namespace and name of its Lease. Another one
    that serves the same namespace leaves the builder alone while that one is there.
    """
    endpoint: Value | None = None
    """Address for `buildctl --addr` and buildx's remote driver."""
    connection_secret_name: Short | None = None
    """Secret with everything a job needs to connect: BUILDKIT_HOST and, with TLS, ca.crt, tls.crt, tls.key."""
    image: Value | None = None
    """Image that the daemon runs."""
    replicas: Count | None = None
    """Number of daemons that exist."""
    ready_replicas: Count | None = None
    """Number of daemons that answer."""
    selector: Value | None = None
    """Label selector of the daemons' pods, for autoscalers."""
    autoscaling: AutoscalingStatus | None = None
    """How many daemons spec.shared.autoscaling wants, and why."""
    certificate_not_after_time: Time | None = None
    """When the daemon's certificate ends, or the client's own of a builder that uses another namespace's daemons; each
    is renewed well before.
    """
    certificate_not_before_time: Time | None = None
    """When that certificate began."""
    pods: PodCounts | None = None
    """Runner pods with the builder's sidecar: the daemon, or in mode Shared the connector."""
    injection: RenderedInjection | None = None
    """What a runner pod gets. For machines: it may change with any version of the operator."""
