"""`status` against a real API server, with builders that a real operator has looked at."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from buildkit_operator.cli.status_command import HEADER
from hack.cluster.controlplane import ControlPlane
from hack.cluster.processes import free_port
from tests.integration.builders.builder_namespace import Builders
from tests.integration.cli.command import Answer, create_namespace, run, user


def status(team: Builders, *arguments: str) -> Answer:
    return run(team.control_plane.kubeconfig, "status", *arguments, "-n", team.namespace)


def test_a_builder_that_is_ready_is_a_line_and_success(team: Builders) -> None:
    team.create("sidecar", mode="Sidecar")
    team.wait_reason("Available", "sidecar")

    answer = status(team)

    assert answer.exit_status == 0
    assert answer.complaint == ""
    header, line = answer.text.splitlines()
    assert tuple(header.split()) == HEADER
    assert line.split()[:5] == [team.namespace, "sidecar", "Sidecar", "True", "Available"]
    assert line.endswith("get a daemon of their own.")


def test_a_builder_that_is_not_ready_has_its_remedy_below_and_fails(well: ControlPlane) -> None:
    team = Builders(well, create_namespace(well, **{"pod-security.kubernetes.io/enforce": "restricted"}))
    team.create("shared", cache={"persistentVolumeClaim": {}})
    team.create("suspended", mode="Sidecar", suspend=True)
    team.wait_reason("PodSecurityDenied", "shared")
    team.wait_reason("Suspended", "suspended")

    answer = status(team)

    assert answer.exit_status == 1
    table, advice = answer.text.split("\n\n")
    assert [line.split()[4] for line in table.splitlines()[1:]] == ["PodSecurityDenied", "Suspended"]
    assert "0/1" in table
    assert advice.startswith(f"{team.namespace}/shared: Set spec.isolation to UserNamespace")
    assert advice.endswith("https://docs.unreleased.invalid/reasons/PodSecurityDenied/\n")
    assert status(team, "suspended").exit_status == 0


def test_all_namespaces_are_asked_for_as_with_kubectl(team: Builders, well: ControlPlane) -> None:
    elsewhere = Builders(well, create_namespace(well))
    team.create("same", mode="Sidecar")
    elsewhere.create("same", mode="Sidecar")
    for builders in (team, elsewhere):
        builders.wait_reason("Available", "same")

    answer = run(well.kubeconfig, "status", "same", "-A", "-o", "json")

    namespaces = [builder["namespace"] for builder in answer.document["builders"]]
    assert namespaces == sorted({team.namespace, elsewhere.namespace} | set(namespaces))
    assert {builder["name"] for builder in answer.document["builders"]} == {"same"}


def test_programs_get_the_same_as_json_and_as_yaml(team: Builders) -> None:
    team.create("shared", shared={"replicas": 0})
    team.wait_reason("ScaledToZero", "shared")

    as_json, as_yaml = status(team, "-o", "json"), status(team, "-o", "yaml")

    assert (as_json.exit_status, as_yaml.exit_status) == (0, 0)
    assert json.loads(as_json.text) == yaml.safe_load(as_yaml.text)
    (builder,) = as_json.document["builders"]
    assert builder | {"message": "", "since": ""} == {
        "namespace": team.namespace,
        "name": "shared",
        "mode": "Shared",
        "well": True,
        "ready": "True",
        "reason": "ScaledToZero",
        "since": "",
        "endpoint": f"tcp://shared-buildkitd.{team.namespace}.svc:1234",
        "readyReplicas": 0,
        "replicas": 0,
        "pods": 0,
        "message": "",
        "remedy": None,
        "page": None,
    }


def test_a_builder_that_is_not_there_is_a_sentence_and_a_failure(team: Builders) -> None:
    answer = status(team, "missing")

    assert answer.exit_status == 1
    assert answer.text == ""
    assert answer.complaint == f'There is no BuildKitBuilder "missing" in namespace {team.namespace}.\n'


def test_a_namespace_without_builders_is_no_failure(team: Builders) -> None:
    answer = status(team, "-o", "json")

    assert answer.exit_status == 0
    assert answer.document == {"builders": []}
    assert answer.complaint == f"There is no BuildKitBuilder in namespace {team.namespace}.\n"


def test_the_contexts_namespace_is_the_default(team: Builders, tmp_path: Path) -> None:
    team.create("here", mode="Sidecar")
    config = yaml.safe_load(team.control_plane.kubeconfig.read_text())
    context = {**config["contexts"][0]["context"], "namespace": team.namespace}
    config["contexts"].append({"name": "team", "context": context})
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))

    in_team = run(None, "status", "--kubeconfig", str(kubeconfig), "--context", "team", "-o", "json")
    in_default = run(kubeconfig, "status", "-o", "json")

    assert [builder["name"] for builder in in_team.document["builders"]] == ["here"]
    assert in_default.complaint == "There is no BuildKitBuilder in namespace default.\n"


def test_rights_in_one_namespace_are_enough_there_and_nowhere_else(team: Builders) -> None:
    team.create("mine", mode="Sidecar")
    team.wait_reason("Available", "mine")
    kubeconfig = user(team.control_plane, team.namespace, "buildkit-operator-view")

    here, elsewhere = run(kubeconfig, "status", "-n", team.namespace), run(kubeconfig, "status", "-A")

    assert here.exit_status == 0
    assert elsewhere.exit_status == 2
    assert elsewhere.complaint.startswith("You may not read buildkitbuilders in all namespaces: ")
    assert "somebody" in elsewhere.complaint


def test_without_our_resource_there_is_a_sentence(bare: ControlPlane) -> None:
    answer = run(bare.kubeconfig, "status")

    assert answer.exit_status == 2
    assert "its CustomResourceDefinition is not installed" in answer.complaint


def no_kubeconfig(_: Path) -> Path | None:
    return None


def missing_file(folder: Path) -> Path:
    return folder / "missing"


def another_file(folder: Path) -> Path:
    (folder / "file").write_text("just text")
    return folder / "file"


@pytest.mark.parametrize("command", ["status", "doctor"])
@pytest.mark.parametrize(
    ("kubeconfig", "said"),
    [
        (no_kubeconfig, "No API server to connect to: set KUBECONFIG"),
        (missing_file, "missing: there is no such file"),
        (another_file, "this is no kubeconfig"),
    ],
)
def test_without_a_good_kubeconfig_nothing_is_asked(
    tmp_path: Path, command: str, kubeconfig: Callable[[Path], Path | None], said: str
) -> None:
    answer = run(kubeconfig(tmp_path), command)

    assert answer.exit_status == 2
    assert said in answer.complaint
    assert answer.text == ""


def kubeconfig_for(folder: Path, port: int) -> Path:
    file = folder / "kubeconfig"
    config = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_server_that_is_not_there_is_said_to_be_so(tmp_path: Path, command: str) -> None:
    answer = run(kubeconfig_for(tmp_path, free_port()), command)

    assert answer.exit_status == 2
    assert "The API server cannot be asked" in answer.complaint
    assert "Connect call failed" in answer.complaint


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_server_that_does_not_answer_is_waited_for_as_long_as_one_was_told(tmp_path: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = run(kubeconfig_for(tmp_path, silent.getsockname()[1]), command, "--request-timeout=0.5s")

    assert answer.exit_status == 2
    assert "no answer within 0.5 seconds" in answer.complaint


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_token_that_is_not_accepted_is_said_to_be_so(bare: ControlPlane, tmp_path: Path, command: str) -> None:
    config = yaml.safe_load(bare.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "stranger"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))

    answer = run(kubeconfig, command)

    assert answer.exit_status == 2
    assert "does not accept our credential" in answer.complaint
