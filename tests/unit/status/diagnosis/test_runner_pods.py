"""What is seen of runner pods: numbers, and what is wrong with their daemons."""

from typing import Any

import pytest

from buildkit_operator.api.reasons import Reason
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.runner_pods import counts, decisive, diagnose, is_runner
from tests.unit.make import changed, injection_of, make_builder, make_pod

INJECTION = injection_of(make_builder(mode="Sidecar"))
SIDECAR_FIELDS = ("name", "image", "command", "restartPolicy")
READY: Manifest = {"started": True, "ready": True, "state": {"running": {}}}
STARTING: Manifest = {"started": False, "state": {"running": {}}}
NO_IMAGE: Manifest = {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}


def runner(
    name: str = "runner", *, created: str = "2026-11-24T11:59:00Z", phase: str = "Running", **daemon: Any
) -> Manifest:
    status = {"name": "buildkitd", "ready": False, "restartCount": 0, **daemon}
    pod = make_pod(name, created=created, phase=phase, initContainerStatuses=[status])
    pod["metadata"]["labels"] = {"buildkit-operator.dev/injected": "demo"}
    sidecar, config = INJECTION["initContainers"][0], INJECTION["volumes"][0]
    pod["spec"] = {"initContainers": [{key: sidecar[key] for key in SIDECAR_FIELDS}], "volumes": [config]}
    return pod


def given_up(log: str) -> Manifest:
    """Return the state of a daemon that started.sh gave up: stopped with 0, and with what it had to say."""
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
        "lastState": {"terminated": {"exitCode": 0, "reason": "Completed", "message": log}},
    }


def test_a_runner_is_told_from_a_shared_builders_own_pod() -> None:
    assert is_runner(runner(), "demo")
    assert not is_runner(make_pod("demo-buildkitd-x"), "demo")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata.labels", {"buildkit-operator.dev/injected": "other"}),
        ("spec.initContainers", []),
        ("spec.initContainers.0.name", "theirs"),
        ("spec.initContainers.0.restartPolicy", None),
        ("spec.volumes", []),
        ("spec.volumes.0", {"name": "buildkit-config", "configMap": {"name": "theirs"}}),
        ("spec.volumes.0", {"name": "buildkit-config", "emptyDir": {}}),
    ],
)
def test_labels_alone_make_no_runner(field: str, value: Any) -> None:
    assert not is_runner(changed(runner(**NO_IMAGE), field, value), "demo")


# What speaks against the builder


def job(pod: Manifest, **state: Manifest) -> Manifest:
    """Return the pod with a job in a state."""
    return changed(pod, "status.containerStatuses", [{"name": "job", "state": state}])


def test_a_job_that_waits_in_vain_speaks_against_the_builder() -> None:
    pod = runner(phase="Pending", **NO_IMAGE)

    assert decisive([pod], INJECTION) == diagnose([pod])
    assert decisive([job(pod, waiting={"reason": "PodInitializing"})], INJECTION) is not None


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(job(runner(**NO_IMAGE), running={}), id="its job has begun"),
        pytest.param(runner(phase="Failed", **NO_IMAGE), id="it has ended"),
        pytest.param(changed(runner(**NO_IMAGE), "spec.initContainers.0.image", "x"), id="another image"),
        pytest.param(changed(runner(**NO_IMAGE), "spec.initContainers.0.command", ["false"]), id="another program"),
    ],
)
def test_what_is_no_fault_of_the_builders_now_is_only_told(pod: Manifest) -> None:
    assert diagnose([pod]) is not None
    assert decisive([pod], INJECTION) is None


def test_a_job_that_has_begun_since_speaks_for_the_builder() -> None:
    stuck = runner("stuck", created="2026-11-24T11:00:00Z", phase="Pending", **NO_IMAGE)
    done = job(runner("done", created="2026-11-24T12:00:00Z", phase="Succeeded"), terminated={"exitCode": 0})

    assert decisive([stuck, done], INJECTION) is None
    assert decisive([changed(done, "metadata.creationTimestamp", "2026-11-24T10:00:00Z"), stuck], INJECTION) is not None
    assert decisive([stuck, changed(done, "spec.initContainers.0.image", "theirs")], INJECTION) is not None


def test_no_pods_are_three_zeros() -> None:
    assert counts([]) == {"injected": 0, "ready": 0, "failed": 0}


def test_pods_that_have_ended_do_not_count() -> None:
    pods = [runner(**READY), runner(phase="Pending", **STARTING), runner(phase="Pending", **NO_IMAGE)]
    ended = [runner(phase="Succeeded", **READY), runner(phase="Failed", **NO_IMAGE)]

    assert counts([*pods, *ended]) == {"injected": 3, "ready": 1, "failed": 1}


def test_a_daemon_is_ready_when_its_gate_let_the_job_begin_not_when_it_runs() -> None:
    assert counts([runner(**STARTING)])["ready"] == 0
    assert counts([runner(started=True, state={"terminated": {"exitCode": 0}})])["ready"] == 0


def test_nothing_is_wrong_with_daemons_that_run() -> None:
    assert diagnose([runner(**READY), runner(**STARTING), runner(phase="Succeeded", **NO_IMAGE)]) is None


def test_the_newest_failure_is_told() -> None:
    old = runner("old", created="2026-11-24T11:00:00Z", **NO_IMAGE)
    new = runner("new", created="2026-11-24T12:00:00Z", **NO_IMAGE)

    found = diagnose([new, old])
    assert found is not None
    assert found.reason is Reason.IMAGE_PULL_FAILED
    assert "Pod new" in found.message


def test_a_daemon_that_never_came_up_is_told_by_its_own_words() -> None:
    log = "[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 7 [0 1000 1] failed: exit status 1"
    found = diagnose([runner(phase="Pending", **given_up(log))])

    assert found is not None
    assert found.reason is Reason.USER_NAMESPACE_DENIED
    assert "allowPrivilegeEscalation: false" in found.message


def test_any_other_reason_to_give_up_is_quoted() -> None:
    found = diagnose([runner(phase="Pending", **given_up("time=… level=info\nbuildkitd: invalid thing\n"))])

    assert found is not None
    assert found.reason is Reason.CRASH_LOOP
    assert found.message == (
        "The daemon in pod runner did not come up: buildkitd: invalid thing. "
        "All of it: kubectl logs --previous -n ci runner -c buildkitd"
    )


def test_a_daemon_that_ended_with_its_job_is_none_that_failed() -> None:
    ended: Manifest = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}

    assert diagnose([runner(phase="Failed", **ended)]) is None


def test_memory_that_ran_out_is_told_although_the_daemon_is_up_again() -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    found = diagnose([runner(**READY, lastState=killed)])

    assert found is not None
    assert found.reason is Reason.OUT_OF_MEMORY


@pytest.mark.parametrize(("volume", "told"), [("buildkit-state", True), ("work", False)])
def test_only_an_eviction_over_the_daemons_volume_is_the_builders_affair(volume: str, *, told: bool) -> None:
    pod = runner(phase="Failed")
    pod["status"] |= {"reason": "Evicted", "message": f'Usage of EmptyDir volume "{volume}" exceeds the limit "20Gi".'}

    assert (diagnose([pod]) is not None) is told


def test_what_ailed_a_pod_that_has_ended_is_over_once_a_newer_one_is_up() -> None:
    evicted = runner(phase="Failed", created="2026-11-24T11:00:00Z")
    evicted["status"] |= {"reason": "Evicted", "message": 'Usage of EmptyDir volume "buildkit-state" exceeds…'}

    assert diagnose([evicted]) is not None
    assert diagnose([evicted, runner(created="2026-11-24T12:00:00Z", **READY)]) is None


def connected(**connector: Any) -> Manifest:
    """Return a pod with a connector, and with a sidecar of its own that is called as a daemon is."""
    own = {"name": "buildkitd", "ready": True, "restartCount": 0, **READY}
    pod = runner()
    pod["status"]["initContainerStatuses"] = [{"name": "buildkit-connector", "restartCount": 0, **connector}, own]
    return pod


def test_a_pod_of_a_shared_builder_goes_by_its_connector() -> None:
    assert counts([connected(**READY), connected(**STARTING)]) == {"injected": 2, "ready": 1, "failed": 0}


def test_a_connector_without_an_image_names_the_setting() -> None:
    finding = diagnose([connected(**NO_IMAGE)])

    assert finding is not None
    assert finding.reason is Reason.IMAGE_PULL_FAILED
    assert "BUILDKIT_OPERATOR_CONNECTOR_IMAGE" in finding.message


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ({"exitCode": 137, "reason": "OOMKilled"}, Reason.OUT_OF_MEMORY),
        ({"exitCode": 137, "reason": "Error", "message": "no socket"}, Reason.CRASH_LOOP),
    ],
)
def test_a_connector_that_was_ended_is_told(ended: Manifest, reason: Reason) -> None:
    finding = diagnose([connected(started=False, state={"waiting": {}}, lastState={"terminated": ended})])

    assert finding is not None
    assert finding.reason is reason
    assert "-c buildkit-connector" in finding.message


# A volume that is made for the pod

EPHEMERAL: Manifest = {"name": "buildkit-state", "ephemeral": {}}
OWN: Manifest = {"name": "buildkit-volume", "state": {"terminated": {"exitCode": 0}}}


def on_ephemeral_volume(pod: Manifest, owner: Manifest = OWN) -> Manifest:
    pod["spec"]["volumes"].append(EPHEMERAL)
    pod["status"]["initContainerStatuses"].insert(0, owner)
    return pod


def unscheduled(said: str) -> Manifest:
    pod = runner(phase="Pending")
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    return changed(pod, "status.conditions", [why])


UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."


def test_a_pod_that_waits_for_its_volume_is_told_with_the_claim() -> None:
    finding = diagnose([on_ephemeral_volume(unscheduled(UNBOUND))])

    assert finding is not None
    assert finding.reason is Reason.CLAIM_PENDING
    assert "kubectl describe -n ci pvc runner-buildkit-state" in finding.message


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(unscheduled(UNBOUND), id="a volume of the job's own"),
        pytest.param(on_ephemeral_volume(unscheduled("0/1 nodes are available: 1 Insufficient cpu.")), id="no room"),
        pytest.param(
            on_ephemeral_volume(
                unscheduled(
                    "0/1 nodes are available: waiting for ephemeral volume controller to create the "
                    'persistentvolumeclaim "runner-buildkit-state".'
                )
            ),
            id="it is being made",
        ),
    ],
)
def test_what_else_keeps_a_pod_from_a_node_is_no_affair_of_the_builders(pod: Manifest) -> None:
    assert diagnose([pod]) is None


def test_a_volume_that_cannot_be_given_to_the_sidecar_is_told() -> None:
    failed = {"name": "buildkit-volume", "state": {"terminated": {"exitCode": 1, "message": "chown: not permitted"}}}
    finding = diagnose([on_ephemeral_volume(runner(phase="Pending"), failed)])

    assert finding is not None
    assert finding.reason is Reason.VOLUME_NOT_WRITABLE


@pytest.mark.parametrize(
    ("log", "reason", "remedy"),
    [
        (
            "buildkitd: no space left on device",
            Reason.VOLUME_FULL,
            "Raise spec.cache.size, for the pods that come then.",
        ),
        ("ids.sh: the cache was written with other ids", Reason.CACHE_INCOMPATIBLE, "ephemeralVolume.dataSource"),
    ],
)
def test_what_is_wrong_with_a_volume_of_the_pods_own_has_a_remedy_of_its_own(
    log: str, reason: Reason, remedy: str
) -> None:
    finding = diagnose([on_ephemeral_volume(runner(phase="Pending", **given_up(log)))])

    assert finding is not None
    assert finding.reason is reason
    assert remedy in finding.message
