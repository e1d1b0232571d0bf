"""Digests beside tags: written, checked, and never made up."""

import subprocess
from pathlib import Path

import pytest

from hack import image_pins

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
TEXT = f"""\
docker.io/moby/buildkit:v1-rootless
docker.io/library/haproxy:3@{A}
ARG BASE=localhost:5000/python:3.11-slim@{A}
COPY --from=build /a /b
"""


def ask(tagged: str) -> str:
    return A if "haproxy" in tagged else B


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "images.lock"
    path.write_text(TEXT)
    return path


def test_each_image_gets_the_digest_of_its_tag(file: Path) -> None:
    assert image_pins.main(["write"], ask, (file,)) == 0

    assert file.read_text() == (
        f"docker.io/moby/buildkit:v1-rootless@{B}\n"
        f"docker.io/library/haproxy:3@{A}\n"
        f"ARG BASE=localhost:5000/python:3.11-slim@{B}\n"
        "COPY --from=build /a /b\n"
    )
    assert image_pins.main(["check"], ask, (file,)) == 0


def test_what_is_missing_or_another_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert image_pins.main(["check"], ask, (file,)) == 1

    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [
        "docker.io/moby/buildkit:v1-rootless has no digest.",
        f"localhost:5000/python:3.11-slim has the digest {A}, and in its registry now {B}.",
    ]
    assert "make pin" in said[2]
    assert file.read_text() == TEXT


def test_where_no_registry_answers_nothing_is_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(tagged: str) -> str:
        raise subprocess.CalledProcessError(1, "crane", stderr=f"no route to {tagged}\n")

    assert image_pins.main(["write"], fail, (file,)) == 1
    assert "The registry cannot be asked: no route to docker.io/moby/buildkit:v1-rootless" in capsys.readouterr().err
    assert file.read_text() == TEXT


@pytest.mark.parametrize("path", image_pins.FILES, ids=lambda path: path.name)
def test_the_files_name_images_and_what_is_pinned_is_whole(path: Path) -> None:
    said = list(image_pins.problems(path.read_text(), lambda _tagged: ""))

    assert said
    assert path.read_text().count("@sha256:") == sum("has the digest" in sentence for sentence in said)
