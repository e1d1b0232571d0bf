"""Takes the doctor's snapshot of a cluster, with the rights of whoever runs it. Decides nothing."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, TypeVar

from buildkit_operator.admission.matching import ENABLED
from buildkit_operator.api import names
from buildkit_operator.cli.checks.cluster_state import (
    Answer,
    ClusterState,
    Labels,
    Unasked,
    WebhookState,
    readable,
)
from buildkit_operator.cli.checks.installation import setting
from buildkit_operator.cli.session import CannotAsk, Scope
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import (
    DEPLOYMENT,
    LEASE,
    NAMESPACE,
    POD,
    POD_DISRUPTION_BUDGET,
    SECRET,
    Manifest,
    Resource,
)

DEFINITION: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
ENDPOINT_SLICE: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
EVENT: Final = Resource("", "v1", "events", "Event")
"""The same events as those of events.k8s.io, which the cluster's role `view` may not read everywhere."""
NODE: Final = Resource("", "v1", "nodes", "Node")
NODE_POOL: Final = Resource("karpenter.sh", "v1", "nodepools", "NodePool")
QUOTA: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
AUTOSCALERS: Final = "kube-system"
"""The namespace that cluster-autoscaler is usually installed in."""

_ADMISSION: Final = "admissionregistration.k8s.io"
WEBHOOKS: Final = Resource(_ADMISSION, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration")
POLICIES: Final = tuple(
    Resource(_ADMISSION, "v1", plural, kind)
    for plural, kind in {
        "mutatingadmissionpolicies": "MutatingAdmissionPolicy",
        "mutatingadmissionpolicybindings": "MutatingAdmissionPolicyBinding",
        "validatingadmissionpolicies": "ValidatingAdmissionPolicy",
        "validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBinding",
    }.items()
)

OURS: Final = f"app.kubernetes.io/name={names.FIELD_MANAGER}"
"""Label selector of what installs the operator."""
_RUNNING: Final = "status.phase!=Succeeded,status.phase!=Failed"

_T = TypeVar("_T")


async def take_snapshot(operator_namespace: str, client: Client, scope: Scope) -> ClusterState:
    """Ask for everything. Raises CannotAsk where the API server does not answer even how old it is."""
    try:
        minor = await client.server_minor()
    except errors.ApiError as error:
        raise CannotAsk(f"The API server cannot be asked: {error}") from error
    reader = _Reader(client, scope)
    builders = await reader.listed(names.BUILDER)
    if isinstance(builders, _Unserved):
        builders = ()
    async with asyncio.TaskGroup() as group:
        definition = group.create_task(reader.one(DEFINITION, None, f"{names.PLURAL}.{names.GROUP}"))
        is_served = group.create_task(_or_why(client.serves(names.BUILDER), "use the API's discovery"))
        found = group.create_task(reader.policies())
        webhook = group.create_task(reader.webhook(operator_namespace))
        deployments = group.create_task(reader.listed_in(DEPLOYMENT, operator_namespace, label_selector=OURS))
        labels = group.create_task(reader.labels(builders))
        nodes = group.create_task(reader.listed_in(NODE, None))
        quotas = group.create_task(reader.listed(QUOTA))
        budgets = group.create_task(reader.listed(POD_DISRUPTION_BUDGET))
        autoscalers = group.create_task(reader.listed_in(DEPLOYMENT, AUTOSCALERS))
        node_pools = group.create_task(reader.node_pools())
        asking = group.create_task(reader.listed(POD, label_selector=names.BUILDER_LABEL, field_selector=_RUNNING))
        refusals = group.create_task(reader.listed(EVENT, field_selector="reason=FailedCreate"))
    return ClusterState(
        now=client.clock.now(),
        server_minor=minor,
        operator_namespace=operator_namespace,
        definition=definition.result(),
        is_served=is_served.result(),
        policies=found.result(),
        webhook=webhook.result(),
        deployments=deployments.result(),
        lease=await reader.lease(operator_namespace, deployments.result()),
        builders=builders,
        labels=labels.result(),
        nodes=nodes.result(),
        quotas=quotas.result(),
        budgets=budgets.result(),
        autoscalers=autoscalers.result(),
        node_pools=node_pools.result(),
        asking=asking.result(),
        picked=await reader.picked(builders, labels.result()),
        refusals=refusals.result(),
    )


class _Unserved(Unasked):
    """The API server does not know the kind."""


class _Reader:
    """Reads some namespaces once."""

    def __init__(self, client: Client, scope: Scope) -> None:
        self._client = client
        self._scope = scope

    async def listed(
        self, resource: Resource, *, label_selector: str | None = None, field_selector: str | None = None
    ) -> Answer[Sequence[Manifest]]:
        """List a kind in the namespaces that are looked at."""
        found: list[Manifest] = []
        for namespace in self._scope.namespaces or (None,):
            answer = await self.listed_in(
                resource, namespace, label_selector=label_selector, field_selector=field_selector
            )
            if isinstance(answer, Unasked):
                return answer
            found += answer
        return found

    async def listed_in(
        self,
        resource: Resource,
        namespace: str | None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Answer[Sequence[Manifest]]:
        """List a kind in one namespace, or in all, or one that has no namespaces."""
        asked = self._client.list(resource, namespace, label_selector=label_selector, field_selector=field_selector)
        return await _or_why(asked, f"list {resource.display_name}{_place(resource, namespace)}")

    async def node_pools(self) -> Answer[Sequence[Manifest]]:
        """List Karpenter's NodePools, if it is installed: without the right to list them one would not learn that."""
        is_served = await _or_why(self._client.serves(NODE_POOL), "use the API's discovery")
        return await self.listed_in(NODE_POOL, None) if is_served is True else ()

    async def one(self, resource: Resource, namespace: str | None, name: str) -> Answer[Manifest | None]:
        """Read one object."""
        asked = self._client.get(resource, namespace, name)
        return await _or_why(asked, f"get {resource.display_name}{_place(resource, namespace)}")

    async def labels(self, builders: Answer[Sequence[Manifest]]) -> Labels:
        """Read the labels of all namespaces that are looked at, or at least of those with builders."""
        chosen = self._scope.namespaces
        if not chosen:
            listed = await _or_why(self._client.list(NAMESPACE, metadata_only=True), "list namespaces")
            if not isinstance(listed, Unasked):
                return {namespace["metadata"]["name"]: _labels(namespace) for namespace in listed}
            listed_builders = () if isinstance(builders, Unasked) else builders
            chosen = tuple(sorted({builder["metadata"]["namespace"] for builder in listed_builders}))
        return {name: await self._labels_of(name) for name in chosen}

    async def _labels_of(self, name: str) -> Answer[Mapping[str, str] | None]:
        found = await self.one(NAMESPACE, None, name)
        return found if found is None or isinstance(found, Unasked) else _labels(found)

    async def policies(self) -> Answer[Sequence[Manifest]]:
        """List our policies and bindings."""
        found: list[Manifest] = []
        for resource in POLICIES:
            answer = await self.listed_in(resource, None, label_selector=OURS)
            if isinstance(answer, _Unserved):
                continue
            if isinstance(answer, Unasked):
                return answer
            found += answer
        return found

    async def webhook(self, operator_namespace: str) -> WebhookState:
        """Read our webhook's configuration, of several that of this operator, and what is behind it."""
        found = await self.listed_in(WEBHOOKS, None, label_selector=OURS)
        if isinstance(found, Unasked):
            return WebhookState(found)
        behind = [(live, service) for live in found if (service := _service(live))]
        if not behind:
            return WebhookState(found[0] if found else None)
        live, service = next((pair for pair in behind if pair[1]["namespace"] == operator_namespace), behind[0])
        where, name = service["namespace"], service["name"]
        selector = f"kubernetes.io/service-name={name}"
        endpoints = await self.listed_in(ENDPOINT_SLICE, where, label_selector=selector)
        return WebhookState(live, endpoints, await self._certificate(where, name))

    async def _certificate(self, namespace: str, name: str) -> Answer[bytes | None]:
        secret = await self.one(SECRET, namespace, name)
        if isinstance(secret, Unasked) or secret is None:
            return secret
        return b64decode((secret.get("data") or {}).get("tls.crt") or "")

    async def lease(self, namespace: str, deployments: Answer[Sequence[Manifest]]) -> Answer[Manifest | None]:
        """Read the Lease of the operator, under the name that its settings give it."""
        listed = () if isinstance(deployments, Unasked) else deployments
        named = [name for deployment in listed if (name := setting(deployment, "BUILDKIT_OPERATOR_LEASE_NAME"))]
        return await self.one(LEASE, namespace, named[0] if named else names.FIELD_MANAGER)

    async def picked(self, builders: Answer[Sequence[Manifest]], labels: Labels) -> Answer[Sequence[Manifest]]:
        """List the pods that builders pick and that got nothing, in namespaces that opted in."""
        found: list[Manifest] = []
        for builder in () if isinstance(builders, Unasked) else map(readable, builders):
            selector = builder.injection.pod_selector if builder else None
            if builder is None or selector is None:
                continue
            namespace = builder.metadata.namespace
            of_namespace = labels.get(namespace) or {}
            if isinstance(of_namespace, Unasked) or of_namespace.get(names.INJECTION_LABEL) != ENABLED:
                continue
            chosen = [f"{key}={value}" for key, value in selector.match_labels.items()]
            chosen += [f"!{names.INJECTED_LABEL}", f"!{names.BUILDER_LABEL}"]
            answer = await self.listed_in(POD, namespace, label_selector=",".join(chosen), field_selector=_RUNNING)
            if isinstance(answer, Unasked):
                return answer
            found += answer
        return found


async def _or_why(asked: Awaitable[_T], right: str) -> Answer[_T]:
    """Return the answer, or why there is none."""
    try:
        return await asked
    except errors.Forbidden:
        return Unasked(f"You lack the right to {right}.")
    except errors.NotFound as error:
        return _Unserved(str(error))
    except errors.ApiError as error:
        return Unasked(f"The API server gave no answer: {error}")


def _place(resource: Resource, namespace: str | None) -> str:
    if namespace is not None:
        return f" in namespace {namespace}"
    return "" if resource in _CLUSTER_WIDE else " in all namespaces"


_CLUSTER_WIDE: Final = frozenset({DEFINITION, NAMESPACE, NODE, NODE_POOL, WEBHOOKS, *POLICIES})


def _service(configuration: Manifest) -> Manifest | None:
    """Return the Service that a webhook configuration has the API server ask, if it does."""
    services = (hook["clientConfig"].get("service") for hook in configuration.get("webhooks") or ())
    return next((service for service in services if service), None)


def _labels(manifest: Manifest) -> Mapping[str, str]:
    labels: Mapping[str, str] = manifest["metadata"].get("labels") or {}
    return labels
