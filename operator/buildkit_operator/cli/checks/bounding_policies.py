"""ValidatingAdmissionPolicies that say what RBAC cannot: whether they are in force. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from buildkit_operator.admission import daemon_labels, own_pods
from buildkit_operator.api.reasons import INSTALL_AGAIN
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, ok, or_ok, unknown, warning
from buildkit_operator.cli.checks.installation import INSTALL_PAGE, part_of
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.resources import Manifest

_LABELS_REMEDY: Final = f"Install it: {INSTALL_AGAIN}; its base has deploy/kustomize/base/daemon-labels.yaml."
_DRY_RUNS_REMEDY: Final = (
    f"Install it: {INSTALL_AGAIN}; its base has deploy/kustomize/base/probe-policy.yaml. Where kustomize has the "
    "operator run in another namespace or as another ServiceAccount, name that in the policy's matchConditions."
)


def dry_runs(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether each operator that runs may create pods as dry runs alone."""
    if isinstance(cluster.policies, Unasked):
        yield unknown("Whether the operator may create pods as dry runs alone", cluster.policies)
        return
    if isinstance(cluster.deployments, Unasked):
        yield unknown("Which ServiceAccount the operator has", cluster.deployments)
        return
    users = [_user(deployment) for deployment in cluster.deployments if part_of(deployment) == "operator"]
    if not users:
        yield ok("No operator runs here that could create pods.")
        return
    free = [user for user in users if not _is_in_force(own_pods.manifests(user), cluster.policies)]
    yield from or_ok(
        (
            warning(
                f"No ValidatingAdmissionPolicy refuses {user} to create pods that are kept: anyone with its token can "
                "run any pod in each namespace that it serves.",
                _DRY_RUNS_REMEDY,
                INSTALL_PAGE,
            )
            for user in free
        ),
        "The operator's ServiceAccount may create pods as dry runs alone.",
    )


def reserved_labels(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether the labels by which a Service finds its daemons are kept for daemons."""
    if isinstance(cluster.policies, Unasked):
        yield unknown("Whether the labels of daemons are kept for daemons", cluster.policies)
    elif _is_in_force(daemon_labels.manifests(), cluster.policies):
        yield ok("Pods get the labels of a builder's daemons from the operator alone.")
    else:
        yield warning(
            "No ValidatingAdmissionPolicy keeps the labels of daemons for daemons: who may create pods beside a "
            "builder can have its Service send connections to a pod of theirs.",
            _LABELS_REMEDY,
            INSTALL_PAGE,
        )


def _user(deployment: Manifest) -> str:
    """Return who a Deployment's pods are to the API server."""
    account = deployment["spec"]["template"]["spec"].get("serviceAccountName") or "default"
    return f"system:serviceaccount:{deployment['metadata']['namespace']}:{account}"


def _is_in_force(installed: Sequence[Manifest], found: Sequence[Manifest]) -> bool:
    """Tell whether a policy like the one that we install is there, and a binding that puts it into force."""
    wanted, _binding = installed
    kind = wanted["kind"]
    policies = {
        live["metadata"]["name"]
        for live in found
        if live["kind"] == kind and is_within(wanted["spec"], live["spec"]) and not _is_narrowed(live["spec"], wanted)
    }
    return any(
        live["kind"] == f"{kind}Binding"
        and live["spec"].get("policyName") in policies
        and "Deny" in (live["spec"].get("validationActions") or ())
        and not live["spec"].get("matchResources")
        for live in found
    )


def _is_narrowed(spec: Manifest, wanted: Manifest) -> bool:
    """Tell whether a policy looks at fewer objects than ours does."""
    constraints = spec["matchConstraints"]
    selectors = ("namespaceSelector", "objectSelector", "excludeResourceRules")
    more = len(spec["matchConditions"]) > len(wanted["spec"]["matchConditions"])
    return more or any(constraints.get(selector) for selector in selectors)
