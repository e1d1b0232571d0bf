"""What a pod's or Deployment's status looks like when something is wrong, and the sentence that is made of it."""

from typing import Any

import pytest

from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.isolation import Level, PodSecurity
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import Finding, diagnose, diagnose_namespace, is_daemon
from tests.unit.make import container_status, make_builder, make_deployment, make_pod

LABEL = "kubectl label --overwrite namespace ci pod-security.kubernetes.io/enforce"


def waiting(reason: str, message: str | None = None) -> list[Manifest]:
    said = {} if message is None else {"message": message}
    return container_status(state={"waiting": {"reason": reason, **said}})


def ended(exit_code: int = 1, log: str = "", reason: str = "Error") -> Manifest:
    return {"terminated": {"exitCode": exit_code, "reason": reason, "message": log}}


def crashing(**how: Any) -> list[Manifest]:
    """Return the state between two starts of a daemon that crashes."""
    back_off = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
    return container_status(state=back_off, lastState=ended(**how))


def diagnosis_of(*pods: Manifest) -> Finding:
    finding = diagnose(make_builder(), make_deployment(), pods)
    assert finding is not None
    return finding


def replica_failure(message: str) -> Manifest:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return make_deployment(total=0, conditions=[{"type": "Progressing", "status": "True"}, condition])


# Pods that cannot be made


def test_pod_security_is_named_with_the_label_that_helps() -> None:
    finding = diagnose(
        make_builder(),
        replica_failure(
            'pods "demo-buildkitd-7c9d-" is forbidden: violates PodSecurity "baseline:latest": seccompProfile '
            '(container "buildkitd" must not set securityContext.seccompProfile.type to "Unconfined")'
        ),
        [],
    )

    assert finding is not None
    assert finding.reason is Reason.POD_SECURITY_DENIED
    assert 'violates PodSecurity "baseline:latest"' in finding.message
    assert finding.message.endswith(
        "kubectl label --overwrite namespace ci pod-security.kubernetes.io/enforce=privileged"
    )
    assert finding.user_must_act


def test_another_refusal_of_pods_is_repeated() -> None:
    finding = diagnose(make_builder(), replica_failure('pods "demo" is forbidden: exceeded quota: small'), [])

    assert finding == Finding(
        Reason.PODS_REFUSED,
        'The API server refuses the daemon\'s pods: pods "demo" is forbidden: exceeded quota: small.',
    )


def test_a_refusal_that_is_over_is_not_mentioned() -> None:
    over = {"type": "ReplicaFailure", "status": "False", "message": "exceeded quota"}

    assert diagnose(make_builder(), make_deployment(conditions=[over]), []) is None


def test_a_refusal_goes_before_what_ails_the_pods_that_exist() -> None:
    finding = diagnose(
        make_builder(), replica_failure("exceeded quota"), [make_pod(containerStatuses=waiting("ErrImagePull"))]
    )

    assert finding is not None
    assert finding.reason is Reason.PODS_REFUSED


@pytest.mark.parametrize(
    ("violated", "spec", "remedy"),
    [
        ("restricted:latest", {}, f"Or keep it and: {LABEL}=privileged"),
        ("restricted:latest", {"isolation": "UserNamespace"}, f"Level baseline admits them: {LABEL}=baseline"),
        ("restricted:latest", {"securityProfiles": "NodeDefault"}, f"Level baseline admits them: {LABEL}=baseline"),
        (
            "baseline:v1.34",
            {"isolation": "UserNamespace"},
            f"Level baseline admits them: {LABEL}=baseline pod-security.kubernetes.io/enforce-version=latest",
        ),
    ],
)
def test_the_remedy_for_pod_security_is_one_for_this_daemon(violated: str, spec: Manifest, remedy: str) -> None:
    refusal = replica_failure(f'pods "demo" is forbidden: violates PodSecurity "{violated}": procMount')
    finding = diagnose(make_builder(**spec), refusal, [])

    assert finding is not None
    assert finding.message.endswith(remedy)


# Namespaces that admit no pod


@pytest.mark.parametrize("spec", [{}, {"isolation": "UserNamespace"}, {"securityProfiles": "NodeDefault"}])
def test_a_namespace_that_enforces_nothing_is_in_nobodys_way(spec: Manifest) -> None:
    assert diagnose_namespace(make_builder(**spec), PodSecurity(Level.PRIVILEGED)) is None


@pytest.mark.parametrize("spec", [{"isolation": "UserNamespace"}, {"securityProfiles": "NodeDefault"}])
@pytest.mark.parametrize("minor", [34, 37])
def test_baseline_is_in_the_way_of_neither_user_namespaces_nor_the_nodes_profiles(spec: Manifest, minor: int) -> None:
    assert diagnose_namespace(make_builder(**spec), PodSecurity(Level.BASELINE, minor)) is None


def test_baseline_is_in_the_way_of_an_unconfined_daemon() -> None:
    finding = diagnose_namespace(make_builder(), PodSecurity(Level.BASELINE))

    assert finding == Finding(
        Reason.POD_SECURITY_DENIED,
        "Namespace ci enforces Pod Security level baseline, which refuses every pod with this daemon. "
        f"Set spec.isolation to UserNamespace, which level baseline admits, or: {LABEL}=privileged",
    )
    assert finding.user_must_act


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        ({}, f"Set spec.isolation to UserNamespace and: {LABEL}=baseline. Or keep it and: {LABEL}=privileged"),
        (
            {"cache": {"persistentVolumeClaim": {}}},
            (
                "Create another builder with isolation UserNamespace and: "
                f"{LABEL}=baseline. Or keep it and: {LABEL}=privileged"
            ),
        ),
        ({"isolation": "UserNamespace"}, f"Level baseline admits them: {LABEL}=baseline"),
        ({"securityProfiles": "NodeDefault"}, f"Level baseline admits them: {LABEL}=baseline"),
    ],
)
def test_restricted_is_in_the_way_of_every_daemon(spec: Manifest, remedy: str) -> None:
    finding = diagnose_namespace(make_builder(**spec), PodSecurity(Level.RESTRICTED))

    assert finding == Finding(
        Reason.POD_SECURITY_DENIED,
        f"Namespace ci enforces Pod Security level restricted, which refuses every pod with this daemon. {remedy}",
    )


# Pods that cannot start


def test_an_unschedulable_pod_is_named_with_the_schedulers_words() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate.",
    }
    finding = diagnosis_of(make_pod("one", conditions=[condition]))

    assert finding.reason is Reason.UNSCHEDULABLE
    assert finding.message == (
        "No node takes pod one: 0/3 nodes are available: 3 Insufficient cpu. no new claims to deallocate. "
        "Check spec.resources and spec.shared.pod against the nodes."
    )


def test_a_pod_that_waits_for_a_scheduling_gate_is_not_unschedulable() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}

    assert diagnose(make_builder(), make_deployment(), [make_pod(conditions=[condition])]) is None


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"])
def test_an_image_that_cannot_be_had_is_named(reason: str) -> None:
    finding = diagnosis_of(make_pod("one", containerStatuses=waiting(reason, 'Back-off pulling image "nowhere/x:1"')))

    assert finding.reason is Reason.IMAGE_PULL_FAILED
    assert finding.message == (
        f'Pod one cannot get its image: {reason}: Back-off pulling image "nowhere/x:1". '
        "Check spec.image, and spec.imagePullSecrets if its registry asks for credentials."
    )


def test_a_missing_secret_of_a_variable_is_named() -> None:
    finding = diagnosis_of(
        make_pod("one", containerStatuses=waiting("CreateContainerConfigError", 'secret "tokens" not found'))
    )

    assert finding.reason is Reason.CONTAINER_CONFIG_ERROR
    assert 'secret "tokens" not found.' in finding.message


def test_a_message_of_several_lines_becomes_one_and_its_absence_is_said() -> None:
    assert (
        "first second." in diagnosis_of(make_pod(containerStatuses=waiting("ErrImagePull", "first\n\tsecond"))).message
    )
    assert "no reason given." in diagnosis_of(make_pod(containerStatuses=waiting("ErrImagePull"))).message


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_pod_that_is_on_its_way_is_left_alone(reason: str) -> None:
    assert diagnose(make_builder(), make_deployment(), [make_pod(containerStatuses=waiting(reason))]) is None


def test_a_pod_that_nobody_has_looked_at_is_left_alone() -> None:
    pod = make_pod()
    del pod["status"]

    assert diagnose(make_builder(), make_deployment(), [pod]) is None


# Daemons that crash


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        (
            "[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 15 failed: Operation not permitted",
            "allowPrivilegeEscalation: false",
        ),
        ("ids.sh: builds are to have ids of the pod up to 200001, which has none above 65535.", "idsPerPod"),
        (
            "[rootlesskit:parent] error: failed to start the child: fork/exec /proc/self/exe: no space left on device",
            "user.max_user_namespaces above 0",
        ),
        (
            "[rootlesskit:parent] error: failed to start the child: fork/exec /proc/self/exe: operation not permitted",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "[rootlesskit:parent] error: failed to start the child: fork/exec /proc/self/exe: operation not permitted",
            "If the pod's securityContext.seccompProfile does",
        ),
        ("[rootlesskit:child ] error: failed to share mount point: /: permission denied", "AppArmor"),
    ],
)
def test_a_refused_user_namespace_is_named_with_the_line_and_the_remedy(line: str, remedy: str) -> None:
    finding = diagnosis_of(make_pod("one", containerStatuses=crashing(log=f"a warning\n{line}\n: exit status 1\n")))

    assert finding.reason is Reason.USER_NAMESPACE_DENIED
    assert line in finding.message
    assert remedy in finding.message
    assert finding.user_must_act


def test_a_cache_of_another_isolation_is_named_with_its_claim() -> None:
    log = (
        "ids.sh: the cache was written with other ids behind those of builds (100000 65536), than the daemon has now "
        "(1 999, 1001 64535).\n"
    )
    finding = diagnosis_of(make_pod("demo-buildkitd-2", containerStatuses=crashing(log=log)))

    assert finding.reason is Reason.CACHE_INCOMPATIBLE
    assert log.strip() in finding.message
    assert "kubectl delete -n ci pvc/buildkit-state-demo-buildkitd-2 pod/demo-buildkitd-2 Or" in finding.message
    assert finding.user_must_act


def test_another_crash_gives_the_cause_and_where_to_read_on() -> None:
    log = (
        "time=… level=info\nbuildkitd: failed to read certificate\nmain.main\n[rootlesskit:child ] error: exit status 1"
    )
    finding = diagnosis_of(make_pod("one", containerStatuses=crashing(log=log)))

    assert finding.reason is Reason.CRASH_LOOP
    assert finding.message == (
        "The daemon in pod one ended with exit code 1: buildkitd: failed to read certificate. "
        "All of it: kubectl logs --previous -n ci one -c buildkitd"
    )
    assert not finding.user_must_act


def test_a_crash_without_a_log_says_so() -> None:
    finding = diagnosis_of(make_pod("one", containerStatuses=crashing(exit_code=2)))

    assert finding.message.startswith("The daemon in pod one ended with exit code 2: no reason given.")


def test_a_crash_is_told_before_the_kubelet_backs_off() -> None:
    finding = diagnosis_of(make_pod(containerStatuses=container_status(state=ended(log="buildkitd: no"))))

    assert finding.reason is Reason.CRASH_LOOP


def test_a_daemon_that_ran_out_of_memory_is_told_so() -> None:
    finding = diagnosis_of(make_pod(containerStatuses=crashing(exit_code=137, reason="OOMKilled")))

    assert finding.reason is Reason.OUT_OF_MEMORY
    assert "spec.resources.limits.memory" in finding.message


def test_a_daemon_that_ended_well_is_no_crash() -> None:
    pod = make_pod(containerStatuses=container_status(state=ended(exit_code=0, reason="Completed")))

    assert diagnose(make_builder(), make_deployment(), [pod]) is None


def test_an_evicted_pod_is_told_with_the_kubelets_words() -> None:
    finding = diagnosis_of(
        make_pod("one", phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "buildkit-state" exceeds')
    )

    assert finding.reason is Reason.EVICTED
    assert 'Its node evicted pod one: Usage of EmptyDir volume "buildkit-state" exceeds.' in finding.message


def test_a_container_that_others_added_is_not_the_daemon() -> None:
    other = [{**status, "name": "proxy"} for status in waiting("ErrImagePull")]

    assert diagnose(make_builder(), make_deployment(), [make_pod(containerStatuses=other)]) is None


# Which pod


def test_the_newest_pods_trouble_is_told() -> None:
    older = make_pod("older", created="2026-11-24T10:00:00Z", containerStatuses=waiting("ErrImagePull"))
    newer = make_pod("newer", created="2026-11-24T11:00:00Z", containerStatuses=waiting("ErrImagePull"))

    assert "Pod newer " in diagnosis_of(older, newer).message
    assert "Pod newer " in diagnosis_of(newer, older).message


def test_a_pod_that_is_being_deleted_is_not_blamed() -> None:
    pod = make_pod(containerStatuses=waiting("ErrImagePull"))
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"

    assert diagnose(make_builder(), make_deployment(), [pod]) is None


def test_a_daemon_that_is_well_again_is_not_blamed_for_its_last_end() -> None:
    (status,) = crashing(exit_code=137, reason="OOMKilled")
    pod = make_pod(phase="Running", containerStatuses=[{**status, "state": {"running": {}}, "ready": True}])

    assert diagnose(make_builder(), make_deployment(), [pod]) is None


def test_an_evicted_pod_that_was_replaced_long_ago_is_history() -> None:
    gone = make_pod("gone", created="2026-11-20T10:00:00Z", phase="Failed", reason="Evicted", message="disk")
    ready = make_pod("ready", created="2026-11-20T10:01:00Z", containerStatuses=container_status())
    ready["status"]["containerStatuses"][0]["ready"] = True
    starting = make_pod("starting", created="2026-11-24T10:00:00Z")

    assert diagnose(make_builder(), make_deployment(), [gone, ready, starting]) is None
    assert diagnosis_of(gone, starting).reason is Reason.EVICTED


def test_a_daemon_that_crashes_beside_a_newer_one_that_serves_is_told() -> None:
    crashes = make_pod("crashes", created="2026-11-24T10:00:00Z", containerStatuses=crashing(log="buildkitd: no"))
    serves = make_pod("serves", created="2026-11-24T10:01:00Z", containerStatuses=container_status())
    serves["status"]["containerStatuses"][0]["ready"] = True

    assert diagnosis_of(crashes, serves).reason is Reason.CRASH_LOOP


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "demo-buildkitd-7c9d"}, True),
        ({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-buildkitd"}, True),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "demo-buildkitd"}, False),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "other-buildkitd-7c9d"}, False),
        ({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-buildkitd-7c9d"}, False),
        ({"apiVersion": "example.com/v1", "kind": "ReplicaSet", "name": "demo-buildkitd-7c9d"}, False),
        ({"apiVersion": "batch/v1", "kind": "Job", "name": "demo-buildkitd"}, False),
        (None, False),
    ],
)
def test_a_daemon_is_known_by_its_controller(owner: dict[str, Any] | None, expected: bool) -> None:  # noqa: FBT001
    pod = make_pod()
    if owner is not None:
        pod["metadata"]["ownerReferences"] = [{**owner, "uid": "1-2-3", "controller": True}]

    assert is_daemon(pod, "demo") is expected


# The front of a daemon


def fronted(**front: Any) -> Manifest:
    """Return a pod whose daemon runs, and whose front is in these states."""
    own = {"name": "buildkit-front", "restartCount": 0, **front}
    running = container_status(state={"running": {}})
    return make_pod(phase="Running", containerStatuses=running, initContainerStatuses=[own])


def test_a_front_without_an_image_names_the_setting() -> None:
    waits = {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}

    finding = diagnosis_of(fronted(state=waits))

    assert finding.reason is Reason.IMAGE_PULL_FAILED
    assert "cannot get the image of its front: ErrImagePull: no such host." in finding.message
    assert "BUILDKIT_OPERATOR_CONNECTOR_IMAGE" in finding.message


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (ended(log="cannot bind socket (Address in use)"), Reason.CRASH_LOOP),
        (ended(exit_code=137, reason="OOMKilled"), Reason.OUT_OF_MEMORY),
    ],
)
def test_a_front_that_crashes_is_told(end: Manifest, reason: Reason) -> None:
    finding = diagnosis_of(fronted(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=end))

    assert finding.reason is reason
    assert "-c buildkit-front" in finding.message
