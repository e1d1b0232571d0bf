"""Installation: the server's version, our CRD, the operator's Deployment, and its leader election Lease. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from buildkit_operator import __version__
from buildkit_operator.api import crd, names, versions
from buildkit_operator.api.reasons import INSTALL_AGAIN
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, failed, ok, unknown, warning
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import sentence

LEASE_EXPIRED: Final = timedelta(seconds=60)
"""Age of a Lease from which on its holder counts as gone. It renews it every five seconds; clocks may differ."""

NAMED: Final = 5
"""How many of several are named."""

APPLY_DEFINITION: Final = (
    f"{INSTALL_AGAIN}; where you apply the CRD yourself, buildkit-operator crds | kubectl apply --server-side -f -"
)

_NO: Final = frozenset({"0", "f", "false", "n", "no", "off"})
"""What settings read as no."""

INSTALL_PAGE: Final = f"{names.DOCUMENTATION}/install/"
_INSTALL: Final = "Install it, or if it runs elsewhere, name the place with --operator-namespace."


def server_version(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether the API server is one that we support."""
    minor = cluster.server_minor
    if minor < versions.OLDEST_KUBERNETES.minor:
        yield failed(f"Kubernetes 1.{minor} is not supported.", f"Upgrade to {versions.OLDEST_KUBERNETES} or newer.")
    elif minor < versions.POLICIES.minor:
        yield ok(f"Kubernetes 1.{minor} is supported, with the webhook as its engine.")
    else:
        yield ok(f"Kubernetes 1.{minor} is supported, with admission policies as its engine.")


def definition(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether the CustomResourceDefinition is there, and the one of this version."""
    live = cluster.definition
    if live is None or (isinstance(live, Unasked) and cluster.is_served is False):
        yield failed(
            "The CustomResourceDefinition is not installed: the cluster knows no BuildKitBuilder.",
            f"Install it: {APPLY_DEFINITION}",
            INSTALL_PAGE,
        )
    elif isinstance(live, Unasked) and isinstance(cluster.is_served, Unasked):
        yield unknown("Whether BuildKitBuilder is served", cluster.is_served)
    elif isinstance(live, Unasked):
        yield unknown("BuildKitBuilder is served; whether its CRD is of this version", live)
    else:
        yield from _definition(live)


def _definition(live: Manifest) -> Iterator[CheckFinding]:
    version = next((version for version in live["spec"]["versions"] if version["name"] == names.VERSION), None)
    apply = f"Apply that of this version ({__version__}): {APPLY_DEFINITION}"
    if version is None or not version["served"]:
        yield failed(f"The CustomResourceDefinition does not serve {names.VERSION}, which this version needs.", apply)
        return
    refused = _refused(live)
    if refused is not None:
        said = sentence(refused.get("message"))
        yield failed(
            f"The API server does not serve the CustomResourceDefinition: {said}", "Remove what is in its way."
        )
        return
    wanted = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    unheard_of = _differences(version["schema"]["openAPIV3Schema"], wanted)
    other = _differences(wanted, version["schema"]["openAPIV3Schema"])
    # What is there, but not as we have it, differs both ways.
    lacking = [place for place in other if place not in unheard_of]
    if lacking:
        yield failed(
            f"The CustomResourceDefinition is older than this version ({__version__}): it lacks {_listed(lacking)}.",
            apply,
        )
    elif unheard_of:
        yield warning(
            f"The CustomResourceDefinition is of another version than {__version__}: "
            f"it differs in {_listed(unheard_of)}.",
            f"Run doctor in the operator's version. Or if this version is to be installed: {APPLY_DEFINITION}",
            f"{names.DOCUMENTATION}/upgrade/",
        )
    else:
        yield ok(f"The CustomResourceDefinition is installed and that of this version ({__version__}).")
    stored = [name for name in (live.get("status") or {}).get("storedVersions") or () if name != names.VERSION]
    if stored:
        yield warning(
            f"Builders may be stored as {', '.join(stored)}, which this version does not know.",
            "Migrate them to the version that is stored now, and take the others out of status.storedVersions.",
        )


def _refused(live: Manifest) -> Manifest | None:
    """Return the condition by which the API server has not taken a CRD into use, or None if it has."""
    conditions: Sequence[Manifest] = (live.get("status") or {}).get("conditions") or ()
    needed = (c for c in conditions if c["type"] in {"NamesAccepted", "Established"})
    return next((condition for condition in needed if condition["status"] != "True"), None)


def _differences(wanted: Any, live: Any, path: str = "") -> list[str]:
    """Return the places of a schema at which something wanted is not so in another; what that has more is not told."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        found = []
        for key, value in wanted.items():
            # What people call a field's path has neither the schema's own words for nesting nor `items` in it.
            below = path if key in {"properties", "items", "additionalProperties"} else f"{path}.{key}".lstrip(".")
            found += _differences(value, live[key], below) if key in live else [below]
        return found
    return [] if wanted == live else [path]


def operator(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether the operator runs."""
    where = cluster.operator_namespace
    if isinstance(cluster.deployments, Unasked):
        yield unknown(f"Whether the operator runs in namespace {where}", cluster.deployments)
        return
    running = [deployment for deployment in cluster.deployments if part_of(deployment) == "operator"]
    if not running:
        yield failed(f"There is no operator in namespace {where}.", _INSTALL, INSTALL_PAGE)
    for deployment in running:
        yield _operator(deployment)


def _operator(deployment: Manifest) -> CheckFinding:
    name, where = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    wanted = deployment["spec"].get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas") or 0
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    said = f"Deployment {name} in namespace {where} has {ready} of {wanted} replicas ready, with image {image}."
    remedy = f"See why: kubectl describe -n {where} deployment {name}; kubectl logs -n {where} deployment/{name}"
    if wanted == 0:
        return failed(
            f"Deployment {name} in namespace {where} is scaled to zero: nobody reconciles builders.",
            (f"kubectl scale -n {where} deployment {name} --replicas=2"),
        )
    if ready == 0:
        return failed(said, remedy)
    return ok(said) if ready >= wanted else warning(said, remedy)


def leader(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether one of the operator's replicas is the leader: holds the Lease, and has renewed it lately."""
    lease = cluster.lease
    if isinstance(lease, Unasked):
        yield unknown("Whether a replica of the operator is the leader", lease)
        return
    if _goes_without(cluster):
        yield ok("The operator's settings switch leader election off: it has one replica, or should have.")
        return
    spec = (lease or {}).get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    where = f"-n {cluster.operator_namespace} {deployment_of(cluster, 'operator')}"
    remedy = f"See what its replicas say: kubectl logs {where}"
    if not holder or not renewed:
        yield failed("No replica of the operator holds the Lease, so none of them is the leader.", remedy)
        return
    silent = cluster.now - datetime.fromisoformat(renewed)
    if silent > LEASE_EXPIRED:
        yield failed(
            f"The Lease is {holder}'s, who last renewed it at {renewed}, {int(silent.total_seconds())} seconds ago by "
            "the API server's clock.",
            remedy,
        )
    else:
        yield ok(f"{holder} holds the Lease, and renewed it at {renewed}.")


def _goes_without(cluster: ClusterState) -> bool:
    deployments = () if isinstance(cluster.deployments, Unasked) else cluster.deployments
    said = [setting(deployment, "BUILDKIT_OPERATOR_LEASE") for deployment in deployments]
    return any(value is not None and value.lower() in _NO for value in said)


def part_of(deployment: Manifest) -> str:
    """Tell which part of ours a Deployment runs: the subcommand that its container starts with."""
    arguments = deployment["spec"]["template"]["spec"]["containers"][0].get("args") or [""]
    return str(arguments[0])


def deployment_of(cluster: ClusterState, part: str) -> str:
    """Return a part's Deployment as kubectl takes it, by the name that the manifests have where it is not seen."""
    deployments = () if isinstance(cluster.deployments, Unasked) else cluster.deployments
    usual = names.FIELD_MANAGER if part == "operator" else f"{names.FIELD_MANAGER}-{part}"
    return f"deployment/{next((d['metadata']['name'] for d in deployments if part_of(d) == part), usual)}"


def setting(deployment: Manifest, name: str) -> str | None:
    """Return an environment variable of a Deployment's container, where its value stands in the Deployment."""
    variables = deployment["spec"]["template"]["spec"]["containers"][0].get("env") or ()
    return next((variable.get("value") for variable in variables if variable["name"] == name), None)


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(places[:NAMED]) + more
