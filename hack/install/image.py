"""The image that is installed: built from this checkout and loaded, or the one that $IMAGE names."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hack.cluster import images, pins
from hack.cluster.current import Context
from hack.cluster.problems import ClusterError
from hack.install import local_clusters
from hack.install.local_clusters import LocalCluster

# Registry and path in lower case, then a tag or a digest: without one, nodes would take whatever "latest" was once.
_NAME: Final = r"[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
_IMAGE: Final = re.compile(rf"{_NAME}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}|@sha256:[0-9a-f]{{64}})")

BUILD_AND_PUSH: Final = f"""\
  IMAGE=registry.example.com/buildkit-operator:{pins.VERSION}
  docker build -f deploy/Dockerfile -t "$IMAGE" . && docker push "$IMAGE"
  make install IMAGE="$IMAGE\""""


@dataclass(frozen=True)
class Plan:
    """Where the image comes from: what to say of it, and what makes it available and returns its name."""

    what: str
    provide: Callable[[], str]
    cluster: LocalCluster | None = None

    @property
    def needs_consent(self) -> bool:
        return self.cluster is None or not self.cluster.own


def plan(context: Context) -> Plan:
    """Return where the context's cluster gets the image from. Raises ClusterError with what to do instead."""
    if chosen := os.environ.get("IMAGE", ""):
        if not _IMAGE.fullmatch(chosen):
            raise ClusterError(
                f'IMAGE="{chosen}" must be registry/name:tag, as the cluster pulls it, such as '
                f"registry.example.com/buildkit-operator:{pins.VERSION}. Nothing was done."
            )
        return Plan(f"Installing the operator ({chosen}) in", lambda: chosen)
    found = local_clusters.find(context)
    if found is None:
        raise ClusterError(
            f'Context "{context.name}" ({context.server}) is none of kind, k3d or minikube, so its nodes pull the '
            f"operator's image. Build it, push it to where they can, and name it:\n{BUILD_AND_PUSH}\nNothing was done."
        )
    return Plan(
        f"Building the operator's image, loading it into {found.title}, and installing the operator in",
        lambda: _build_and_load(found),
        found,
    )


def _build_and_load(found: LocalCluster) -> str:
    """Return the name of the image; another content has another tag, so that new pods run it and old ones stay old."""
    images.build_operator(found.docker, private=found.private)
    built = found.docker.image_id(pins.OPERATOR_IMAGE) or ""
    image = f"{pins.OPERATOR_IMAGE}-{built.removeprefix('sha256:')[:12]}"
    found.docker("tag", pins.OPERATOR_IMAGE, image)
    found.load(image)
    return image
