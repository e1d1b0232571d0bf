"""Offline rendering: a builder's objects and what its pods get, by the same functions as the operator's own. No I/O.

No certificate is ever made here, so there is no key that could be shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.conditions import explained
from buildkit_operator.api.reasons import TerminalError
from buildkit_operator.cli.assumed_cluster import AssumedCluster
from buildkit_operator.cli.builder_files import GivenBuilder
from buildkit_operator.cli.output import Shown
from buildkit_operator.desired import (
    cert_manager,
    children,
    consumers,
    injection,
    issued_by_cert_manager,
    needs_certificates,
)
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.desired.isolation import confine
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.pki.keypairs import KeyPair
from buildkit_operator.pki.rotation import Authorities
from buildkit_operator.status.diagnosis.daemons import Finding, diagnose_namespace

_NO_TIME: Final = datetime.fromtimestamp(0, UTC)
_NO_PAIR: Final = KeyPair(b"", b"")


@dataclass(frozen=True)
class RenderedBuilder:
    """What the operator would make for a builder."""

    objects: list[Shown] = field(default_factory=list)
    """Those that the operator would make, in its order."""
    injection: Manifest | None = None
    """Its status.injection; None where a problem is in the way."""
    problem: Finding | None = None
    """What its owner has to fix, as its condition Ready would say it."""


def render_builder(given: GivenBuilder, cluster: AssumedCluster, others: Mapping[Key, GivenBuilder]) -> RenderedBuilder:
    """Return what the operator would make for a builder; `others` are those that were given beside it."""
    builder = given.builder
    confinement = confine(builder.spec, cluster.enforced)
    try:
        made = [_shown(*found) for found in _objects(builder, cluster, others)]
        rendered = injection.render(builder, cluster.platform, confinement)
    except TerminalError as problem:
        return RenderedBuilder(problem=Finding(problem.reason, explained(problem.reason, problem.message)))
    # The daemons of a consumer are elsewhere.
    refused = None if builder.role is Role.CONSUMER else diagnose_namespace(builder, cluster.enforced)
    if refused is not None:
        refused = Finding(refused.reason, explained(refused.reason, refused.message))
    return RenderedBuilder(made, rendered, refused)


def _objects(
    builder: BuildKitBuilder, cluster: AssumedCluster, others: Mapping[Key, GivenBuilder]
) -> Iterator[tuple[Manifest, str]]:
    """Yield each object with a remark. Raises TerminalError."""
    platform = cluster.platform
    if builder.role is Role.CONSUMER:
        yield from _objects_of_consumer(builder, cluster, others)
        return
    if issued_by_cert_manager(builder):
        yield from ((request, "") for request in cert_manager.requests(builder, platform.cluster_domain))
    scaling = builder.shared.autoscaling
    at_rest = builder if scaling is None else builder.with_replicas(scaling.min_replicas)
    made = children(at_rest, platform, _certificates(builder), confine(builder.spec, cluster.enforced))
    for manifest in made:
        is_dated = needs_certificates(builder) and "template" in manifest.get("spec", {})
        yield _undated(manifest) if is_dated else (manifest, "")


def _certificates(builder: BuildKitBuilder) -> Certificates | None:
    """Return certificates that are none, in the place of those that are made in the cluster."""
    if not needs_certificates(builder):
        return None
    authorities = None if issued_by_cert_manager(builder) else Authorities(_NO_PAIR)
    return Certificates(b"", _NO_PAIR, _NO_PAIR, authorities, _NO_TIME)


def _undated(workload: Manifest) -> tuple[Manifest, str]:
    """Return a workload without the digest that certificates are a part of."""
    template = workload["spec"]["template"]
    annotations = {key: value for key, value in template["metadata"]["annotations"].items() if key != names.CONFIG_HASH}
    metadata = {key: value for key, value in template["metadata"].items() if key != "annotations"}
    metadata |= {"annotations": annotations} if annotations else {}
    spec = {**workload["spec"], "template": {**template, "metadata": metadata}}
    return (
        {**workload, "spec": spec},
        f"Its pods also have the annotation {names.CONFIG_HASH}, a digest of their configuration and certificates.",
    )


def _objects_of_consumer(
    builder: BuildKitBuilder, cluster: AssumedCluster, others: Mapping[Key, GivenBuilder]
) -> Iterator[tuple[Manifest, str]]:
    wanted = builder.shared.from_builder
    if wanted is None:
        raise ValueError("no consumer")
    provider = others.get((wanted.namespace, wanted.name))
    if provider is not None:
        consumers.granting_provider(builder, provider.builder, cluster.labels, ())
    shape = provider.builder if provider is not None else _unknown_provider(wanted.namespace, wanted.name)
    grant = Grant(shape, {}, b"", _NO_PAIR, _NO_TIME)
    for manifest in consumers.children(builder, grant, cluster.platform):
        if manifest["kind"] == "ConfigMap" and provider is None:
            del manifest["data"]
            yield (
                manifest,
                f"Its data depends on builder {wanted.name} of namespace {wanted.namespace}, which was not given.",
            )
        else:
            yield manifest, ""


def _unknown_provider(namespace: str, name: str) -> BuildKitBuilder:
    """Return a builder in the place of one that nothing is known of; what depends on it is not shown."""
    metadata = {"name": name, "namespace": namespace, "uid": "", "generation": 1}
    return BuildKitBuilder.model_validate({"metadata": metadata, "spec": {"mode": "Shared"}})


def _shown(manifest: Manifest, remark: str) -> Shown:
    """Return an object without what is not known of it, and without what must not be shown."""
    metadata = {
        **manifest["metadata"],
        "ownerReferences": [_without_uid(o) for o in manifest["metadata"]["ownerReferences"]],
    }
    shown = {**manifest, "metadata": metadata}
    if manifest["kind"] == "Secret":
        keys = sorted(shown.pop("data"))
        remark = f"Its data is not shown: {'keys' if len(keys) > 1 else 'key'} {', '.join(keys)}."
    return Shown(shown, remark)


def _without_uid(owner: Manifest) -> Manifest:
    """Return a reference to the builder, without the uid of one that there is not yet."""
    return {key: value for key, value in owner.items() if value != ""}
