"""Claims on the test cluster itself: what the tests of builders with a persistent cache can rely on."""

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for


def claim(size: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }


def writer(name: str, script: str) -> Manifest:
    container = {
        "name": "main",
        "image": pins.BUILDKIT_IMAGE,
        "command": ["sh", "-euc", script],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"runAsUser": 1000, "runAsGroup": 1000},
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }


def finish(team: Kubectl, name: str, script: str) -> str:
    """Run a pod with the claim to its end and return what it printed."""
    team.apply(writer(name, script))
    phase = wait_for(
        f"pod {name} has ended",
        lambda: (found := team.get("pod", name)["status"]["phase"]) in {"Succeeded", "Failed"} and found,
    )
    log = team("logs", name)
    assert phase == "Succeeded", log
    return log


def test_a_claim_binds_and_keeps_what_a_pod_without_root_writes(team: Kubectl) -> None:
    team.apply(claim("1Gi"))

    finish(team, "first", "echo kept > /data/file")

    assert finish(team, "second", "cat /data/file") == "kept\n"
    assert team.get("pvc", "data")["status"]["phase"] == "Bound"


def test_a_claim_cannot_be_resized_and_its_class_says_so(team: Kubectl) -> None:
    team.apply(claim("1Gi"))
    team("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data", "--timeout=30s")

    with pytest.raises(KubectlError, match=r"must support resize|only dynamically provisioned"):
        team.apply(claim("2Gi"))
    described = team.get("storageclass", "standard")["metadata"]["annotations"]["kubernetes.io/description"]
    assert "cannot be resized" in described
