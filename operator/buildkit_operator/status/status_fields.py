"""Fields of status beside its conditions: endpoint and image, counts of daemons and runner pods, the injection.

What a builder has told stays while it cannot be told again: see the package's docstring on the previous status.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired import network, paths
from buildkit_operator.desired.metadata import selector_string
from buildkit_operator.status.diagnosis import runner_pods
from buildkit_operator.status.observed import ConsumerObserved, Counts, DaemonsObserved, Observed, SidecarObserved

Status = dict[str, Any]


def status_fields(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return the fields of a status that are no conditions; `previous` gives those that are to stay as they were."""
    match observed:
        case SidecarObserved():
            return _of_sidecar(observed, previous)
        case DaemonsObserved():
            return _injected(observed, previous) | _of_daemons(builder, observed)
        case ConsumerObserved():
            return _injected(observed, previous) | _of_consumer(builder, observed, previous)


def _injected(observed: Observed, previous: Status) -> Status:
    """Return what runner pods get and how many have it; what they get stays as it was while it cannot be rendered."""
    injection = observed.injection or previous.get("injection")
    return {} if injection is None else {"pods": runner_pods.counts(observed.runners), "injection": injection}


def _of_sidecar(observed: SidecarObserved, previous: Status) -> Status:
    injected = _injected(observed, previous)
    if not injected:
        return {}
    image = injected["injection"]["initContainers"][0]["image"]
    return {"endpoint": paths.SOCKET, "image": image, **injected}


def _of_daemons(builder: BuildKitBuilder, observed: DaemonsObserved) -> Status:
    """Return which objects exist and how to reach the daemons."""
    workload = observed.workload
    if workload is None:
        return {}
    counts = Counts.of(workload)
    fields: Status = {
        "endpoint": network.endpoint(builder),
        "connectionSecretName": names.connection_secret(builder.metadata.name),
        "image": workload["spec"]["template"]["spec"]["containers"][0]["image"],
        "replicas": counts.total,
        "readyReplicas": counts.ready,
        "selector": selector_string(builder),
    }
    if observed.certificates is not None:
        fields["certificateNotAfterTime"] = timestamp(observed.certificates.not_after)
    return fields


_FIELDS_OF_CONSUMER: Final = ("endpoint", "connectionSecretName", "certificateNotAfterTime")


def _of_consumer(builder: BuildKitBuilder, observed: ConsumerObserved, previous: Status) -> Status:
    """Return how to reach the provider's daemons: as the connection Secret has it, which may have to stay as it was."""
    if observed.grant is None or builder.spec.suspend:
        return {field: previous[field] for field in _FIELDS_OF_CONSUMER if field in previous}
    return {
        "endpoint": network.endpoint(observed.grant.provider),
        "connectionSecretName": names.connection_secret(builder.metadata.name),
        "certificateNotAfterTime": timestamp(observed.grant.not_after),
    }


def timestamp(moment: datetime) -> str:
    """Return a time as the API server writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
