"""Images as builds leave them, in a registry or an archive: their configuration, and the files of their layers."""

import io
import json
import tarfile
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Final, Protocol

ATTESTATION: Final = "attestation-manifest"
_REFERENCE_TYPE: Final = "vnd.docker.reference.type"
_MEDIA_TYPES: Final = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.v2",
    )
)
_KINDS: Final = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "fifo",
}
_SMALL: Final = 100_000
"""Bytes up to which a file's content is kept: nobody asks for more of a base image."""


@dataclass(frozen=True)
class Found:
    """A file of a tree or layer."""

    kind: str
    mode: str
    owner: str
    link: str
    time: int
    content: bytes
    xattrs: frozenset[str] = frozenset()


Tree = Mapping[str, Found]
"""Files by their absolute path."""


def tree(archive: bytes, largest: int = _SMALL) -> Tree:
    """Return the files of a tar, compressed by gzip or not, with the content of those of up to `largest` bytes."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {_path(member.name): _found(tar, member, largest) for member in tar}


def _path(name: str) -> str:
    return str(PurePosixPath("/", name))


def _found(tar: tarfile.TarFile, member: tarfile.TarInfo, largest: int) -> Found:
    content = tar.extractfile(member) if member.isreg() and member.size <= largest else None
    xattrs = (name.removeprefix("SCHILY.xattr.") for name in member.pax_headers if name.startswith("SCHILY.xattr."))
    return Found(
        _KINDS.get(member.type, "other"),
        f"{member.mode:04o}",
        f"{member.uid}:{member.gid}",
        member.linkname,
        int(member.mtime),
        content.read() if content else b"",
        frozenset(xattrs),
    )


class Source(Protocol):
    """Where an image's parts are."""

    def manifest(self, reference: str) -> bytes:
        """Return a manifest or an index by its tag or digest."""
        ...

    def blob(self, digest: str) -> bytes:
        """Return a layer or a configuration."""
        ...


@dataclass(frozen=True)
class Repository:
    """A repository of a registry."""

    url: str
    """Of the registry's API, with the repository: http://localhost:5000/v2/org/image."""

    def manifest(self, reference: str) -> bytes:
        return _read(f"{self.url}/manifests/{reference}")

    def blob(self, digest: str) -> bytes:
        return _read(f"{self.url}/blobs/{digest}")


def _read(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": _MEDIA_TYPES})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


@dataclass(frozen=True)
class Layout:
    """An OCI layout, from an archive or a folder."""

    files: Tree

    def manifest(self, reference: str) -> bytes:
        """Return a manifest by its digest, or what the layout has at its top."""
        if reference:
            return self.blob(reference)
        (top,) = json.loads(self.files["/index.json"].content)["manifests"]
        return self.blob(top["digest"])

    def blob(self, digest: str) -> bytes:
        return self.files[f"/blobs/{digest.replace(':', '/')}"].content


@dataclass(frozen=True)
class Image:
    """An image of one platform, with the index around it if there is one."""

    config: Mapping[str, Any]
    layers: tuple[Tree, ...]
    """Lowest first."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    index: Mapping[str, Any] | None = None
    attestations: tuple[str, ...] = ()
    """The predicate types of what attests this image."""

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the paths of all files, whatever a later layer took away."""
        return frozenset(path for layer in self.layers for path in layer)

    def find(self, path: str) -> Found | None:
        """Return a file as a container would see it, but for links on the way to it."""
        parents = [str(parent) for parent in PurePosixPath(path).parents]
        for layer in reversed(self.layers):
            if path in layer:
                return layer[path]
            gone = {f"{PurePosixPath(one).parent}/.wh.{PurePosixPath(one).name}" for one in [path, *parents[:-1]]}
            opaque = {f"{parent}/.wh..wh..opq" for parent in parents}
            if {name.replace("//", "/") for name in gone | opaque} & layer.keys():
                return None
        return None


class Reader:
    """Reads images, each layer once."""

    def __init__(self) -> None:
        self._layers: dict[str, Tree] = {}

    def images(self, source: Source, reference: str = "") -> list[Image]:
        """Return the image of each platform, in the order of the index."""
        top = json.loads(source.manifest(reference))
        if "manifests" not in top:
            return [self._image(source, top, None, [])]
        made = {entry["digest"]: entry for entry in top["manifests"]}
        attesting = {digest for digest, entry in made.items() if _is_attestation(entry)}
        return [
            self._image(source, json.loads(source.manifest(digest)), top, _attestations(source, made, digest))
            for digest in made
            if digest not in attesting
        ]

    def docker_archive(self, files: Tree) -> Image:
        """Return the image of an archive as `docker save` writes it."""
        (described,) = json.loads(files["/manifest.json"].content)
        config = json.loads(files[_path(described["Config"])].content)
        layers = tuple(tree(files[_path(name)].content) for name in described["Layers"])
        return Image(config, layers, manifest=described)

    def _image(
        self, source: Source, manifest: Mapping[str, Any], index: Mapping[str, Any] | None, attestations: Iterable[str]
    ) -> Image:
        config = json.loads(source.blob(manifest["config"]["digest"]))
        layers = tuple(self._layer(source, layer) for layer in manifest["layers"])
        return Image(config, layers, manifest, index, tuple(attestations))

    def _layer(self, source: Source, layer: Mapping[str, Any]) -> Tree:
        digest = layer["digest"]
        if digest not in self._layers:
            # Python reads no zstd; such a layer is looked at by its media type.
            unreadable = layer["mediaType"].endswith("zstd")
            self._layers[digest] = {} if unreadable else tree(source.blob(digest))
        return self._layers[digest]


def _is_attestation(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("annotations", {}).get(_REFERENCE_TYPE) == ATTESTATION)


def _attestations(source: Source, made: Mapping[str, Any], digest: str) -> Iterator[str]:
    """Give the predicate types of the statements about an image, by the annotations of an index."""
    for entry in made.values():
        if _is_attestation(entry) and entry["annotations"]["vnd.docker.reference.digest"] == digest:
            for layer in json.loads(source.manifest(entry["digest"]))["layers"]:
                statement = json.loads(source.blob(layer["digest"]))
                assert statement["predicate"], "an attestation without content"
                yield statement["predicateType"]
