import json
import os
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import archive, artifacts, cluster, current, engine, images, kind, layers, pins, state
from hack.cluster.docker import Docker, DockerError
from hack.cluster.host import Process
from hack.cluster.problems import ClusterError
from hack.cluster.state import State

NOTHING = engine.Machine(engine_answers=False, pull_problem=None, linux=True, root=False)
CANNOT_PULL = engine.Machine(engine_answers=True, pull_problem="no route to host", linux=True, root=False)


@pytest.fixture
def states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "buildkit-operator"


class TestEngine:
    def test_the_users_engine_is_used_where_it_can_pull(self) -> None:
        able = engine.Machine(engine_answers=True, pull_problem=None, linux=True, root=True)

        assert not engine.use_private(able)

    @pytest.mark.parametrize("machine", [NOTHING, CANNOT_PULL])
    def test_root_on_linux_brings_an_engine_of_its_own(self, machine: engine.Machine) -> None:
        assert engine.use_private(engine.Machine(machine.engine_answers, machine.pull_problem, linux=True, root=True))

    def test_nobody_else_gets_an_engine_and_is_told_why(self) -> None:
        with pytest.raises(engine.NoEngineError, match=r"No Docker engine answers here; as root, .* CLUSTER=current"):
            engine.use_private(NOTHING)

    def test_why_an_engine_is_not_enough_is_told(self) -> None:
        with pytest.raises(engine.NoEngineError, match=r"cannot pull kindest/node:.* \(no route to host\); as root"):
            engine.use_private(CANNOT_PULL)

    def test_outside_linux_root_is_no_remedy(self) -> None:
        with pytest.raises(engine.NoEngineError, match="the cluster needs one that can"):
            engine.use_private(engine.Machine(engine_answers=False, pull_problem=None, linux=False, root=True))


class TestConfiguration:
    def test_a_private_engine_has_a_bridge_and_is_reached_through_loopback(self) -> None:
        made = kind.configuration(private=True, port=1234)

        assert made["networking"]["disableDefaultCNI"]
        assert made["networking"]["apiServerPort"] == 1234
        assert made["containerdConfigPatches"] == []
        kubeadm = next(patch for patch in _patches(made) if patch["kind"] == "ClusterConfiguration")
        assert "127.0.0.1" in kubeadm["apiServer"]["certSANs"]

    def test_oom_scores_are_left_where_they_may_not_be_lowered(self) -> None:
        made = kind.configuration(private=True, port=1234, may_lower_oom_score=False)

        assert "restrict_oom_score_adj = true" in made["containerdConfigPatches"][0]

    def test_with_cgroup_v1_nothing_freezes_new_containers(self) -> None:
        made = kind.configuration(private=True, port=1234, cgroup_v1=True)

        kubelet = next(patch for patch in _patches(made) if patch["kind"] == "KubeletConfiguration")
        assert kubelet["cgroupDriver"] == "cgroupfs"
        (containerd,) = map(tomllib.loads, made["containerdConfigPatches"])
        runtimes = containerd["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]
        assert runtimes["runc"]["options"] == {"SystemdCgroup": False}

    def test_the_users_engine_gets_kinds_own_network_on_loopback_only(self) -> None:
        made = kind.configuration(private=False, port=1234)

        assert made["networking"] == {"apiServerAddress": "127.0.0.1", "apiServerPort": 1234}
        assert [patch["kind"] for patch in _patches(made)] == ["KubeletConfiguration"]


class TestState:
    def test_what_is_saved_is_found(self, states: Path) -> None:
        saved = State("mine", private=True, sysctls={"kernel.panic": "0"}, supervisor=Process(1, 2, "boot"))

        saved.save()

        assert state.load("mine") == saved
        assert states / "mine" == saved.folder

    def test_what_was_never_saved_is_absent(self, states: Path) -> None:
        assert not states.exists()
        assert state.load("mine") is None

    def test_nothing_is_left_of_a_forgotten_cluster(self, states: Path) -> None:
        saved = State("mine")
        saved.save()
        (saved.folder / "run").mkdir()
        saved.kubeconfig.touch()

        saved.forget()

        assert list(states.iterdir()) == []
        assert state.load("mine") is None

    @pytest.mark.parametrize("name", ["", "Mine", "-mine", "mine-", "../mine", "m" * 31])
    def test_a_name_that_no_node_could_have_is_refused(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv("CLUSTER_NAME", name)

        with pytest.raises(ClusterError, match="1 to 30 lower-case letters"):
            state.name()

    def test_only_two_kinds_of_cluster_can_be_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLUSTER", "minikube")

        with pytest.raises(ClusterError, match='CLUSTER="minikube" must be'):
            current.chosen()

    @pytest.mark.parametrize("port", ["http", "65536", "-1"])
    def test_what_is_no_port_is_refused(self, monkeypatch: pytest.MonkeyPatch, states: Path, port: str) -> None:
        assert not states.exists()
        monkeypatch.setenv("CLUSTER_PORT", port)

        with pytest.raises(ClusterError, match="must be a TCP port"):
            cluster.api_port()


class TestArchive:
    def test_an_image_archive_can_be_read_back(self, tmp_path: Path) -> None:
        base, top = _tree(tmp_path / "base", "etc/base"), _tree(tmp_path / "top", "etc/top")
        made = [archive.Image(["one:1"], [base, top], {"User": "1000"}), archive.Image(["two:1"], [base])]

        ids = archive.write(made, tmp_path / "images.tar", "amd64")

        with tarfile.open(tmp_path / "images.tar") as tar:
            entries = {entry["RepoTags"][0]: entry for entry in json.load(tar.extractfile("manifest.json"))}  # type: ignore[arg-type]
            config = json.load(tar.extractfile(entries["one:1"]["Config"]))  # type: ignore[arg-type]
            assert sum(name.endswith(".tar") for name in tar.getnames()) == 2, "a layer that images share is there once"
        assert ids["one:1"] == f"sha256:{entries['one:1']['Config'].removesuffix('.json')}"
        assert entries["two:1"]["Layers"] == entries["one:1"]["Layers"][:1]
        assert config["config"] == {"User": "1000"}
        assert [f"{digest.removeprefix('sha256:')}.tar" for digest in config["rootfs"]["diff_ids"]] == entries["one:1"][
            "Layers"
        ]

    def test_the_same_content_is_the_same_image(self, tmp_path: Path) -> None:
        tree = _tree(tmp_path / "tree", "file")

        first = archive.write([archive.Image(["one:1"], [tree])], tmp_path / "first.tar", "amd64")
        second = archive.write([archive.Image(["one:1"], [tree])], tmp_path / "second.tar", "amd64")

        assert first == second

    def test_a_deletion_becomes_a_mark(self, tmp_path: Path) -> None:
        tree = _tree(tmp_path / "tree", "etc/kept")
        try:
            os.mknod(tree / "etc/gone", 0o20000, os.makedev(0, 0))
        except PermissionError:
            pytest.skip("only root can make what overlay makes of a deleted file")

        layers.tar(tree, tmp_path / "layer.tar")

        with tarfile.open(tmp_path / "layer.tar") as tar:
            names = {name.removeprefix("./") for name in tar.getnames()}
        assert {"etc/kept", "etc/.wh.gone"} <= names
        assert "etc/gone" not in names


class TestDocker:
    def test_what_docker_says_is_the_error(self, tmp_path: Path) -> None:
        docker = Docker([str(_program(tmp_path, "echo no such image >&2; exit 1"))])

        assert docker.image_id("none") is None
        with pytest.raises(DockerError, match="docker image inspect: no such image"):
            docker("image", "inspect", "none")

    def test_the_script_for_people_talks_to_the_same_engine(self, tmp_path: Path) -> None:
        docker = Docker([str(_program(tmp_path, 'echo "$DOCKER_HOST" "$@"'))], "unix:///a socket")

        docker.write_script(tmp_path / "docker")

        said = subprocess.run([tmp_path / "docker", "ps", "a b"], text=True, capture_output=True, check=True).stdout
        assert said == "unix:///a socket ps a b\n" == docker("ps", "a b")


def test_every_published_image_can_be_made_here() -> None:
    made = {made.image for made in images.MADE.values()}

    assert made == {*images.PUBLISHED, *images.BASES}


@pytest.mark.parametrize("name", images.MADE)
def test_an_image_is_made_of_what_there_is(name: str) -> None:
    assert (images.SCRIPTS / f"{name}.sh").is_file()
    assert artifacts.ARTIFACTS.keys() >= set(images.MADE[name].parts)


def test_the_registry_runs_an_image_that_the_node_has() -> None:
    manifest = yaml.safe_load_all((Path(kind.__file__).with_name("registry.yaml")).read_text())
    deployment = next(document for document in manifest if document["kind"] == "Deployment")

    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == pins.REGISTRY_IMAGE
    assert pins.REGISTRY_IMAGE in images.PUBLISHED


def _patches(configuration: dict[str, Any]) -> list[dict[str, Any]]:
    return [yaml.safe_load(patch) for patch in configuration["kubeadmConfigPatches"]]


def _tree(folder: Path, file: str) -> Path:
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text(file)
    return folder


def _program(folder: Path, script: str) -> Path:
    program = folder / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program
