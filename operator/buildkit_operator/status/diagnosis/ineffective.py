"""Remarks on what a spec asks for and does not get, as it has no effect or not the one that was meant. No I/O.

What can be told from the spec alone and will never be right is refused in the schema instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from buildkit_operator.admission.matching import ENABLED
from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import TerminalError
from buildkit_operator.api.shared import ServiceType
from buildkit_operator.desired import buildkitd_toml
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis import runner_pods

OF_CLIENTS: Final = re.compile(
    "(BUILDX|DOCKER|GIT)_.*|NO_COLOR|REGISTRY_AUTH_FILE|SOURCE_DATE_EPOCH|SSH_AUTH_SOCK|"
    "BUILDKIT_(?!(STEP_LOG_MAX_(SIZE|SPEED)|DEBUG_.*|SCHEDULER_DEBUG.*|AZURE_STORAGE_.*|NETWORK_BRIDGE_AUTO"
    "|CNI_INIT_LOCK_PATH|SETUP_CGROUPV2_ROOT)$).*"
)
"""Variables that BuildKit v0.34 reads in no daemon (os.Getenv there), Git neither: it gets no others than proxies."""

OF_BUILD_TOOLS: Final = re.compile(
    "(PIP|UV|POETRY|NPM_CONFIG|npm_config|YARN|NODE|MAVEN|GRADLE|JAVA|JAVA_TOOL|CARGO|CCACHE|SCCACHE)_.*|MAKEFLAGS|"
    "GO(PROXY|PRIVATE|NOPROXY|NOSUMDB|SUMDB|FLAGS|CACHE|PATH)"
)
"""Variables of what runs in build steps, which get proxies' from a client and nothing of the daemon's."""

LOAD_BALANCERS: Final = re.compile("load-?balancer|networking.gke.io/|metallb", re.IGNORECASE)
"""In keys of annotations that a cloud's controller reads of Services of type LoadBalancer alone."""

SECCOMP: Final = r"(container\.)?seccomp\.security\.alpha\.kubernetes\.io/"
"""Annotations that no kubelet reads any more (KEP-135)."""

TELLS_BUILDS: Final = 12
"""The first v0.x of BuildKit with `buildctl debug histories`, by which a daemon that stops finds its builds."""


def remarks(builder: BuildKitBuilder, runners: Sequence[Manifest], *, picks_pods: bool | None) -> Iterator[str]:
    """Yield sentences on fields that do nothing as they are, for a builder that is ready.

    `picks_pods` tells whether its namespace lets builders pick pods; None where that is not known.
    """
    yield from _selection(builder, runners, picks_pods=picks_pods)
    if builder.role is Role.CONSUMER:
        return
    yield from _registries(builder)
    yield from _variables(builder)
    yield from _overridden(builder)
    if builder.role is Role.DAEMONS:
        yield from (
            f"spec.shared.pod.annotations: {key} does nothing since Kubernetes 1.27; spec.securityProfiles is for that."
            for key in builder.shared.pod.annotations
            if re.match(SECCOMP, key)
        )
        yield from _network(builder)
        yield from _service(builder)
        yield from _image(builder)


def _selection(builder: BuildKitBuilder, runners: Sequence[Manifest], *, picks_pods: bool | None) -> Iterator[str]:
    namespace = builder.metadata.namespace
    if builder.injection.pod_selector is not None and picks_pods is False:
        yield (
            f"spec.injection.podSelector picks no pods, as namespace {namespace} does not let it: "
            f"kubectl label namespace {namespace} {names.INJECTION_LABEL}={ENABLED}"
        )
    if pod := runner_pods.newest_unserved(runners):
        yield (
            f"No container of pod {pod} can use the builder, as spec.injection.containers names none of them: "
            f"{', '.join(builder.injection.containers) or 'all'}."
        )


def _registries(builder: BuildKitBuilder) -> Iterator[str]:
    registries = builder.spec.daemon.registries
    mirrors = {mirror.partition("/")[0] for registry in registries for mirror in registry.mirrors}
    for registry in registries:
        if registry.host in mirrors:
            continue
        if not (registry.mirrors or registry.plain_http or registry.insecure_skip_verify or registry.ca_secret_name):
            yield f"spec.daemon.registries says nothing of {registry.host}, which is reached the same without an entry."
        elif not re.search(r"[.:]|^localhost$", registry.host):
            yield (
                f"spec.daemon.registries: no image name begins with {registry.host}, which needs a dot or a port to be "
                "taken for a host there, and no other entry has it as a mirror."
            )


def _variables(builder: BuildKitBuilder) -> Iterator[str]:
    names_of = [variable.name for variable in builder.spec.env]
    if unread := [name for name in names_of if OF_CLIENTS.fullmatch(name)]:
        yield (
            f"spec.env: the daemon does not read {', '.join(unread)}: set it in the job, or give it to the build as "
            "--build-arg."
        )
    if of_steps := [name for name in names_of if OF_BUILD_TOOLS.fullmatch(name)]:
        yield (
            f"spec.env: build steps do not see {', '.join(of_steps)}, as they get none of the daemon's variables: set "
            "it in the Dockerfile, or give it to the build as --build-arg."
        )


def _overridden(builder: BuildKitBuilder) -> Iterator[str]:
    try:
        keys = buildkitd_toml.overridden(builder)
    except TerminalError:
        # Told as the reason why the builder is as it was.
        return
    if keys:
        yield (
            f"spec.daemon.toml sets {', '.join(keys)}, so what fields of spec.daemon say of the same does nothing: "
            "remove one of them."
        )


def _service(builder: BuildKitBuilder) -> Iterator[str]:
    service = builder.shared.service
    if service.type is ServiceType.LOAD_BALANCER:
        return
    if unread := [key for key in service.annotations if LOAD_BALANCERS.search(key)]:
        yield (
            f"spec.shared.service.annotations: {', '.join(unread)} does nothing, as the type is {service.type.value} "
            "and not LoadBalancer."
        )


def _network(builder: BuildKitBuilder) -> Iterator[str]:
    shared = builder.shared
    if shared.network_policy is None:
        return
    peers = shared.network_policy.from_peers
    has_addresses = any(peer.ip_block for peer in peers)
    if shared.allowed_namespaces and not has_addresses and not any(peer.namespace_selector for peer in peers):
        yield (
            "spec.shared.networkPolicy keeps all other namespaces out that allowedNamespaces admits: add a peer with a "
            "namespaceSelector."
        )
    if shared.service.type is not ServiceType.CLUSTER_IP and not has_addresses:
        yield (
            f"spec.shared.networkPolicy keeps all clients out that service.type {shared.service.type.value} is for: "
            "add a peer with an ipBlock."
        )


def _image(builder: BuildKitBuilder) -> Iterator[str]:
    version = re.search(r":v?0\.([0-9]+)(?![0-9])[^/]*$", builder.spec.image or "")
    if version and int(version[1]) < TELLS_BUILDS:
        yield (
            f"spec.image {builder.spec.image} is older than BuildKit 0.{TELLS_BUILDS}, so a daemon that stops cannot "
            "find its builds and ends them: take a newer one."
        )
