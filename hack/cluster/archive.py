"""Image archives (the format of `docker save`), written without any engine."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hack.cluster import layers

# Images of the same content are the same image: no clock in them.
_CREATED = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Image:
    """An image to write: its names, its layers' folders (lowest first) and its runtime configuration."""

    names: Sequence[str]
    layers: Sequence[Path]
    config: Mapping[str, Any] = field(default_factory=dict)


def write(images: Sequence[Image], archive: Path, architecture: str) -> dict[str, str]:
    """Write the images as one archive, a layer they share once; return each name's image id (sha256:…)."""
    scratch = archive.parent
    diffs = {folder: _layer(folder, scratch) for folder in dict.fromkeys(f for image in images for f in image.layers)}
    ids = {}
    manifest = []
    with tarfile.open(archive, "w") as tar:
        for digest in dict.fromkeys(diffs.values()):
            tar.add(scratch / f"{digest}.tar", f"{digest}.tar")
            (scratch / f"{digest}.tar").unlink()
        for image in images:
            config = _config(image, [diffs[folder] for folder in image.layers], architecture)
            digest = hashlib.sha256(config).hexdigest()
            _add(tar, f"{digest}.json", config)
            tags = list(image.names)
            manifest.append(
                {
                    "Config": f"{digest}.json",
                    "RepoTags": tags,
                    "Layers": [f"{diffs[folder]}.tar" for folder in image.layers],
                }
            )
            ids.update(dict.fromkeys(tags, f"sha256:{digest}"))
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return ids


def _layer(folder: Path, scratch: Path) -> str:
    unnamed = scratch / "layer.tar"
    layers.tar(folder, unnamed)
    with unnamed.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    unnamed.rename(scratch / f"{digest}.tar")
    return digest


def _config(image: Image, diffs: Sequence[str], architecture: str) -> bytes:
    return json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": _CREATED,
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in diffs]},
            "history": [{"created": _CREATED, "created_by": "buildkit-operator hack/cluster"} for _ in diffs],
        },
        sort_keys=True,
    ).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
