"""Deployment or StatefulSet of the shared daemons, with their pods, ServiceAccount, ConfigMap, PodDisruptionBudgets."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.affinity import Affinity
from buildkit_operator.api.architectures import NODE_LABEL, Architecture
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.daemon import ClaimRetentionPolicy
from buildkit_operator.api.shared import PodOverlay, TopologySpreadConstraint
from buildkit_operator.desired import buildkitd_toml, buildx, front
from buildkit_operator.desired.cache_volume import STATE_VOLUME
from buildkit_operator.desired.claims import Claims, volume_claim_template
from buildkit_operator.desired.container import (
    SUBORDINATE_IDS_KEY,
    config_map_name,
    daemon_container,
    volume_owner,
)
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.metadata import child, digest, labels, selector
from buildkit_operator.desired.platform import Platform
from buildkit_operator.desired.scripts import SCRIPTS
from buildkit_operator.kube.resources import Manifest

STATEFUL_SET: Final = "StatefulSet"

STOP_SECONDS: Final = 30
"""How long a drained daemon may take to end, in seconds."""

AUTOSCALER_GRACE_SECONDS: Final = 600
"""What cluster-autoscaler gives a pod to end at most (--max-graceful-termination-sec), whatever its own grace period.

Karpenter gives each pod its own, unless a NodePool's terminationGracePeriod is shorter.
"""

SPREAD_OVER_NODES: Final = [TopologySpreadConstraint(topology_key="kubernetes.io/hostname")]
"""What holds when a builder says nothing of its own: a node takes one daemon with it where there are enough nodes."""


def config_map(builder: BuildKitBuilder, toml: str, confinement: Confinement) -> Manifest:
    """Return the ConfigMap with the daemon's configuration and scripts."""
    data = {"buildkitd.toml": toml, **SCRIPTS}
    if confinement.subordinate_ids is not None:
        data[SUBORDINATE_IDS_KEY] = confinement.subordinate_ids
    if builder.role is Role.SIDECAR:
        data |= buildx.registries(buildkitd_toml.registry_tables(builder))
    return child(builder, "v1", "ConfigMap", config_map_name(builder), data=data)


def service_account(builder: BuildKitBuilder) -> Manifest:
    """Return a ServiceAccount without rights and without a token: builds run code that nobody has vetted."""
    annotations = builder.shared.pod.service_account_annotations
    name = names.daemon(builder.metadata.name)
    return child(builder, "v1", "ServiceAccount", name, annotations=annotations, automountServiceAccountToken=False)


def disruption_budgets(builder: BuildKitBuilder) -> list[Manifest]:
    """Return a PodDisruptionBudget for each workload.

    Where no node takes the daemons of one architecture, those of the others would never be let go by one of them all.
    """
    return [_disruption_budget(builder, architecture) for architecture in builder.shared.each_architecture]


def _disruption_budget(builder: BuildKitBuilder, architecture: Architecture | None) -> Manifest:
    """Return a PodDisruptionBudget: how many daemons a node drain may stop at a time; each waits for its builds.

    One that is not ready may always be evicted: where most of them crash, none could, and no node be drained. It waits
    for its builds all the same, if it has any.
    """
    unavailable = builder.shared.disruption_budget.max_unavailable
    return child(
        builder,
        "policy/v1",
        "PodDisruptionBudget",
        names.daemon(builder.metadata.name, architecture),
        spec={
            # A number in quotes would be read as a broken percentage.
            "maxUnavailable": int(unavailable) if unavailable.isdecimal() else unavailable,
            "selector": {"matchLabels": selector(builder, architecture)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )


def daemons(
    builder: BuildKitBuilder, platform: Platform, confinement: Confinement, start_inputs: object, claims: Claims
) -> list[Manifest]:
    """Return the Deployment, or the StatefulSet where each daemon has a claim of its own; one for each architecture.

    A change of start_inputs, what a daemon reads only at its start, rolls it.
    """
    claim = builder.spec.cache.persistent_volume_claim
    made = []
    for architecture in builder.shared.each_architecture:
        template = _pod_template(builder, platform, confinement, digest(start_inputs), architecture)
        if claim is None:
            made.append(_deployment(builder, template, architecture))
        else:
            _keep_on_claim(template["spec"], volume_owner(builder, platform))
            claim_template = volume_claim_template(builder, claims, architecture)
            made.append(_stateful_set(builder, template, claim_template, claim.retention_policy, architecture))
    return made


def _deployment(builder: BuildKitBuilder, template: Manifest, architecture: Architecture | None) -> Manifest:
    return child(
        builder,
        "apps/v1",
        "Deployment",
        names.daemon(builder.metadata.name, architecture),
        spec={
            "replicas": builder.shared.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": selector(builder, architecture)},
            # A new daemon is up before an old one is told to stop.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": template,
        },
    )


def _stateful_set(
    builder: BuildKitBuilder,
    template: Manifest,
    claim_template: Manifest,
    retention: ClaimRetentionPolicy,
    architecture: Architecture | None,
) -> Manifest:
    """Return the StatefulSet: never more than one pod for a claim, as two daemons cannot share a root."""
    return child(
        builder,
        "apps/v1",
        STATEFUL_SET,
        names.daemon(builder.metadata.name, architecture),
        spec={
            "replicas": builder.shared.replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": selector(builder, architecture)},
            "serviceName": names.headless(builder.metadata.name, architecture),
            # The daemons know nothing of each other.
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "RollingUpdate"},
            "persistentVolumeClaimRetentionPolicy": retention.model_dump(by_alias=True, mode="json"),
            "volumeClaimTemplates": [claim_template],
            "template": template,
        },
    )


def _keep_on_claim(pod: Manifest, owner: Manifest) -> None:
    """Let a pod's state be on the claim that the StatefulSet adds as a volume, owned by the daemon."""
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] != STATE_VOLUME]
    pod["initContainers"] = [owner, *pod["initContainers"]]
    # If a policy gives the pod an fsGroup, the default would change group and mode of every file in the volume at each
    # start, cached layers among them, without a sign that they are no longer what was built.
    pod["securityContext"] = {"fsGroupChangePolicy": "OnRootMismatch"}


def _pod_template(
    builder: BuildKitBuilder,
    platform: Platform,
    confinement: Confinement,
    config_hash: str,
    architecture: Architecture | None,
) -> Manifest:
    daemon = daemon_container(builder, platform, confinement, architecture)
    overlay = builder.shared.pod
    grace = builder.shared.drain_timeout_seconds + STOP_SECONDS
    spec: Manifest = {
        "serviceAccountName": overlay.service_account_name or names.daemon(builder.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace,
        "initContainers": [front.container(builder, platform, architecture)],
        "containers": [{**daemon.container, "ports": front.ports(builder)}],
        "volumes": [*daemon.volumes, *front.volumes(builder)],
        **_scheduling(builder, overlay, architecture),
        **_runtime_and_names(overlay),
    }
    if confinement.user_namespace:
        spec["hostUsers"] = False
    if builder.spec.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret.name} for secret in builder.spec.image_pull_secrets]
    return {
        "metadata": {
            "labels": {**overlay.labels, **labels(builder), **selector(builder, architecture)},
            "annotations": {**_eviction(grace), **overlay.annotations, names.CONFIG_HASH: config_hash},
        },
        "spec": spec,
    }


def _eviction(grace: int) -> dict[str, str]:
    """Return the annotation that keeps cluster-autoscaler from a daemon that it would end before its builds."""
    return {names.SAFE_TO_EVICT: "false"} if grace > AUTOSCALER_GRACE_SECONDS else {}


def _runtime_and_names(overlay: PodOverlay) -> Manifest:
    """Return the fields of a pod that say what runs it and how it resolves names, those that are set."""
    dns = overlay.dns_config
    fields = {
        "runtimeClassName": overlay.runtime_class_name,
        "hostAliases": [alias.model_dump(by_alias=True) for alias in overlay.host_aliases],
        "dnsPolicy": overlay.dns_policy,
        "dnsConfig": None if dns is None else dns.model_dump(by_alias=True, exclude_defaults=True),
    }
    return {name: value for name, value in fields.items() if value}


def _as_written(affinity: Affinity | None) -> Manifest:
    """Return an affinity as it was written: a selector that says nothing selects all and must stay."""
    return {} if affinity is None else affinity.model_dump(by_alias=True, exclude_defaults=True, mode="json")


def node_selector(builder: BuildKitBuilder, architecture: Architecture | None) -> dict[str, str]:
    """Return the labels of nodes that daemons may be on, of an architecture those of it alone."""
    of_architecture = {} if architecture is None else {NODE_LABEL: architecture.value}
    return builder.shared.pod.node_selector | of_architecture


def _scheduling(builder: BuildKitBuilder, overlay: PodOverlay, architecture: Architecture | None) -> Manifest:
    """Return the fields of a pod that say where it runs, those that are set."""
    fields = {
        "nodeSelector": node_selector(builder, architecture),
        "tolerations": [t.model_dump(by_alias=True, exclude_none=True) for t in overlay.tolerations],
        "affinity": _as_written(overlay.affinity),
        "topologySpreadConstraints": [
            {**c.model_dump(by_alias=True), "labelSelector": {"matchLabels": selector(builder, architecture)}}
            for c in overlay.topology_spread_constraints or SPREAD_OVER_NODES
        ],
        "priorityClassName": overlay.priority_class_name,
    }
    return {name: value for name, value in fields.items() if value}
