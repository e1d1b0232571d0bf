"""Every field of the spec does something: changed alone, it changes the objects or what is said of them."""

import re
from collections.abc import Iterator
from enum import EnumMeta
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from buildkit_operator.api.builder import BuilderSpec
from buildkit_operator.desired.autoscaling import Demand, Scaling, Target, decide
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import judge, nothing_observed
from tests.unit.make import NOW, changed, children_of, fake_certificates, injection_of, make_builder

GOLDEN = Path(__file__).parents[1] / "golden"
SHARED: Manifest = yaml.safe_load((GOLDEN / "everything" / "builder.yaml").read_text())
SCALED: Manifest = yaml.safe_load((GOLDEN / "autoscaling" / "builder.yaml").read_text())
SIDECAR: Manifest = yaml.safe_load((GOLDEN / "sidecar-everything" / "builder.yaml").read_text())

_REQUIRED, _PREFERRED = (f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred"))
_NODES = (f"nodeAffinity.{_REQUIRED}.nodeSelectorTerms.0", f"nodeAffinity.{_PREFERRED}.0.preference")
_PODS = tuple(
    f"{kind}.{when}"
    for kind in ("podAffinity", "podAntiAffinity")
    for when in (f"{_REQUIRED}.0", f"{_PREFERRED}.0.podAffinityTerm")
)
_SELECTORS = tuple(f"{pods}.{field}" for pods in _PODS for field in ("labelSelector", "namespaceSelector"))

AFFINITY_CHANGES: dict[str, Any] = {
    f"shared.pod.affinity.{place}.{field}": value
    for places, fields in (
        (
            _NODES,
            {
                "matchExpressions.0.key": "other",
                "matchExpressions.0.operator": "NotIn",
                "matchExpressions.0.values": ["9"],
                "matchFields.0.operator": "In",
                "matchFields.0.values": ["other"],
            },
        ),
        (
            _PODS,
            {
                "matchLabelKeys": [],
                "mismatchLabelKeys": [],
                "namespaces": [],
                "topologyKey": "kubernetes.io/hostname",
            },
        ),
        (
            _SELECTORS,
            {
                "matchLabels": {},
                "matchExpressions.0.key": "other",
                "matchExpressions.0.operator": "NotIn",
                "matchExpressions.0.values": ["other"],
            },
        ),
        (
            tuple(f"{kind}.{_PREFERRED}.0" for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity")),
            {"weight": 1},
        ),
    )
    for place in places
    for field, value in fields.items()
} | {f"shared.pod.affinity.nodeAffinity.{_PREFERRED}.0.preference.matchFields.0.operator": "NotIn"}

CHANGES: dict[str, Any] = {
    "mode": "Sidecar",
    "suspend": True,
    "isolation": "UserNamespace",
    "securityProfiles": "NodeDefault",
    "highestID": 200_000,
    "image": "example.com/other:1",
    "imagePullPolicy": "Never",
    "imagePullSecrets.0.name": "another",
    "resources.requests": {"cpu": "1"},
    "resources.limits": {"cpu": "5"},
    "env.0.name": "HTTP_PROXY",
    "env.0.value": "http://other.example.com",
    "env.1.valueFrom.secretKeyRef.name": "others",
    "env.1.valueFrom.secretKeyRef.key": "other",
    "env.1.valueFrom.secretKeyRef.optional": False,
    "env.2.valueFrom.configMapKeyRef.name": "others",
    "env.2.valueFrom.configMapKeyRef.key": "other",
    "env.2.valueFrom.configMapKeyRef.optional": True,
    "daemon.logLevel": "trace",
    "daemon.maxParallelism": 2,
    "daemon.registries.0.host": "other.example.com",
    "daemon.registries.0.mirrors": [],
    "daemon.registries.0.plainHTTP": True,
    "daemon.registries.0.insecureSkipVerify": True,
    "daemon.registries.0.caSecretName": "another",
    "daemon.registries.0.clientCertificateSecretName": "another",
    "daemon.certificateAuthorities.0.secretName": "another",
    "daemon.certificateAuthorities.0.key": "other.crt",
    "daemon.certificateAuthorities.1.configMapName": "another",
    "daemon.volumes.0.name": "other",
    "daemon.volumes.0.mountPath": "/mnt/other",
    "daemon.volumes.0.secretName": "another",
    "daemon.volumes.1.configMapName": "another",
    "daemon.volumes.2.claimName": "another",
    "daemon.volumes.2.readOnly": False,
    "daemon.dns.nameservers": ["10.0.0.11"],
    "daemon.dns.searchDomains": [],
    "daemon.dns.options": [],
    "daemon.garbageCollection.maxUsedSpace": "21Gi",
    "daemon.garbageCollection.reservedSpace": "3Gi",
    "daemon.garbageCollection.minFreeSpace": "2Gi",
    "daemon.garbageCollection.keepSeconds": 60,
    "daemon.toml": "[history]\nmaxEntries = 5",
    "cache.size": "51Gi",
    "cache.persistentVolumeClaim.storageClassName": "slow",
    "cache.persistentVolumeClaim.retentionPolicy.whenDeleted": "Retain",
    "cache.persistentVolumeClaim.retentionPolicy.whenScaled": "Retain",
    "shared.architectures": ["arm64"],
    "shared.replicas": 4,
    "shared.port": 1235,
    "shared.maxBuilds": 5,
    "shared.queueTimeoutSeconds": 601,
    "shared.tls.mode": "Disabled",
    "shared.service.type": "NodePort",
    "shared.service.annotations": {},
    "shared.networkPolicy.from.0.podSelector.matchLabels": {"runner": "other"},
    "shared.networkPolicy.from.0.podSelector.matchExpressions.0.key": "other",
    "shared.networkPolicy.from.0.podSelector.matchExpressions.0.operator": "NotIn",
    "shared.networkPolicy.from.0.podSelector.matchExpressions.0.values": ["other"],
    "shared.networkPolicy.from.0.namespaceSelector.matchLabels": {"team": "other"},
    "shared.networkPolicy.from.0.namespaceSelector.matchExpressions.0.key": "other",
    "shared.networkPolicy.from.0.namespaceSelector.matchExpressions.0.operator": "DoesNotExist",
    "shared.networkPolicy.from.0.namespaceSelector.matchExpressions.0.values": ["other"],
    "shared.networkPolicy.from.1.ipBlock.cidr": "10.0.0.0/9",
    "shared.networkPolicy.from.1.ipBlock.except": [],
    "shared.disruptionBudget.maxUnavailable": 2,
    "shared.drainTimeoutSeconds": 60,
    "shared.pod.labels": {},
    "shared.pod.annotations": {},
    "shared.pod.nodeSelector": {},
    "shared.pod.tolerations.0.key": "other",
    "shared.pod.tolerations.0.operator": "Exists",
    "shared.pod.tolerations.0.value": "no",
    "shared.pod.tolerations.0.effect": "NoSchedule",
    "shared.pod.tolerations.0.tolerationSeconds": 1,
    **AFFINITY_CHANGES,
    "shared.pod.topologySpreadConstraints.0.maxSkew": 1,
    "shared.pod.topologySpreadConstraints.0.topologyKey": "kubernetes.io/hostname",
    "shared.pod.topologySpreadConstraints.0.whenUnsatisfiable": "ScheduleAnyway",
    "shared.pod.priorityClassName": "other",
    "shared.pod.serviceAccountName": "other",
    "shared.pod.serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/other"},
    "shared.pod.runtimeClassName": "other",
    "shared.pod.hostAliases.0.ip": "10.0.0.21",
    "shared.pod.hostAliases.0.hostnames": ["other.example.com"],
    "shared.pod.dnsPolicy": "ClusterFirst",
    "shared.pod.dnsConfig.nameservers": ["10.0.0.11"],
    "shared.pod.dnsConfig.searches": [],
    "shared.pod.dnsConfig.options.0.name": "timeout",
    "shared.pod.dnsConfig.options.0.value": "3",
}

INJECTION_CHANGES: dict[str, Any] = {
    "injection.containers": ["other"],
    "injection.buildx": False,
    "injection.localCache.claimName": "other",
    "injection.localCache.mountPath": "/other",
    "cache.ephemeralVolume.storageClassName": "slow",
    "cache.ephemeralVolume.dataSource.kind": "PersistentVolumeClaim",
    "cache.ephemeralVolume.dataSource.name": "other",
}

CONNECTOR_CHANGES: dict[str, Any] = {
    "injection.connector.resources.requests": {"cpu": "1m"},
    "injection.connector.resources.limits": {"cpu": "9"},
}

SCALING_CHANGES: dict[str, Any] = {
    "shared.autoscaling.minReplicas": 4,
    "shared.autoscaling.maxReplicas": 2,
    "shared.autoscaling.runnersPerReplica": 3,
    "shared.autoscaling.idleSeconds": 60,
}

ELSEWHERE = {
    "shared.autoscaling.buildsPerReplica",  # test_autoscaling.py
    # test_cert_manager.py
    "shared.tls.issuerRef.name",
    "shared.tls.issuerRef.kind",
    "shared.tls.issuerRef.group",
    # test_consumers.py
    "shared.from.namespace",
    "shared.from.name",
    "shared.allowedNamespaces.names",
    "shared.allowedNamespaces.selector.matchLabels",
    "shared.allowedNamespaces.selector.matchExpressions.key",
    "shared.allowedNamespaces.selector.matchExpressions.operator",
    "shared.allowedNamespaces.selector.matchExpressions.values",
    "shared.tls.dnsNames",  # test_certificates.py, where certificates are made
    "cache.medium",  # the golden builder sidecar-in-memory
    "injection.podSelector.matchLabels",  # read by the admission engines: tests of admission
}


def outcome(spec: Manifest) -> object:
    builder = make_builder(**spec)
    manifests = children_of(builder, fake_certificates(builder))
    return manifests, judge(builder, nothing_observed(builder.role))


@pytest.mark.parametrize("path", CHANGES)
def test_a_field_changes_the_outcome(path: str) -> None:
    assert outcome(changed(SHARED, path, CHANGES[path])) != outcome(SHARED)


@pytest.mark.parametrize("path", INJECTION_CHANGES)
def test_a_field_changes_what_is_injected(path: str) -> None:
    assert injection_of(make_builder(**changed(SIDECAR, path, INJECTION_CHANGES[path]))) != injection_of(
        make_builder(**SIDECAR)
    )


@pytest.mark.parametrize("path", CONNECTOR_CHANGES)
def test_a_field_changes_the_connector(path: str) -> None:
    assert injection_of(make_builder(**changed(SHARED, path, CONNECTOR_CHANGES[path]))) != injection_of(
        make_builder(**SHARED)
    )


@pytest.mark.parametrize("path", SCALING_CHANGES)
def test_a_field_changes_how_many_daemons_there_are(path: str) -> None:
    assert scalings(changed(SCALED, path, SCALING_CHANGES[path])) != scalings(SCALED)


def scalings(spec: Manifest) -> list[Scaling]:
    """Return what is decided of a little, of much, and of little after much."""
    target = Target.of(make_builder(**spec).shared)
    assert target is not None
    idle = {"desiredReplicas": 3, "idleSinceTime": "2026-11-24T11:58:00Z", "idleReplicas": 1}
    return [decide(target, Demand(runners), 1, previous, NOW) for runners, previous in ((1, {}), (9, {}), (1, idle))]


def test_all_fields_are_in_the_table() -> None:
    tables = (*CHANGES, *INJECTION_CHANGES, *CONNECTOR_CHANGES, *SCALING_CHANGES)
    tested = {re.sub(r"\.\d+\.", ".", path) for path in tables} | ELSEWHERE

    assert set(leaves(BuilderSpec)) == tested


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the path of every field that holds no model; an enumeration of one value has nothing to change to."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        kinds = list(kinds_in(field.annotation))
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if inner:
            yield from leaves(inner[0], f"{path}.")
        elif not any(isinstance(kind, EnumMeta) and len(kind) == 1 for kind in kinds):
            yield path


def kinds_in(annotation: Any) -> Iterator[Any]:
    if annotation is NoneType:
        return
    arguments = get_args(annotation)
    yield from (kind for argument in arguments for kind in kinds_in(argument))
    if not arguments:
        yield annotation
