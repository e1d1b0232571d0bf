"""What is said in several places, because each is read by other people or programs, is the same in all of them."""

import re
from pathlib import Path

from buildkit_operator.desired.platform import DEFAULT_IMAGE
from hack.cluster import pins

TOP = Path(__file__).parents[2]


def test_the_default_image_is_the_one_that_is_tested() -> None:
    assert DEFAULT_IMAGE == pins.BUILDKIT_IMAGE


def test_samples_and_the_demo_use_the_default_image() -> None:
    files = [*(TOP / "deploy/samples").glob("*.yaml"), *(TOP / "hack/demo").glob("*.yaml")]
    images = {image for file in files for image in re.findall(r"image: (\S*moby/buildkit\S*)", file.read_text())}

    assert images == {DEFAULT_IMAGE}


def test_samples_and_the_demo_use_the_docker_client_that_is_tested() -> None:
    files = [*(TOP / "deploy/samples").glob("*.yaml"), *(TOP / "hack/demo").glob("*.yaml")]
    images = {image for file in files for image in re.findall(r"image: (\S*library/docker:\S*)", file.read_text())}

    assert images == {pins.DOCKER_IMAGE}


def test_the_installed_operator_is_of_this_version() -> None:
    files = (TOP / "deploy").rglob("*.yaml")
    images = {image for file in files for image in re.findall(r"image: (\S*buildkit-operator:\S*)", file.read_text())}

    assert images == {pins.OPERATOR_IMAGE}


def test_the_operators_image_is_built_on_the_base_that_clusters_get() -> None:
    assert f"ARG BASE={pins.PYTHON_IMAGE}\n" in (TOP / "deploy/Dockerfile").read_text()
