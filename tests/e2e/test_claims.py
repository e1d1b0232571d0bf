"""Caches that outlive their daemons: on volumes of the node's own disk, root's as a disk is when it comes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.support.jobs import BUILD, builder, ran, run, wait_ready, wait_reason
from tests.support.runners import BUILD as SIDECAR_BUILD
from tests.support.runners import DAEMON, Runner, sidecar, step

FOLDER: Final = "/var/claims"
"""Where the volumes are on the node."""

STATE: Final = "/home/user/.local/share/buildkit"
ENFORCE: Final = "pod-security.kubernetes.io/enforce"
POD: Final = "demo-buildkitd-0"
GROUP: Final = 4242


@dataclass(frozen=True)
class Volumes:
    """A StorageClass of one test, with a volume of the node for each claim that there will be."""

    kubectl: Kubectl

    @property
    def name(self) -> str:
        return f"local-{self.kubectl.namespace}"

    def make(self) -> None:
        """Make the class and a volume, a folder that only root may write to."""
        (node, *_) = self.kubectl.get("nodes")
        self.on_the_node("make-volume", f"mkdir -p {FOLDER}/{self.name} && stat -c %u:%g:%a {FOLDER}/{self.name}")
        self.kubectl.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": self.name},
                "provisioner": "kubernetes.io/no-provisioner",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": self.name},
                "spec": {
                    "storageClassName": self.name,
                    "capacity": {"storage": "2Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "local": {"path": f"{FOLDER}/{self.name}"},
                    "nodeAffinity": {
                        "required": {"nodeSelectorTerms": [{"matchExpressions": [_is_node(node["metadata"]["name"])]}]}
                    },
                },
            },
        )

    def empty(self) -> None:
        """Give the volume of a claim that was deleted to the next one, empty as a new one is."""
        self.on_the_node("empty-volume", f"rm -rf {FOLDER}/{self.name}/*")
        self.release()

    def release(self) -> None:
        """Give the volume of a claim that was deleted to the next one, with all that is on it."""
        self.kubectl("patch", f"pv/{self.name}", '--patch={"spec": {"claimRef": null}}')

    def remove(self) -> None:
        """Remove everything, what is on the node too."""
        self.kubectl("delete", "bkb/demo", "--ignore-not-found")
        self.kubectl("label", "namespace", self.kubectl.namespace, f"{ENFORCE}-")
        self.kubectl("wait", "--for=delete", f"pod/{POD}", "--timeout=60s")
        self.on_the_node("remove-volume", f"rm -rf {FOLDER}/{self.name}")
        self.kubectl("delete", "pvc", "--all")
        self.kubectl("delete", f"pv/{self.name}", f"storageclass/{self.name}")

    def on_the_node(self, name: str, script: str) -> None:
        """Run a script as the node's root."""
        container = {
            "name": "main",
            "image": pins.PYTHON_IMAGE,
            "command": ["sh", "-euc", script],
            "securityContext": {"runAsUser": 0},
            "volumeMounts": [{"name": "node", "mountPath": FOLDER}],
        }
        volume = {"name": "node", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}
        pod = {"restartPolicy": "Never", "containers": [container], "volumes": [volume]}
        self.kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod})
        self.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--timeout=60s")


def _is_node(name: str) -> Manifest:
    return {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}


@pytest.fixture
def volumes(team: Kubectl) -> Iterator[Volumes]:
    """Return a class with one volume."""
    made = Volumes(team)
    made.make()
    yield made
    made.remove()


def is_built_anew(team: Kubectl) -> bool:
    """Build, and tell whether the step was run that a daemon with its cache takes from there."""
    log = run(team, f"{BUILD} --opt build-arg:SALT=claims")
    anew = ran(log, "claims")
    assert anew or "CACHED" in log, log
    return anew


def with_claim(volumes: Volumes, **spec: Any) -> Manifest:
    return builder(cache={"size": "2Gi", "persistentVolumeClaim": {"storageClassName": volumes.name}}, **spec)


def top(team: Kubectl) -> str:
    """Return owner, group and mode of the volume's top."""
    return team("exec", POD, "--", "stat", "-c", "%u:%g:%a", STATE).strip()


def replace_pod(team: Kubectl) -> None:
    """Delete the daemon's pod and wait until another one is ready."""
    before = team.get("pod", POD)["metadata"]["uid"]
    team("delete", "pod", POD)
    # `delete` waits until it has gone.
    wait_for("another pod", lambda: _uid(team) not in {None, before})
    team("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=90s")
    wait_ready(team)


def _uid(team: Kubectl) -> str | None:
    found = team.find("pod", POD)
    return found and str(found["metadata"]["uid"])


def second_daemon(team: Kubectl) -> Manifest:
    """Return a pod with the daemon's claim, as someone might make who copies the first one."""
    spec = team.get("statefulset", "demo-buildkitd")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    for field in ("startupProbe", "readinessProbe", "lifecycle"):
        container.pop(field, None)
    claim = {"name": "buildkit-state", "persistentVolumeClaim": {"claimName": f"buildkit-state-{POD}"}}
    spec |= {"restartPolicy": "Never", "volumes": [*spec["volumes"], claim], "terminationGracePeriodSeconds": 5}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "second"}, "spec": spec}


def test_a_cache_outlives_its_pod_and_no_second_daemon_gets_at_it(team: Kubectl, volumes: Volumes) -> None:
    team.apply(with_claim(volumes))
    wait_ready(team)
    # It was root's, and only its owner has changed.
    assert top(team) == "1000:0:755"
    assert is_built_anew(team)

    replace_pod(team)
    assert not is_built_anew(team)

    team.apply(second_daemon(team))
    team("wait", "--for=jsonpath={.status.phase}=Failed", "pod/second", "--timeout=60s")
    assert "another instance running" in team("logs", "second")
    # A claim outlives the pods that use it, ended ones too.
    team("delete", "pod", "second")
    assert not is_built_anew(team)
    replace_pod(team)
    assert not is_built_anew(team)

    # The operator's own rights let it ask for more; the class does not allow it.
    team("patch", "bkb", "demo", "--type=merge", f"--patch={json.dumps({'spec': {'cache': {'size': '3Gi'}}})}")
    ready = wait_for("the sentence", lambda: _says(team, "Not grown to spec.cache.size 3Gi"))
    assert ready["status"] == "True"
    assert "must support resize" in ready["message"]


def _says(team: Kubectl, text: str) -> Manifest | None:
    ready = condition(team.get("bkb", "demo"), "Ready")
    return ready if text in ready["message"] else None


def test_a_builder_that_is_made_anew_takes_up_the_cache_of_the_one_before(team: Kubectl, volumes: Volumes) -> None:
    team.apply(with_claim(volumes))
    wait_ready(team)
    assert is_built_anew(team)
    team("delete", "bkb", "demo")
    team("wait", "--for=delete", f"pod/{POD}", "--timeout=60s")

    team.apply(with_claim(volumes))

    wait_ready(team)
    assert not is_built_anew(team)


def test_a_cache_is_not_used_with_other_ids_than_it_was_written_with(team: Kubectl, volumes: Volumes) -> None:
    team.apply(with_claim(volumes))
    wait_ready(team)
    assert is_built_anew(team)
    other = with_claim(volumes, isolation="UserNamespace")
    with pytest.raises(KubectlError, match=r"isolation cannot be changed beside cache\.persistentVolumeClaim"):
        team.apply(other)

    # Made anew over claims that were retained, the one way and the other.
    _delete(team)
    team.apply(other)
    said = wait_reason(team, "CacheIncompatible")["message"]
    remedy = f"delete -n {team.namespace} pvc/buildkit-state-{POD} pod/{POD}"
    assert f"kubectl {remedy} " in said
    team(*remedy.split())
    volumes.empty()
    wait_ready(team)
    assert is_built_anew(team)

    _delete(team)
    team.apply(with_claim(volumes))
    wait_reason(team, "CacheIncompatible")
    _delete(team)
    team.apply(other)
    wait_ready(team)
    assert not is_built_anew(team)


def _delete(team: Kubectl) -> None:
    team("delete", "bkb", "demo")
    team("wait", "--for=delete", f"pod/{POD}", "--timeout=60s")


def test_a_root_owned_volume_is_taken_in_a_user_namespace_too(team: Kubectl, volumes: Volumes) -> None:
    team("label", "namespace", team.namespace, f"{ENFORCE}=baseline")
    team.apply(with_claim(volumes, isolation="UserNamespace"))
    wait_ready(team)

    assert top(team) == "1000:0:755"
    assert is_built_anew(team)
    replace_pod(team)
    assert not is_built_anew(team)


@pytest.fixture
def fs_group(cluster: Kubectl, team: Kubectl) -> Iterator[None]:
    """Have the API server give every pod of the test's namespace an fsGroup, as many admins' policies do."""
    name = f"fs-group-{team.namespace}"
    version = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    expression = f"Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{{fsGroup: {GROUP}}}}}}}"
    cluster.apply(
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": team.namespace}},
                    "resourceRules": [rule],
                },
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "mutations": [
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}},
                ],
            },
        },
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    )
    pod = ("run", "probe", "--image=none", "--dry-run=server", "--output=yaml")
    wait_for("the API server applies the policy", lambda: f"fsGroup: {GROUP}" in team(*pod))
    yield
    cluster("delete", f"mutatingadmissionpolicy/{name}", f"mutatingadmissionpolicybinding/{name}")


@pytest.mark.usefixtures("fs_group")
def test_a_foreign_fs_group_changes_nothing_that_was_built(team: Kubectl, volumes: Volumes) -> None:
    team.apply(with_claim(volumes))
    wait_ready(team)
    # Given to the group by the kubelet while it was empty, and so not to be given to the daemon.
    assert top(team) == f"0:{GROUP}:2775"
    assert is_built_anew(team)
    before = _built(team)

    replace_pod(team)

    assert _built(team) == before
    assert not is_built_anew(team)


def _built(team: Kubectl) -> list[str]:
    """Return owner, group and mode of the files in the base image's layers."""
    snapshots = f"{STATE}/root/runc-*/snapshots/snapshots"
    script = f"find {snapshots} -path '*/fs/bin/*' -exec stat -c '%u:%g:%a %n' {{}} + | sort"
    found = team("exec", POD, "--", "sh", "-c", script).splitlines()
    assert len(found) > 100
    return found


# Volumes of sidecars


def sidecar_with_volume(volumes: Volumes, **spec: Any) -> Manifest:
    return sidecar(cache={"size": "2Gi", "ephemeralVolume": {"storageClassName": volumes.name}}, **spec)


def runner_builds_anew(team: Kubectl) -> bool:
    """Build in a runner pod what `is_built_anew` does, tell the same of its sidecar's, and have the volume go."""
    job = Runner.start(team, step(f"{SIDECAR_BUILD} --opt build-arg:SALT=claims"))
    claim = f"{job.name}-buildkit-state"
    job.succeed()
    log = job.log()
    assert team.get("pvc", claim)["status"]["phase"] == "Bound"

    job.delete()
    wait_for(f"{claim} has gone with its pod", lambda: team.find("pvc", claim) is None)
    anew = ran(log, "claims")
    assert anew or "CACHED" in log, log
    return anew


def test_a_sidecar_has_a_volume_of_its_own_and_begins_with_the_cache_on_it(team: Kubectl, volumes: Volumes) -> None:
    """The volume is a shared daemon's, as a snapshot or a clone of it would be: no driver here makes any."""
    team.apply(with_claim(volumes))
    wait_ready(team)
    assert is_built_anew(team)
    _delete(team)
    team("delete", "pvc", "--all")
    volumes.release()

    team.apply(sidecar_with_volume(volumes))
    wait_ready(team)

    assert not runner_builds_anew(team)
    volumes.empty()
    assert runner_builds_anew(team)


def test_a_sidecar_in_a_user_namespace_has_a_volume_of_its_own(team: Kubectl, volumes: Volumes) -> None:
    team("label", "namespace", team.namespace, f"{ENFORCE}=baseline")
    team.apply(sidecar_with_volume(volumes, isolation="UserNamespace"))
    wait_ready(team)

    assert runner_builds_anew(team)


def test_a_volume_that_nobody_makes_is_told(team: Kubectl) -> None:
    team.apply(sidecar(cache={"ephemeralVolume": {"storageClassName": "no-such-class"}}))
    wait_ready(team)
    job = Runner.start(team, step("true"))

    message = wait_reason(team, "ClaimPending")["message"]

    assert f"kubectl describe -n {team.namespace} pvc {job.name}-buildkit-state" in message


def test_a_sidecar_keeps_its_cache_in_memory(team: Kubectl) -> None:
    team.apply(sidecar(cache={"size": "1Gi", "medium": "Memory"}, resources={"limits": {"memory": "2Gi"}}))
    wait_ready(team)
    job = Runner.start(team, step(f"{SIDECAR_BUILD} --opt build-arg:SALT=memory && touch /tmp/built && sleep 60"))
    job.wait_log("DONE")
    wait_for("it is built", lambda: team("exec", job.name, "-c", "job", "--", "sh", "-c", "ls /tmp").find("built") >= 0)

    script = f"stat -f -c %T {STATE} && ls {STATE}/root/runc-*"
    kind, *snapshots = team("exec", job.name, "-c", DAEMON, "--", "sh", "-c", script).split()

    assert kind == "tmpfs"
    assert "snapshots" in snapshots
    job.delete()
