"""`doctor` against a real API server, from one where all is well to one that has never heard of us."""

import copy
import json
from base64 import b64encode
from datetime import UTC, datetime

import yaml

from buildkit_operator.api.reasons import INSTALL_ENGINE
from buildkit_operator.cli.checks import CHECKS
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.keypairs import Lifetimes
from buildkit_operator.webhook import certificate
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.cli.command import (
    OPERATOR,
    VIEW,
    Answer,
    applied,
    apply,
    create_namespace,
    create_node,
    print_manifests,
    run,
    shipped,
    user,
)

WEBHOOK = "buildkit-operator-webhook"
PICKING = {"podSelector": {"matchLabels": {"app": "runner"}}}


def doctor(control_plane: ControlPlane, *arguments: str) -> Answer:
    return run(control_plane.kubeconfig, "doctor", "-o", "json", *arguments)


def pod(name: str, **labels: str) -> Manifest:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [{"name": "job", "image": "i"}]}}


def test_where_all_is_well_every_check_says_so(team: Builders, well: ControlPlane) -> None:
    team.create("sidecar", mode="Sidecar")
    team.wait_reason("Available", "sidecar")
    mark = well.mark()

    answer = doctor(well, "-n", team.namespace)

    assert answer.results == dict.fromkeys(CHECKS, "ok"), answer.text
    assert answer.exit_status == 0
    assert "operator-1 holds the Lease" in answer.said("Leader")
    assert "replicas ready, with image unreleased.invalid/buildkit-operator" in answer.said("Operator")
    asked = [request for request in well.audit(mark) if request.user_agent.startswith("buildkit-operator-cli/")]
    assert asked
    assert not any(request.writes for request in asked)
    assert not any(request.resource == "secrets" for request in asked)


def test_people_get_a_line_for_each_check(team: Builders, well: ControlPlane) -> None:
    answer = run(well.kubeconfig, "doctor", "-n", team.namespace)

    assert answer.text.splitlines()[0].endswith(f"looks at namespace {team.namespace}.")
    assert answer.text.splitlines()[-1] == f"{len(CHECKS)} checks: {len(CHECKS)} ok."
    for check in CHECKS:
        assert f"ok       {check}" in answer.text


def test_yaml_says_the_same_as_json(bare: ControlPlane) -> None:
    as_yaml = run(bare.kubeconfig, "doctor", "-o", "yaml")

    assert as_yaml.exit_status == 1
    assert yaml.safe_load(as_yaml.text) == doctor(bare).document


def test_a_cluster_that_has_never_heard_of_us_is_told_what_to_install(bare: ControlPlane) -> None:
    answer = doctor(bare, "-A")

    assert answer.exit_status == 1
    failed = {check for check, result in answer.results.items() if result == "failed"}
    assert failed == {"Definition", "Operator", "Leader", "Engine"}
    assert answer.results["Builders"] == "ok"
    assert "crds | kubectl apply" in answer.said("Definition")
    assert INSTALL_ENGINE in answer.said("Engine")


def test_what_ails_a_builder_is_told_once_for_it_and_once_for_its_namespace(well: ControlPlane) -> None:
    team = Builders(well, create_namespace(well, **{"pod-security.kubernetes.io/enforce": "restricted"}))
    team.create("shared", cache={"persistentVolumeClaim": {}})
    team.wait_reason("PodSecurityDenied", "shared")

    answer = doctor(well, "-n", team.namespace)

    assert answer.exit_status == 1
    failed = {check for check, result in answer.results.items() if result == "failed"}
    assert failed == {"Builders", "PodSecurity"}
    assert "https://docs.unreleased.invalid/reasons/PodSecurityDenied/" in answer.said("Builders")
    assert f"kubectl label --overwrite namespace {team.namespace}" in answer.said("PodSecurity")


def test_nodes_that_are_too_old_for_user_namespaces_are_named(well: ControlPlane, team: Builders) -> None:
    team.create("isolated", mode="Sidecar", isolation="UserNamespace")
    create_node(well, "old", kernel="5.15.0-1051-gke")
    try:
        answer = doctor(well, "-n", team.namespace)
    finally:
        well.kubectl("delete", "node", "old")

    assert answer.results["UserNamespaces"] == "warning"
    assert "old (Linux 5.15.0-1051-gke is older than 6.3)" in answer.said("UserNamespaces")


def test_pods_without_the_builder_that_they_ask_for_are_found(team: Builders) -> None:
    """The policies see pods when they are made; a label that comes later is too late."""
    team.post("pods", pod("early"))
    team.create("sidecar", mode="Sidecar")
    team.wait_reason("Available", "sidecar")
    team.post("pods", pod("late", **{"buildkit-operator.dev/builder": "sidecar"}))
    team.kubectl("label", "pod", "early", "buildkit-operator.dev/builder=sidecar")
    team.post("pods", pod("lost"))
    team.kubectl("label", "pod", "lost", "buildkit-operator.dev/builder=siedcar")

    answer = doctor(team.control_plane, "-n", team.namespace)

    assert answer.exit_status == 1
    assert f"Pod {team.namespace}/early asks for builder sidecar and got nothing" in answer.said("UninjectedPods")
    assert "late" not in answer.said("UninjectedPods")
    assert "lost" not in answer.said("UninjectedPods")
    assert f'Pod {team.namespace}/lost asks for builder "siedcar"' in answer.said("UnknownBuilders")
    assert "early" not in answer.said("UnknownBuilders")


def test_pods_that_have_ended_are_nobodys_trouble(team: Builders) -> None:
    team.create("sidecar", mode="Sidecar")
    team.post("pods", pod("ended"))
    team.kubectl("label", "pod", "ended", "buildkit-operator.dev/builder=sidecar")
    team.patch("pods", "ended", {"status": {"phase": "Succeeded"}}, "status")

    assert doctor(team.control_plane, "-n", team.namespace).results["UninjectedPods"] == "ok"


def test_namespaces_and_builders_that_pick_pods_belong_together(team: Builders) -> None:
    team.post("pods", pod("before", app="runner"))
    team.create("sidecar", mode="Sidecar", injection=PICKING)
    team.wait_reason("Available", "sidecar")

    assert doctor(team.control_plane, "-n", team.namespace).results["OptIn"] == "warning"

    team.kubectl("label", "namespace", team.namespace, "buildkit-operator.dev/injection=enabled")
    answer = doctor(team.control_plane, "-n", team.namespace)

    assert answer.results["OptIn"] == "ok"
    assert f"Pod {team.namespace}/before, which a builder picks, got nothing" in answer.said("UninjectedPods")


def test_quotas_without_room_and_budgets_that_block_drains_are_found(team: Builders) -> None:
    team.create("sidecar", mode="Sidecar")
    team.create("demo")
    team.wait_reason("Available", "sidecar")
    team.set_quota(pods="0")
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": "buildkitd"}}}
    path = f"/apis/policy/v1/namespaces/{team.namespace}/poddisruptionbudgets"
    team.control_plane.request("POST", path, {"metadata": {"name": "theirs"}, "spec": budget})

    answer = doctor(team.control_plane, "-n", team.namespace)

    assert answer.results["Quotas"] == "warning"
    assert f"ResourceQuota {team.namespace}/small has no room for another runner pod of builder sidecar" in answer.said(
        "Quotas"
    )
    assert answer.results["Drains"] == "failed"
    assert f"PodDisruptionBudget {team.namespace}/theirs selects the daemons of BuildKitBuilder" in answer.said(
        "Drains"
    )


def test_a_job_whose_pods_are_refused_is_found_by_its_events(team: Builders) -> None:
    note = (
        'Error creating: admission webhook "label.buildkit-operator.dev" denied the request: there is no such builder'
    )
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "refusal", "namespace": team.namespace},
        "eventTime": "2026-11-28T09:00:00.000000Z",
        "type": "Warning",
        "reason": "FailedCreate",
        "action": "Create",
        "note": note,
        "reportingController": "job-controller",
        "reportingInstance": "test",
        "regarding": {"apiVersion": "batch/v1", "kind": "Job", "namespace": team.namespace, "name": "build"},
    }
    team.control_plane.request("POST", f"/apis/events.k8s.io/v1/namespaces/{team.namespace}/events", event)

    answer = doctor(team.control_plane, "-n", team.namespace)

    assert answer.results["RefusedPods"] == "warning"
    assert f"Pods of Job {team.namespace}/build were refused: {note}" in answer.said("RefusedPods")


def test_without_rights_everything_is_unknown_and_nothing_fails(team: Builders) -> None:
    team.create("sidecar", mode="Sidecar")
    kubeconfig = user(team.control_plane, team.namespace)

    answer = run(kubeconfig, "doctor", "-n", team.namespace, "-o", "json")

    assert answer.exit_status == 0
    assert answer.results == dict.fromkeys(CHECKS, "unknown") | {"ServerVersion": "ok"}
    assert "You lack the right to get customresourcedefinitions.apiextensions.k8s.io." in answer.said("Definition")
    assert f"You lack the right to list deployments.apps in namespace {OPERATOR}." in answer.said("Operator")
    assert f"You lack the right to list buildkitbuilders.buildkit-operator.dev in namespace {team.namespace}." in (
        answer.said("Builders")
    )


def test_with_the_clusters_role_view_a_team_learns_what_concerns_it(team: Builders) -> None:
    team.create("sidecar", mode="Sidecar")
    team.wait_reason("Available", "sidecar")
    kubeconfig = user(team.control_plane, team.namespace, *VIEW)

    answer = run(kubeconfig, "doctor", "-n", team.namespace, "-o", "json")

    assert answer.exit_status == 0
    assert answer.results == dict.fromkeys(CHECKS, "ok") | dict.fromkeys(
        ("Definition", "Operator", "Leader", "PodCreation", "DaemonLabels"), "unknown"
    )
    assert f"as the operator found by trying one for {team.namespace}/sidecar" in answer.said("Engine")


def test_it_works_with_the_operators_own_rights(team: Builders, well: ControlPlane) -> None:
    team.create("sidecar", mode="Sidecar")
    team.wait_reason("Available", "sidecar")
    kubeconfig = well.service_account_kubeconfig(OPERATOR, OPERATOR)

    answer = run(kubeconfig, "doctor", "-n", team.namespace, "-o", "json")

    assert answer.exit_status == 0
    unknown = {check for check, result in answer.results.items() if result == "unknown"}
    assert unknown == {"Definition", "PodCreation", "DaemonLabels", "Quotas", "RefusedPods"}
    assert set(answer.results.values()) == {"ok", "unknown"}
    assert "failed" not in run(kubeconfig, "doctor", "-A", "-o", "json").results["Leader"]


def test_a_definition_of_another_version_is_told(plain: ControlPlane) -> None:
    assert doctor(plain).results["Definition"] == "ok"
    (definition,) = print_manifests("crds")
    older = copy.deepcopy(definition)
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["suspend"]
    plain.kubectl("replace", "--filename=-", text=json.dumps(older))
    try:
        answer = doctor(plain)
    finally:
        plain.kubectl("replace", "--filename=-", text=json.dumps(definition))

    assert answer.results["Definition"] == "failed"
    assert "it lacks spec.suspend" in answer.said("Definition")
    assert doctor(plain).results["Definition"] == "ok"


def test_without_an_engine_there_is_a_failure(plain: ControlPlane) -> None:
    assert doctor(plain).results["Engine"] == "failed"


def webhook(*, trusted: bool) -> tuple[Manifest, ...]:
    """Return what the webhook's installation consists of when it runs, or before its first look."""
    configuration = shipped("MutatingWebhookConfiguration", WEBHOOK)
    lifetimes = Lifetimes()
    made = certificate.current(None, (), f"{WEBHOOK}.{OPERATOR}.svc", lifetimes, datetime.now(UTC))
    for hook in configuration["webhooks"] if trusted else ():
        hook["clientConfig"]["caBundle"] = b64encode(made.bundle).decode()
    return configuration, certificate.secret(made, OPERATOR, WEBHOOK)


def slice_of_endpoints(*, ready: bool) -> Manifest:
    labels = {"kubernetes.io/service-name": WEBHOOK}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "webhook", "namespace": OPERATOR, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
        "ports": [{"name": "https", "port": 8443}],
    }


def test_a_webhook_has_to_be_trusted_to_answer_and_to_be_the_only_engine(plain: ControlPlane) -> None:
    apply(plain, shipped("Namespace", OPERATOR))
    with applied(plain, *webhook(trusted=False)):
        assert doctor(plain).results["Engine"] == "failed"
        assert "has no caBundle for label.buildkit-operator.dev" in doctor(plain).said("Engine")

        with applied(plain, *webhook(trusted=True), slice_of_endpoints(ready=False)):
            assert "has no endpoint that is ready" in doctor(plain).said("Engine")

    with applied(plain, *webhook(trusted=True), slice_of_endpoints(ready=True)):
        answer = doctor(plain)
        assert answer.results["Engine"] == "ok"
        assert "trusted by the API server, and has 1 endpoint." in answer.said("Engine")
        assert "The webhook's certificate ends at" in answer.said("Certificates")
        assert "PRIVATE" not in answer.text

        with applied(plain, *print_manifests("policies")):
            answer = doctor(plain)
            assert answer.results["Engine"] == "warning"
            assert "Both engines are installed" in answer.said("Engine")


def test_policies_without_a_binding_are_not_enough(plain: ControlPlane) -> None:
    missing = ("MutatingAdmissionPolicyBinding", "buildkit-operator-label")
    policies = [p for p in print_manifests("policies") if (p["kind"], p["metadata"]["name"]) != missing]

    with applied(plain, *policies):
        answer = doctor(plain)

    assert answer.results["Engine"] == "failed"
    assert "not all there: MutatingAdmissionPolicyBinding buildkit-operator-label" in answer.said("Engine")


def test_a_namespace_that_is_not_there_is_told(well: ControlPlane) -> None:
    answer = doctor(well, "-n", "missing")

    assert answer.exit_status == 1
    assert "There is no namespace missing." in answer.said("PodSecurity")


def test_an_operator_elsewhere_is_found_where_one_says(well: ControlPlane, team: Builders) -> None:
    answer = doctor(well, "-n", team.namespace, "--operator-namespace", team.namespace)

    assert answer.results["Operator"] == "failed"
    assert f"There is no operator in namespace {team.namespace}" in answer.said("Operator")
