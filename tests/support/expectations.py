"""What a build came to, held against what the corpus expects of it."""

from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.corpus import Expected, File
from tests.support.oci import Found, Image


def differences(expected: Expected, images: Sequence[Image]) -> list[str]:
    """Return a sentence for each way in which the image of some platform is not what is expected."""
    if len(images) != expected.nodes:
        return [f"{len(images)} platforms instead of {expected.nodes}"]
    return [sentence for image in images for sentence in _of_image(expected, image)]


def _of_image(expected: Expected, image: Image) -> Iterator[str]:
    yield from _of_config(expected.config, image.config, "the configuration")
    commands = [entry.get("created_by", "") for entry in image.config.get("history", [])]
    for text in expected.history:
        if not any(text in command for command in commands):
            yield f"{text!r} stands in no command of the history: {commands}"
    for path, file in expected.files.items():
        yield from _of_file(path, file, image.find(path))
    for what in expected.absent:
        if image.find(what) if what.startswith("/") else what in str(image.config):
            yield f"{what} is there"
    yield from _of_manifest(expected, image)


def _of_config(expected: Any, seen: Any, where: str) -> Iterator[str]:
    """Compare, of mappings the expected keys alone; None stands for a key that is not there."""
    if not isinstance(expected, dict):
        if seen is None if expected == "*" else expected != seen:
            yield f"{where} is {seen!r} instead of {expected!r}"
        return
    for key, value in expected.items():
        yield from _of_config(value, (seen or {}).get(key), f"{where}, {key},")


def _of_manifest(expected: Expected, image: Image) -> Iterator[str]:
    if expected.layers is not None and len(image.layers) != expected.layers:
        yield f"{len(image.layers)} layers instead of {expected.layers}"
    types = [layer["mediaType"] for layer in image.manifest.get("layers", [])]
    if expected.compression is not None and not all(name.endswith(expected.compression) for name in types):
        yield f"layers are of {types}"
    for name in expected.layer_annotations:
        if not all(name in layer.get("annotations", {}) for layer in image.manifest["layers"]):
            yield f"a layer has no annotation {name}"
    noted = image.manifest.get("annotations", {}) | (image.index or {}).get("annotations", {})
    for name, value in expected.annotations.items():
        if noted.get(name) != value:
            yield f"the annotation {name} is {noted.get(name)!r} instead of {value!r}"
    if missing := set(expected.attestations) - set(image.attestations):
        yield f"there is no attestation {missing}, but {image.attestations}"


def _of_file(path: str, expected: File, found: Found | None) -> Iterator[str]:
    if found is None:
        yield f"{path} is not there"
        return
    text = found.content.decode(errors="replace")
    seen = {
        "text": text.removesuffix("\n"),
        "mode": found.mode,
        "owner": found.owner,
        "kind": found.kind,
        "link": found.link,
        "time": found.time,
    }
    for name, is_so in seen.items():
        wanted = getattr(expected, name)
        if wanted is not None and wanted != is_so:
            yield f"{path}: {name} is {is_so!r} instead of {wanted!r}"
    if expected.has is not None and expected.has not in text:
        yield f"{path} has no {expected.has!r}: {text!r}"
    if missing := set(expected.xattrs) - found.xattrs:
        yield f"{path}: no {missing} among its attributes {set(found.xattrs)}"
