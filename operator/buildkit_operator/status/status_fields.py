"""Fields of status beside its conditions: endpoint and image, counts of daemons and runner pods, the injection.

What a builder has told stays while it cannot be told again: see the package's docstring on the previous status.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.desired import network, paths
from buildkit_operator.desired.autoscaling import is_carried_out
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.desired.injection import sidecar
from buildkit_operator.desired.metadata import selector_string
from buildkit_operator.kube.manifests import timestamp
from buildkit_operator.status.diagnosis import runner_pods
from buildkit_operator.status.observed import ConsumerObserved, Counts, DaemonsObserved, Observed, SidecarObserved

Status = dict[str, Any]


def status_fields(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return the fields of a status that are no conditions; `previous` gives those that are to stay as they were."""
    if observed.injection is None and _is_of_another_mode(builder, previous):
        # What runner pods get is the mode's before, and with it all that they and others go by.
        return _kept(previous, _OF_A_MODE) | _injected(observed, previous)
    match observed:
        case SidecarObserved():
            return _of_sidecar(observed, previous)
        case DaemonsObserved():
            return _injected(observed, previous) | _of_daemons(builder, observed, previous)
        case ConsumerObserved():
            return _injected(observed, previous) | _of_consumer(builder, observed, previous)


_OF_CONNECTION: Final = ("endpoint", "connectionSecretName", "certificateNotAfterTime", "certificateNotBeforeTime")
"""Fields that tell how daemons are reached."""

_OF_A_MODE: Final = (*_OF_CONNECTION, "image", "replicas", "readyReplicas", "selector")
"""Fields that tell of what a mode has made."""


def _kept(previous: Status, fields: Iterable[str]) -> Status:
    return {field: previous[field] for field in fields if field in previous}


def _is_of_another_mode(builder: BuildKitBuilder, previous: Status) -> bool:
    """Tell whether a change of the mode has not come to its end: pods get what belongs to the one before."""
    injected = {container["name"] for container in previous.get("injection", {}).get("initContainers", ())}
    wanted = names.DAEMON if builder.role is Role.SIDECAR else names.CONNECTOR
    return bool(injected) and wanted not in injected


def _injected(observed: Observed, previous: Status) -> Status:
    """Return what runner pods get and how many have it; what they get stays as it was while it cannot be rendered."""
    injection = observed.injection or previous.get("injection")
    return {} if injection is None else {"pods": runner_pods.counts(observed.runners), "injection": injection}


def _of_sidecar(observed: SidecarObserved, previous: Status) -> Status:
    injected = _injected(observed, previous)
    if not injected:
        return {}
    image = sidecar(injected["injection"])["image"]
    return {"endpoint": paths.SOCKET, "image": image, **injected}


def _of_daemons(builder: BuildKitBuilder, observed: DaemonsObserved, previous: Status) -> Status:
    """Return which objects exist and how to reach the daemons: as before, while the spec is not carried out."""
    if not observed.workloads:
        return {} if observed.injection is not None else _kept(previous, _OF_CONNECTION)
    counts = Counts.of_all(observed.workloads)
    endpoint = network.endpoint(builder)
    fields: Status = {
        "endpoint": endpoint if observed.injection is not None else previous.get("endpoint", endpoint),
        "connectionSecretName": names.connection_secret(builder.metadata.name),
        "image": observed.workloads[0]["spec"]["template"]["spec"]["containers"][0]["image"],
        "replicas": counts.total,
        "readyReplicas": counts.ready,
        "selector": selector_string(builder),
    }
    if observed.certificates is not None:
        fields |= _of_certificate(observed.certificates)
    return fields | _of_autoscaling(observed, previous)


def _of_autoscaling(observed: DaemonsObserved, previous: Status) -> Status:
    """Return how many daemons autoscaling wants: as before, while the workloads were not made to have them."""
    if observed.scaling is None:
        return {}
    if not is_carried_out(observed.scaling, observed.workloads):
        return _kept(previous, ("autoscaling",))
    return {"autoscaling": observed.scaling.status}


def _of_consumer(builder: BuildKitBuilder, observed: ConsumerObserved, previous: Status) -> Status:
    """Return how to reach the provider's daemons: as the connection Secret has it, which may have to stay as it was."""
    kept = _kept(previous, _OF_CONNECTION)
    if observed.grant is None:
        return kept
    if builder.spec.suspend:
        return kept | _of_certificate(observed.grant)
    return {
        "endpoint": network.endpoint(observed.grant.provider),
        "connectionSecretName": names.connection_secret(builder.metadata.name),
        **_of_certificate(observed.grant),
    }


def _of_certificate(held: Certificates | Grant) -> Status:
    return {
        "certificateNotAfterTime": timestamp(held.not_after),
        "certificateNotBeforeTime": timestamp(held.not_before),
    }
