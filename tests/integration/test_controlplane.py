import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml

from hack.cluster import artifacts, pins
from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane

REPOSITORY = Path(__file__).parents[2]
StartControlPlane = Callable[..., ControlPlane]


def config_map(name: str, **metadata: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def exists(control_plane: ControlPlane, path: str) -> bool:
    try:
        control_plane.request("GET", path)
    except urllib.error.HTTPError as refusal:
        if refusal.code != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


def test_two_side_by_side_know_nothing_of_each_other(
    control_plane: ControlPlane, namespace: str, start_control_plane: StartControlPlane
) -> None:
    other = start_control_plane()

    assert exists(control_plane, f"/api/v1/namespaces/{namespace}")
    assert not exists(other, f"/api/v1/namespaces/{namespace}")


def test_a_killed_api_server_comes_back_with_its_data_at_the_same_address(
    start_control_plane: StartControlPlane,
) -> None:
    own = start_control_plane()
    own.request("POST", "/api/v1/namespaces/default/configmaps", config_map("kept"))
    url = own.url

    own.kill_api_server()
    with pytest.raises(urllib.error.URLError):
        own.request("GET", "/version")
    own.start_api_server()

    assert own.url == url
    assert exists(own, "/api/v1/namespaces/default/configmaps/kept")


def test_a_frozen_api_server_answers_when_it_is_thawed(start_control_plane: StartControlPlane) -> None:
    own = start_control_plane()

    with own.frozen_api_server():
        asking = subprocess.Popen([sys.executable, "-c", ASK, own.url])
        with pytest.raises(subprocess.TimeoutExpired):
            asking.wait(timeout=1)

    assert asking.wait(timeout=10) == 0


ASK = """
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
urllib.request.urlopen(sys.argv[1] + "/readyz", context=context, timeout=20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels have no parent-death signal")
def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # Its folder outlives it, so let that be one that is cleared.
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", START_AND_SLEEP, pids], cwd=REPOSITORY, env=environment)
    assert until(pids.exists, 60)
    children = [int(pid) for pid in pids.read_text().split()]
    assert len(children) == 3
    assert all(runs(pid) for pid in children)

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    assert until(lambda: not any(runs(pid) for pid in children), 5)


START_AND_SLEEP = """
import os, sys, time
from pathlib import Path
from hack.cluster import artifacts, pins
from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane
with ControlPlane(controllers=["garbagecollector"]) as control_plane:
    pids = Path(sys.argv[1])
    pids.with_suffix(".part").write_text(" ".join(map(str, control_plane.pids)))
    pids.with_suffix(".part").rename(pids)
    time.sleep(600)
"""


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    # A killed process that nobody has waited for is done all the same.
    return state != "Z"


def requests_in(namespace: str, control_plane: ControlPlane, mark: int) -> list[Request]:
    """Return what was asked about ConfigMaps of a namespace: the operator of other tests asks this server, too."""
    asked = control_plane.audit(mark)
    return [request for request in asked if (request.namespace, request.resource) == (namespace, "configmaps")]


def test_the_audit_log_counts_who_wrote_what(control_plane: ControlPlane, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    mark = control_plane.mark()

    control_plane.request("POST", path, config_map("one"))
    with pytest.raises(urllib.error.HTTPError):
        control_plane.request("POST", path, config_map("one"))
    control_plane.request("GET", f"{path}/one")

    requests = requests_in(namespace, control_plane, mark)
    assert [(request.verb, request.code, request.writes) for request in requests] == [
        ("create", 201, True),
        ("create", 409, True),
        ("get", 200, False),
    ]
    assert {(request.user, request.namespace, request.resource, request.name) for request in requests} == {
        ("admin", namespace, "configmaps", "one")
    }
    assert requests[0].user_agent.startswith("python-urllib3/")


def test_the_audit_log_is_empty_when_nobody_asks(control_plane: ControlPlane, namespace: str) -> None:
    mark = control_plane.mark()

    assert requests_in(namespace, control_plane, mark) == []


def test_a_watch_is_counted_when_it_begins(control_plane: ControlPlane, namespace: str) -> None:
    mark = control_plane.mark()

    control_plane.kubectl("get", "--raw", f"/api/v1/namespaces/{namespace}/configmaps?watch=true&timeoutSeconds=1")

    requests = requests_in(namespace, control_plane, mark)
    assert [(request.verb, request.resource) for request in requests] == [("watch", "configmaps")]


def test_a_service_account_has_its_own_rights_and_no_others(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl(f"--namespace={namespace}", "create", "serviceaccount", "reader")
    control_plane.kubectl(
        f"--namespace={namespace}", "create", "role", "reader", "--verb=list", "--resource=configmaps"
    )
    control_plane.kubectl(
        f"--namespace={namespace}",
        "create",
        "rolebinding",
        "reader",
        "--role=reader",
        f"--serviceaccount={namespace}:reader",
    )
    config = yaml.safe_load(control_plane.service_account_kubeconfig(namespace, "reader").read_text())
    token = config["users"][0]["user"]["token"]

    assert control_plane.request("GET", f"/api/v1/namespaces/{namespace}/configmaps", token=token)["items"] == []
    with pytest.raises(urllib.error.HTTPError, match="403"):
        control_plane.request("GET", f"/api/v1/namespaces/{namespace}/secrets", token=token)


def test_a_pod_is_admitted_without_a_service_account(control_plane: ControlPlane, namespace: str) -> None:
    pod = {"metadata": {"name": "job"}, "spec": {"containers": [{"name": "job", "image": "job"}]}}

    assert control_plane.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)["status"]["phase"] == "Pending"


def test_named_assets_are_used_and_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = artifacts.ensure("kube")["kube"]
    for name in ("etcd", "kube-apiserver"):
        (tmp_path / name).symlink_to(built / name)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("BUILDKIT_OPERATOR_CACHE", str(tmp_path / "cache"))

    with ControlPlane() as own:
        assert own.request("GET", "/version")["gitVersion"] == f"v{pins.KUBERNETES}"

    assert not (tmp_path / "cache").exists()


def test_chosen_controllers_do_their_work(start_control_plane: StartControlPlane) -> None:
    own = start_control_plane(controllers=("garbagecollector", "serviceaccount"))
    path = "/api/v1/namespaces/default/configmaps"
    owner = own.request("POST", path, config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    own.request("POST", path, config_map("owned", ownerReferences=[reference]))

    own.request("DELETE", f"{path}/owner")

    assert until(lambda: not exists(own, f"{path}/owned"), 30)
    assert until(lambda: exists(own, "/api/v1/namespaces/default/serviceaccounts/default"), 30)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_by_hand_it_answers_kubectl_until_it_is_interrupted(end: signal.Signals) -> None:
    command = [sys.executable, "-m", "hack.cluster.controlplane"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        said = started.stdout.readline()
        kubectl = f"{said.strip()}; kubectl"

        assert "default" in subprocess.check_output(["sh", "-c", f"{kubectl} get namespaces"], text=True)
        assert subprocess.check_output(["sh", "-c", f"{kubectl} get buildkitbuilders"], text=True) == ""
        started.send_signal(end)

    assert started.returncode == 0
    assert not Path(said.partition("KUBECONFIG=")[2].split()[0]).exists()


def test_it_can_build_its_programs_only() -> None:
    command = [sys.executable, "-m", "hack.cluster.controlplane", "--build-only"]

    assert subprocess.check_output(command, cwd=REPOSITORY, text=True) == ""


def test_stop_leaves_no_process_and_no_file(start_control_plane: StartControlPlane) -> None:
    own = start_control_plane()
    pids, folder = own.pids, own.kubeconfig.parent
    assert folder.is_dir()

    own.stop()

    assert not folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
