"""What claims have to do with daemons that do not run, and what is said of claims of another size."""

from collections.abc import Mapping
from typing import Any

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.claims import seen_claims
from buildkit_operator.desired.isolation import Level, PodSecurity
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import DaemonsObserved, Verdict, judge
from buildkit_operator.status.diagnosis.claims import diagnose, remarks
from buildkit_operator.status.diagnosis.daemons import Finding
from tests.unit.make import container_status, make_builder, make_claim, make_pod, make_stateful_set


def with_claims(size: str = "50Gi", replicas: int = 1, **spec: Any) -> BuildKitBuilder:
    return make_builder(cache={"size": size, "persistentVolumeClaim": {}}, shared={"replicas": replicas}, **spec)


def unschedulable(message: str) -> Manifest:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return make_pod("demo-buildkitd-0", conditions=[condition])


def found_with(claim: Manifest, *pods: Manifest) -> Finding | None:
    builder = with_claims()
    return diagnose(builder, seen_claims(builder, [], [claim], {}), pods)


def said(size: str, *claims: Manifest, refusals: Mapping[str, str] | None = None) -> list[str]:
    builder = with_claims(size, replicas=len(claims))
    return remarks(builder, seen_claims(builder, [], claims, refusals or {}))


def verdict(workload: Manifest, *claims: Manifest, pods: tuple[Manifest, ...] = (), **more: Any) -> Verdict:
    builder = with_claims(replicas=workload["spec"]["replicas"])
    return judge(builder, DaemonsObserved([workload], pods, claims=seen_claims(builder, [], claims, {}), **more))


# Claims without a volume


def test_of_a_lost_volume_a_user_must_act() -> None:
    finding = found_with(make_claim(0, phase="Lost"))

    assert finding is not None
    assert (finding.reason, finding.user_must_act) == (Reason.CLAIM_LOST, True)
    assert "kubectl delete -n ci pvc/buildkit-state-demo-buildkitd-0 pod/demo-buildkitd-0" in finding.message


def test_a_claim_that_waits_for_its_pod_is_no_finding() -> None:
    assert found_with(make_claim(0, phase="Pending"), make_pod()) is None


def test_a_claim_that_gets_no_volume_quotes_the_scheduler_and_says_where_to_look() -> None:
    finding = found_with(
        make_claim(0, phase="Pending", storage_class="fast"),
        unschedulable("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    )

    assert finding == Finding(
        Reason.CLAIM_PENDING,
        "PVC buildkit-state-demo-buildkitd-0 has no volume: 0/3 nodes are available: pod has unbound immediate "
        "PersistentVolumeClaims. Why StorageClass fast gives it none: "
        "kubectl describe -n ci pvc buildkit-state-demo-buildkitd-0",
    )


def test_a_claim_that_waits_for_a_pod_that_no_node_takes_is_not_to_blame() -> None:
    assert found_with(make_claim(0, phase="Pending"), unschedulable("1 node(s) had untolerated taint(s).")) is None


def test_a_claim_that_the_scheduler_has_not_heard_of_yet_is_waited_for() -> None:
    pod = unschedulable('0/1 nodes are available: persistentvolumeclaim "buildkit-state-demo-buildkitd-0" not found.')

    assert found_with(make_claim(0, phase="Pending"), pod) is None
    found = verdict(make_stateful_set(), make_claim(0, phase="Pending"), pods=(pod,))
    assert (found.reason, found.stalled) == (Reason.PROGRESSING, False)


def test_a_cluster_without_a_default_class_is_told() -> None:
    finding = found_with(
        make_claim(0, phase="Pending", storage_class=None), unschedulable("unbound PersistentVolumeClaims")
    )

    assert finding is not None
    assert "It names no StorageClass and the cluster has no default one" in finding.message


def test_a_volume_that_no_free_node_reaches_is_told() -> None:
    finding = found_with(make_claim(0), unschedulable("1 node(s) had volume node affinity conflict"))

    assert finding is not None
    assert finding.reason is Reason.UNSCHEDULABLE
    assert "had volume node affinity conflict. Make room there" in finding.message


def test_a_pod_that_is_too_big_has_nothing_to_do_with_its_claim() -> None:
    assert found_with(make_claim(0), unschedulable("Insufficient cpu")) is None


# Claims of another size


def test_claims_of_the_size_that_is_asked_for_are_not_mentioned() -> None:
    assert said("50Gi", make_claim(0, "50Gi"), make_claim(1, "50Gi", capacity="64Gi")) == []


def test_a_refused_growth_names_claim_size_and_remedy() -> None:
    assert said("50Gi", make_claim(0, "20Gi"), refusals={"claim-0": "must support resize (403)"}) == [
        (
            "Not grown to spec.cache.size 50Gi: buildkit-state-demo-buildkitd-0 (20Gi), as the API server refuses it: "
            "must support resize (403). Let the StorageClass allow volume expansion, or set spec.cache.size back."
        )
    ]


def test_a_failed_growth_quotes_the_storage() -> None:
    failed = {"type": "NodeResizeError", "status": "True", "message": "resize2fs: no"}

    (remark,) = said("50Gi", make_claim(0, "50Gi", capacity="20Gi", conditions=[failed]))

    assert remark.endswith("buildkit-state-demo-buildkitd-0 (20Gi), as the storage fails to: resize2fs: no.")


def test_growth_and_a_claim_that_is_too_large_are_told() -> None:
    growing, larger = said("50Gi", make_claim(0, "50Gi", capacity="20Gi"), make_claim(1, "60Gi"))

    assert growing == "Growing to spec.cache.size 50Gi: buildkit-state-demo-buildkitd-0 (20Gi)."
    assert larger.startswith("Larger than spec.cache.size 50Gi: buildkit-state-demo-buildkitd-1 (60Gi).")


def test_of_many_claims_a_few_are_named() -> None:
    (remark,) = said("50Gi", *(make_claim(number, "50Gi", capacity="20Gi") for number in range(5)))

    assert remark.endswith("buildkit-state-demo-buildkitd-2 (20Gi), 2 more.")


# The verdict


def test_a_stateful_set_is_settled_when_its_update_revision_is_rolled_out() -> None:
    assert verdict(make_stateful_set(ready=2, total=2)).reconciling is None
    rolling = verdict(make_stateful_set(ready=2, total=2, updated=1))
    assert (rolling.ready, rolling.reconciling) == (True, "2 of 2 daemons ready. 1 up to date.")


def test_remarks_leave_a_builder_ready_and_at_rest() -> None:
    found = verdict(make_stateful_set(ready=1), make_claim(0, "50Gi", capacity="20Gi"))

    assert (found.ready, found.reason, found.reconciling) == (True, Reason.AVAILABLE, None)
    assert found.message.startswith("1 of 1 daemon ready. Growing to spec.cache.size 50Gi")


def test_a_daemon_that_waits_for_its_volume_says_so_calmly() -> None:
    found = verdict(make_stateful_set(), make_claim(0, phase="Pending"), pods=(make_pod(),))

    assert found.reason is Reason.PROGRESSING
    assert found.message == "0 of 1 daemon ready. Waiting for the volume of buildkit-state-demo-buildkitd-0 (50Gi)."


def test_pods_that_the_namespace_refuses_are_told_though_a_stateful_set_does_not() -> None:
    found = verdict(make_stateful_set(total=0), enforced=PodSecurity(Level.BASELINE))

    assert (found.reason, found.stalled) == (Reason.POD_SECURITY_DENIED, True)


def test_a_stateful_set_without_pods_says_where_to_look() -> None:
    found = verdict(make_stateful_set(total=0), enforced=PodSecurity())

    assert found.message.endswith("this tells why: kubectl describe -n ci statefulset demo-buildkitd")


# The container that gives the volume to the daemon


def owner_status(**states: Manifest) -> list[Manifest]:
    return [{"name": "buildkit-volume", "ready": False, "restartCount": 0, **states}]


def test_an_image_that_cannot_be_had_is_told_by_the_first_container() -> None:
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    pod = make_pod(
        initContainerStatuses=owner_status(state={"waiting": waiting}),
        containerStatuses=container_status(state={"waiting": {"reason": "PodInitializing"}}),
    )

    assert verdict(make_stateful_set(), make_claim(0), pods=(pod,)).reason is Reason.IMAGE_PULL_FAILED


def test_a_volume_that_cannot_be_given_away_is_told() -> None:
    failed = {"exitCode": 1, "message": "chown: /volume: Operation not permitted\n"}
    pod = make_pod(
        "demo-buildkitd-0",
        initContainerStatuses=owner_status(
            state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": failed}
        ),
    )

    found = verdict(make_stateful_set(), make_claim(0), pods=(pod,))

    assert found.reason is Reason.VOLUME_NOT_WRITABLE
    assert found.message == (
        "The volume of pod demo-buildkitd-0 cannot be given to the daemon: chown: /volume: Operation not permitted. "
        "Make its top directory writable for uid 1000."
    )


def test_a_volume_that_was_given_away_in_the_end_is_no_finding() -> None:
    before = {"terminated": {"exitCode": 1, "message": "no"}}
    statuses = owner_status(state={"terminated": {"exitCode": 0}}, lastState=before)
    pod = make_pod(initContainerStatuses=statuses, containerStatuses=container_status())

    assert verdict(make_stateful_set(), make_claim(0), pods=(pod,)).reason is Reason.PROGRESSING
