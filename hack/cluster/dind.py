"""Docker-in-Docker's image, with which benchmarks compare: no part of the node, brought into a cluster on demand."""

from pathlib import Path
from typing import Any, Final

from hack.cluster import archive, images, layers, pins, sandbox
from hack.cluster.docker import Docker

_CONFIG: Final[dict[str, Any]] = {
    "Env": [images.PATH],
    "Entrypoint": ["dockerd-entrypoint.sh"],
    "Volumes": {"/var/lib/docker": {}},
}


def load(docker: Docker, node: str, *, private: bool) -> None:
    """Bring the image into the node, unless it has it: pulled, or made here. Raises ClusterError."""
    if private:
        images.load_made(docker, node, local_archive())
    else:
        images.pull(docker, node, pins.DIND_IMAGE)


def local_archive() -> Path:
    """Return the folder of images.tar and ids.json: the engine of our own clusters, as an image."""
    engine = sandbox.tree()
    entrypoint = layers.layer("dind", images.SCRIPTS / "dind.sh", engine)
    return images.write("dind", [archive.Image([pins.DIND_IMAGE], [*engine, entrypoint], _CONFIG)])
