"""Snapshot of a cluster: answers of the API server, each of which may be missing, for want of a right. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

from pydantic import ValidationError

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.cli.summary import BuilderSummary, summarize
from buildkit_operator.kube.resources import Manifest

_T = TypeVar("_T")


@dataclass(frozen=True)
class Unasked:
    """Instead of an answer: why there is none."""

    sentence: str


Answer: TypeAlias = _T | Unasked
Labels: TypeAlias = Mapping[str, Answer[Mapping[str, str] | None]]
"""Labels of namespaces by their names; None of one that is not there."""


@dataclass(frozen=True)
class WebhookState:
    """The webhook engine, as far as the API server tells of it."""

    configuration: Answer[Manifest | None] = None
    """Our MutatingWebhookConfiguration."""
    endpoints: Answer[Sequence[Manifest]] = ()
    """EndpointSlices of the Service that it names."""
    certificate: Answer[bytes | None] = None
    """PEM of the certificate that is presented there. Its key is none of the doctor's business."""


@dataclass(frozen=True)
class ClusterState:
    """A cluster, or some namespaces of it, at one moment. By default it is bare: nothing of ours is in it."""

    now: datetime
    server_minor: int
    """Its version of Kubernetes 1: 37 for v1.37.2."""
    operator_namespace: str = names.OPERATOR
    definition: Answer[Manifest | None] = None
    """Our CustomResourceDefinition."""
    is_served: Answer[bool] = False
    """Whether the API server serves our resource, which everybody may ask."""
    policies: Answer[Sequence[Manifest]] = ()
    """The admission policies and bindings that are labelled as ours."""
    webhook: WebhookState = WebhookState()
    deployments: Answer[Sequence[Manifest]] = ()
    """Of the operator's namespace, those that are labelled as ours."""
    lease: Answer[Manifest | None] = None
    """The Lease of leader election, by which one replica writes."""
    builders: Answer[Sequence[Manifest]] = ()
    labels: Labels = field(default_factory=dict)
    """Of all namespaces that are looked at, or where these cannot be listed, of those with builders."""
    nodes: Answer[Sequence[Manifest]] = ()
    quotas: Answer[Sequence[Manifest]] = ()
    """ResourceQuotas."""
    budgets: Answer[Sequence[Manifest]] = ()
    """PodDisruptionBudgets."""
    autoscalers: Answer[Sequence[Manifest]] = ()
    """Deployments of kube-system, among which cluster-autoscaler may be."""
    node_pools: Answer[Sequence[Manifest]] = ()
    """Karpenter's NodePools; none where there is no Karpenter."""
    asking: Answer[Sequence[Manifest]] = ()
    """Pods that name a builder and have not ended."""
    picked: Answer[Sequence[Manifest]] = ()
    """Pods that a builder's podSelector picks, that got nothing and have not ended."""
    refusals: Answer[Sequence[Manifest]] = ()
    """Events that tell of pods that were refused."""

    def live_builders(self) -> Sequence[Manifest]:
        """Return the builders as the API server has them; none where they cannot be seen."""
        return () if isinstance(self.builders, Unasked) else self.builders

    def summaries(self) -> list[BuilderSummary]:
        """Return what the builders say of themselves."""
        return [summarize(builder) for builder in self.live_builders()]

    def readable_builders(self) -> list[BuildKitBuilder]:
        """Return the builders whose spec this version understands; the others have a reason that says so."""
        read = (readable(builder) for builder in self.live_builders())
        return [builder for builder in read if builder is not None]


def readable(builder: Manifest) -> BuildKitBuilder | None:
    """Read a builder's spec, or return None where this version does not understand it."""
    try:
        return BuildKitBuilder.model_validate(builder)
    except ValidationError:
        return None
