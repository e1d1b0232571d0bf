"""`make install`, before it asks a cluster anything: which image it takes, and how clusters of this machine get it."""

import json
import os
import re
from pathlib import Path
from typing import Final

import pytest

from hack.cluster import pins
from hack.cluster.current import Context
from hack.cluster.problems import ClusterError
from hack.install import image, local_clusters, manifests
from hack.install.__main__ import DONE

QUICKSTART: Final = Path(__file__).parents[3] / "docs" / "quickstart.md"

Programs = dict[str, str]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no cluster of the project's own, and no image named from outside."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("IMAGE", raising=False)


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the only folder that programs are looked for in, besides the system's shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str = "") -> Path:
    """Write a program that notes its arguments, a line a call, and return that file."""
    calls = folder / f"{name}.calls"
    calls.touch()
    file = folder / name
    file.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{script}\n')
    file.chmod(0o755)
    return calls


def context(cluster: str, extension: str = "") -> Context:
    entry: dict[str, object] = {"server": "https://127.0.0.1:6443"}
    if extension:
        entry["extensions"] = [{"name": "cluster_info", "extension": {"provider": extension}}]
    config = {"current-context": "mine", "clusters": [{"name": cluster, "cluster": entry}]}
    return Context("mine", "https://127.0.0.1:6443", json.dumps(config))


class TestNamedImage:
    @pytest.mark.parametrize(
        "name",
        [
            "registry.example.com/buildkit-operator:0.1.0",
            "registry.example.com:5000/team/buildkit-operator:0.1.0",
            "localhost:5000/buildkit-operator:dev",
            f"registry.example.com/buildkit-operator@sha256:{'0' * 64}",
        ],
    )
    def test_an_image_with_a_tag_or_a_digest_is_taken_as_it_is(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("IMAGE", name)

        plan = image.plan(context("kind-dev"))

        assert plan.provide() == name
        assert name in plan.what
        assert plan.needs_consent

    @pytest.mark.parametrize(
        "name",
        [
            "registry.example.com/buildkit-operator",
            "registry.example.com:5000/buildkit-operator",
            "registry.example.com/buildkit-operator:",
            "registry.example.com/Buildkit-Operator:0.1.0",
            "https://registry.example.com/buildkit-operator:0.1.0",
            "registry.example.com/buildkit-operator:0.1.0 --privileged",
            "registry.example.com/buildkit-operator@sha256:0",
        ],
    )
    def test_another_is_refused_with_what_is_expected(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setenv("IMAGE", name)

        with pytest.raises(ClusterError, match=r'^IMAGE=".*" must be registry/name:tag.*Nothing was done\.$'):
            image.plan(context("kind-dev"))


class TestLocalClusters:
    def test_every_node_of_a_kind_cluster_gets_the_image(self, path: Path) -> None:
        listed = "dev-control-plane control-plane\ndev-worker worker\ndev-external-load-balancer external-load-balancer"
        answers = f"""ps) echo "{listed}" ;; exec) echo '{{"images": []}}' ;; save) : > "${{2#--output=}}" ;;"""
        docker = program(path, "docker", f"case $1 in {answers} esac")

        found = local_clusters.find(context("kind-dev"))
        assert found is not None
        found.load("operator:1")

        assert found.title == "the kind cluster dev"
        assert not found.own
        calls = (call.split() for call in docker.read_text().splitlines() if "images import" in call)
        imports = [next(word for word in words if word.startswith("dev-")) for words in calls]
        assert imports == ["dev-control-plane", "dev-worker"]

    def test_a_kind_cluster_of_another_engine_is_not_meant(self, path: Path) -> None:
        program(path, "docker")

        with pytest.raises(ClusterError, match=r"runs no node of the kind cluster dev\. make install IMAGE="):
            local_clusters.find(context("kind-dev"))

    def test_k3d_loads_by_its_own_program(self, path: Path) -> None:
        docker, k3d = program(path, "docker"), program(path, "k3d")

        found = local_clusters.find(context("k3d-dev"))
        assert found is not None
        found.load("operator:1")

        saved = docker.read_text().splitlines()[-1].split()
        assert (saved[0], saved[2]) == ("save", "operator:1")
        archive = saved[1].removeprefix("--output=")
        assert k3d.read_text() == f"image import --cluster=dev {archive}\n"

    def test_minikube_is_known_by_its_mark_and_loads_by_its_own_program(self, path: Path) -> None:
        program(path, "docker")
        minikube = program(path, "minikube")

        found = local_clusters.find(context("dev", "minikube.sigs.k8s.io"))
        assert found is not None
        found.load("operator:1")

        assert minikube.read_text().startswith("--profile=dev image load /")

    def test_what_the_program_says_is_the_error(self, path: Path) -> None:
        program(path, "docker")
        program(path, "k3d", "echo no such cluster >&2; exit 1")

        found = local_clusters.find(context("k3d-dev"))
        assert found is not None
        with pytest.raises(ClusterError, match=r"^k3d image import --cluster=dev: no such cluster$"):
            found.load("operator:1")

    @pytest.mark.parametrize(
        ("cluster", "extension", "programs", "sentence"),
        [
            ("kind-dev", "", {}, "kind cluster dev is built with Docker, and there is no docker in PATH"),
            ("k3d-dev", "", {"docker": "echo no daemon >&2; exit 1"}, r"which does not answer \(.*no daemon\)"),
            ("k3d-dev", "", {"docker": ""}, "k3d cluster dev gets its image by k3d, which is not in PATH"),
            ("dev", "minikube.sigs.k8s.io", {"docker": ""}, "gets its image by minikube, which is not in PATH"),
        ],
    )
    def test_what_is_missing_is_said_with_the_other_way(
        self, path: Path, cluster: str, extension: str, programs: Programs, sentence: str
    ) -> None:
        for name, script in programs.items():
            program(path, name, script)

        with pytest.raises(ClusterError, match=rf"{sentence}.*make install IMAGE=registry/name:tag"):
            local_clusters.find(context(cluster, extension))

    def test_any_other_cluster_pulls_and_is_told_how_to_build_and_push(self, path: Path) -> None:
        program(path, "docker")
        assert local_clusters.find(context("production")) is None

        with pytest.raises(ClusterError) as refused:
            image.plan(context("production"))

        assert "none of kind, k3d or minikube" in str(refused.value)
        assert "docker build -f deploy/Dockerfile" in str(refused.value)
        assert 'make install IMAGE="$IMAGE"' in str(refused.value)


def test_an_image_has_a_tag_of_its_content(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = program(path, "docker", "case $1 in image) echo sha256:0123456789abcdef ;; build) cat > /dev/null ;; esac")
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    program(path, "k3d")

    name = image.plan(context("k3d-dev")).provide()

    assert name.endswith("-0123456789ab")
    assert f"save --output={docker.read_text().partition('save --output=')[2].split()[0]} {name}" in docker.read_text()


def test_the_quickstart_shows_what_it_says_of_a_kind_cluster(path: Path) -> None:
    program(path, "docker", """case $1 in ps) echo "builds-control-plane control-plane" ;; esac""")
    shown = QUICKSTART.read_text()
    (name,) = set(re.findall(rf"{re.escape(pins.OPERATOR_IMAGE)}-[0-9a-f]{{12}}", shown))

    plan = image.plan(context("kind-builds"))

    assert f'{plan.what} the cluster of context "kind-builds" (https://127.0.0.1:40837)? [y/N] y\n' in shown
    assert f"Loaded {name} into the node in " in shown
    said = DONE.format(
        namespace="buildkit-operator",
        context="kind-builds",
        image=name,
        engine=manifests.ENGINES["policies"],
        kubectl="kubectl",
    )
    assert f"\n{said}```\n" in shown
    assert f"`{manifests.ENGINES['webhook']}`" in " ".join(shown.split())
