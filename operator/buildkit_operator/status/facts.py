"""What a builder's status tells beside its conditions: where it is, what serves it, what runner pods get."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.desired import network, paths
from buildkit_operator.desired.metadata import selector_string
from buildkit_operator.status.diagnosis import runner_pods
from buildkit_operator.status.observed import Counts, Observed

Status = dict[str, Any]


def facts_for(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return the fields of a status that are no conditions; `previous` gives those that are to stay as they were."""
    match builder.role:
        case Role.SIDECAR:
            return _of_sidecar(observed, previous)
        case Role.CONSUMER:
            return _of_consumer(builder, observed, previous)
        case Role.DAEMONS:
            return _of_shared(builder, observed, previous)


def _of_sidecar(observed: Observed, previous: Status) -> Status:
    """Return what runner pods get and how many have it; what they get stays as it was while it cannot be rendered."""
    injection = observed.injection or previous.get("injection")
    if injection is None:
        return {}
    return {
        "endpoint": paths.SOCKET,
        "image": injection["initContainers"][0]["image"],
        "pods": runner_pods.counts(observed.runners),
        "injection": injection,
    }


def _connection(observed: Observed, previous: Status) -> Status:
    """Return what runner pods of a Shared builder get and how many have it."""
    injection = observed.injection or previous.get("injection")
    return {} if injection is None else {"pods": runner_pods.counts(observed.runners), "injection": injection}


def _of_shared(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return which objects exist and how to reach the daemon."""
    facts = _connection(observed, previous)
    workload = observed.workload
    if workload is None:
        return facts
    counts = Counts.of(workload)
    facts |= {
        "endpoint": network.endpoint(builder),
        "connectionSecretName": names.connection_secret(builder.metadata.name),
        "image": workload["spec"]["template"]["spec"]["containers"][0]["image"],
        "replicas": counts.total,
        "readyReplicas": counts.ready,
        "selector": selector_string(builder),
    }
    if observed.certificates is not None:
        facts["certificateNotAfterTime"] = timestamp(observed.certificates.not_after)
    return facts


_FACTS_OF_CONSUMER: Final = ("endpoint", "connectionSecretName", "certificateNotAfterTime")


def _of_consumer(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return how to reach the provider's daemons: as the connection Secret has it, which may have to stay as it was."""
    facts: Status = {key: previous[key] for key in _FACTS_OF_CONSUMER if key in previous}
    facts |= _connection(observed, previous)
    if observed.grant is not None and not builder.spec.suspend:
        facts |= {
            "endpoint": network.endpoint(observed.grant.provider),
            "connectionSecretName": names.connection_secret(builder.metadata.name),
            "certificateNotAfterTime": timestamp(observed.grant.not_after),
        }
    return facts


def timestamp(moment: datetime) -> str:
    """Return a time as the API server writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
