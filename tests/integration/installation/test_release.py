"""What a release consists of beside its image: everything in it is of one version, and what it says is so."""

import hashlib
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator import __version__
from buildkit_operator.api import names
from hack.cluster import artifacts, pins

TOP: Final = Path(__file__).parents[3]
RELEASE: Final = TOP / "dist/release"
REPOSITORY: Final = "https://git.example.com/acme/buildkit-operator"

Make = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def make() -> Make:
    helm = artifacts.ensure("helm")["helm"] / "helm"

    def run(tag: str) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [TOP / "deploy/release.sh", tag]
        return subprocess.run(
            command,
            env={**os.environ, "HELM": str(helm), "REPOSITORY": REPOSITORY},
            text=True,
            capture_output=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def files(make: Make) -> dict[str, Path]:
    made = make(f"v{__version__}")
    assert made.returncode == 0, made.stderr
    return {file.name: file for file in RELEASE.iterdir()}


def test_a_release_is_complete(files: dict[str, Path]) -> None:
    assert sorted(files) == [
        "LICENSE",
        "SHA256SUMS",
        f"buildkit-operator-{__version__}.cdx.json",
        f"buildkit-operator-{__version__}.tgz",
        "buildkit.yaml",
        "crds.yaml",
        f"documentation-{__version__}.tar.gz",
        "install.yaml",
        f"kubectl-buildkit-{__version__}.tar.gz",
    ]


def test_a_tag_of_another_version_is_refused_before_anything_is_written(make: Make, files: dict[str, Path]) -> None:
    before = {name: file.stat().st_mtime_ns for name, file in files.items()}

    refused = make("v99.0.0")

    assert refused.returncode == 1
    assert refused.stderr == f"The tag v99.0.0 does not name the version in pyproject.toml, v{__version__}.\n"
    assert {name: file.stat().st_mtime_ns for name, file in files.items()} == before


def test_every_file_has_its_checksum(files: dict[str, Path]) -> None:
    lines = (line.split("  ", 1) for line in files["SHA256SUMS"].read_text().splitlines())
    told = {name: checksum for checksum, name in lines}

    others = {name: file for name, file in files.items() if name != "SHA256SUMS"}
    assert told == {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in others.items()}


def test_what_is_installed_is_of_this_version(files: dict[str, Path]) -> None:
    images = set(re.findall(r"image: (\S+)", files["install.yaml"].read_text()))

    assert images == {pins.OPERATOR_IMAGE}


def test_the_chart_is_of_this_version(files: dict[str, Path]) -> None:
    helm = artifacts.ensure("helm")["helm"] / "helm"
    package = str(files[f"buildkit-operator-{__version__}.tgz"])
    shown = subprocess.run([helm, "show", "chart", package], text=True, capture_output=True, check=True).stdout

    chart = yaml.safe_load(shown)
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_krew_gets_the_plugin_that_its_manifest_names(files: dict[str, Path], tmp_path: Path) -> None:
    archive = files[f"kubectl-buildkit-{__version__}.tar.gz"]
    plugin = yaml.safe_load(files["buildkit.yaml"].read_text())
    (platform,) = plugin["spec"]["platforms"]

    assert plugin["spec"]["version"] == f"v{__version__}"
    assert plugin["spec"]["homepage"] == f"{names.DOCUMENTATION}/cli/"
    assert platform["uri"] == f"{REPOSITORY}/releases/download/v{__version__}/{archive.name}"
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as tar:
        assert sorted(tar.getnames()) == sorted(file["from"] for file in platform["files"])
        tar.extractall(tmp_path, filter="data")
    assert os.access(tmp_path / platform["bin"], os.X_OK)


def test_the_documentation_is_one_version_of_a_site_with_several(files: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(files[f"documentation-{__version__}.tar.gz"]) as archive:
        archive.extractall(tmp_path, filter="data")

    page = (tmp_path / "reasons/NodeLost/index.html").read_text()
    assert '"version": {"provider": "mike"}' in page
    assert f'rel="canonical" href="{names.DOCUMENTATION}/{__version__}/reasons/NodeLost/"' in page


def test_the_sbom_names_every_package_of_the_image_by_version_and_hash(files: dict[str, Path]) -> None:
    sbom = json.loads(files[f"buildkit-operator-{__version__}.cdx.json"].read_text())

    lock = (TOP / "deploy/requirements.lock").read_text()
    assert {f"{found['name']}=={found['version']}" for found in sbom["components"]} == set(
        re.findall(r"^(\S+==[^\s;]+)", lock, re.MULTILINE)
    )
    assert all(found["externalReferences"][0]["hashes"] for found in sbom["components"])
    assert sbom["metadata"]["component"]["version"] == __version__
