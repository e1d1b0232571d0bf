"""The operator's own pod: what happens to builders when it is killed, and what it may do."""

import json
import re
from pathlib import Path

import pytest
import yaml

from buildkit_operator.admission import own_pods
from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import kill_operator
from hack.cluster.kubectl import Kubectl, KubectlError
from tests.support.jobs import BUILD, Job, builder, gated, open_gate, wait_ready

NAMES = [f"made-{number}" for number in range(6)]
GOLDEN = Path(__file__).parents[1] / "unit/golden/minimal/children.yaml"
CHILDREN = len(list(yaml.safe_load_all(GOLDEN.read_text())))


@pytest.mark.exclusive("kills the operator")
def test_a_successor_completes_what_a_killed_operator_began(cluster: Kubectl, team: Kubectl) -> None:
    # Without daemons, so that a small machine is not what this test waits for.
    team.apply(*(builder(name, shared={"replicas": 0}) for name in NAMES))
    kill_operator(cluster)

    for name in NAMES:
        team(
            "wait",
            "--for=jsonpath={.status.conditions[?(@.type=='Ready')].reason}=ScaledToZero",
            f"bkb/{name}",
            "--timeout=90s",
        )
    kinds = "deployments,services,configmaps,poddisruptionbudgets,serviceaccounts,secrets"
    made = team.get(kinds, "--selector=buildkit-operator.dev/owner")
    assert len(made) == len(NAMES) * CHILDREN
    assert len({child["metadata"]["ownerReferences"][0]["uid"] for child in made}) == len(NAMES)


@pytest.mark.exclusive("kills the operator")
def test_a_build_does_not_notice_that_the_operator_is_killed(cluster: Kubectl, team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)
    build = Job.start(team, f"{BUILD} --opt build-arg:SALT=kill", files=gated(team))
    build.wait_log("begun kill")

    kill_operator(cluster)
    operator = cluster.within("buildkit-operator")
    operator("rollout", "status", "deployment/buildkit-operator", "--timeout=120s", timeout=130)
    open_gate(team)

    assert "ended kill" in build.finish()


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("list", "secrets"),
        ("watch", "secrets"),
        ("delete", "pods"),
        ("update", "buildkitbuilders.buildkit-operator.dev"),
        ("patch", "namespaces"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
        ("create", "customresourcedefinitions.apiextensions.k8s.io"),
    ],
)
def test_the_operator_may_not(cluster: Kubectl, verb: str, what: str) -> None:
    with pytest.raises(KubectlError, match="no"):
        cluster("auth", "can-i", verb, what, f"--as={own_pods.USER}", "--all-namespaces")


@pytest.mark.parametrize(
    ("metadata", "spec"),
    [
        ({"labels": {"changed": "yes"}}, {}),
        ({"annotations": {names.DELETION_COST_ANNOTATION: "1"}}, {}),
        ({}, {"activeDeadlineSeconds": 1}),
    ],
    ids=["labels", "cost", "spec"],
)
def test_the_operator_may_not_change_a_pod_that_is_no_daemon(
    cluster: Kubectl, metadata: Manifest, spec: Manifest
) -> None:
    # RBAC lets it patch pods, for daemons' deletion cost: that it is no more than that, a policy says.
    operator = cluster.within("buildkit-operator")
    [pod, *_] = operator.get("pods", "--selector=app.kubernetes.io/name=buildkit-operator")
    change = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod["metadata"]["name"], **metadata},
        "spec": spec,
    }

    # `kubectl patch` would read the pod first, which the operator may not.
    how = ("--server-side", "--dry-run=server", "--validate=false", f"--as={own_pods.USER}", "--filename=-")
    with pytest.raises(KubectlError, match=re.escape(own_pods.CHANGE_REFUSAL)):
        operator("apply", *how, text=json.dumps(change))
