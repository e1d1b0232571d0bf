"""What a build came to is held against its entry in the corpus, and every difference is told."""

import io
import json
import tarfile
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.corpus import Client, Entry, Expected, Section
from tests.support.expectations import differences
from tests.support.oci import Image, Layout, Reader, tree


def packed(*members: tuple[str, str], **more: Any) -> bytes:
    """Return a tar of files with their texts."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in members:
            member = tarfile.TarInfo(name)
            member.size = len(text)
            for key, value in more.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(text.encode()))
    return archive.getvalue()


LOWER = tree(packed(("./app/one", "one\n"), ("app/two", "two"), ("gone/deep/file", "")))
UPPER = tree(
    packed(("app/.wh.two", ""), ("app/three", "three"), ("gone/deep/.wh..wh..opq", ""), mode=0o640, uid=7, gid=8)
)
IMAGE = Image(
    {"architecture": "amd64", "config": {"User": "7", "Labels": {"a": "b"}}, "history": [{"created_by": "RUN make"}]},
    (LOWER, UPPER),
    {"layers": [{"mediaType": "tar+gzip", "annotations": {"noted": "1"}}], "annotations": {"title": "x"}},
    {"annotations": {"vendor": "y"}},
    ("https://slsa.dev/provenance/v1",),
)

AS_IT_IS: dict[str, Any] = {
    "config": {"architecture": "amd64", "config": {"User": "*", "Labels": {"a": "b"}, "Cmd": None}},
    "history": ["make"],
    "files": {"/app/one": "one", "/app/three": {"has": "hree", "mode": "0640", "owner": "7:8", "kind": "file"}},
    "absent": ["/app/two", "/gone/deep/file", "secret"],
    "layers": 2,
    "compression": "+gzip",
    "annotations": {"title": "x", "vendor": "y"},
    "layer_annotations": ["noted"],
    "attestations": ["https://slsa.dev/provenance/v1"],
}
OTHERWISE: list[dict[str, Any]] = [
    {"config": {"config": {"User": "8"}}},
    {"config": {"config": {"Labels": {"a": "c"}}}},
    {"config": {"config": {"Cmd": "*"}}},
    {"config": {"config": {"User": None}}},
    {"history": ["test"]},
    {"files": {"/app/one": "1"}},
    {"files": {"/app/two": "two"}},
    {"files": {"/app/three": {"has": "four"}}},
    {"files": {"/app/three": {"mode": "0644"}}},
    {"files": {"/app/three": {"owner": "0:0"}}},
    {"files": {"/app/three": {"kind": "symlink"}}},
    {"files": {"/app/three": {"time": 1}}},
    {"files": {"/app/three": {"xattrs": ["security.capability"]}}},
    {"absent": ["/app/one"]},
    {"absent": ["RUN make"]},
    {"layers": 3},
    {"compression": "+zstd"},
    {"annotations": {"vendor": "x"}},
    {"layer_annotations": ["other"]},
    {"attestations": ["https://spdx.dev/Document"]},
    {"nodes": 2},
]


def test_what_is_as_expected_differs_in_nothing() -> None:
    assert differences(Expected(**AS_IT_IS), [IMAGE]) == []


@pytest.mark.parametrize("expected", OTHERWISE, ids=str)
def test_what_is_otherwise_is_told(expected: dict[str, Any]) -> None:
    assert len(differences(Expected(**expected), [IMAGE])) == 1


def test_every_field_of_an_expectation_is_looked_at() -> None:
    assert {name for expected in OTHERWISE for name in expected} == set(Expected.model_fields)


def test_an_archive_is_read_by_its_index() -> None:
    config = json.dumps({"architecture": "arm64"})
    manifest = json.dumps({"config": {"digest": "sha256:c"}, "layers": []})
    top = json.dumps({"manifests": [{"digest": "sha256:m"}]})
    files = tree(packed(("index.json", top), ("blobs/sha256/m", manifest), ("blobs/sha256/c", config)))

    (image,) = Reader().images(Layout(files))

    assert image.config == {"architecture": "arm64"}


@pytest.mark.parametrize("lacking", [{"docker": ""}, {"says": ("built",)}], ids=["a result", "a client"])
def test_an_entry_without_a_result_or_a_client_is_none(lacking: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"nothing is expected|no client builds it"):
        Entry(name="x", title="x", section=Section.RUN, **lacking)


def test_clients_push_an_image_unless_the_entry_says_otherwise() -> None:
    entry = Entry(name="x", title="x", section=Section.RUN, docker="--pull", buildctl="", says=("built",))
    other = entry.model_copy(update={"output": "type=oci,dest=a type=local,dest=b"})

    assert entry.command(Client.DOCKER) == "docker build --progress plain --pull --tag $IMAGE --push ."
    assert entry.command(Client.BUILDCTL).endswith("--output type=image,name=$IMAGE,push=true")
    assert other.command(Client.BUILDX).endswith("--pull --output type=oci,dest=a --output type=local,dest=b .")
