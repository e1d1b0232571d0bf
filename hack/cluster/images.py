"""The images a cluster here runs, under their public names: what each is made of where it cannot be pulled."""

import json
import platform
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.cluster import archive, artifacts, cache, layers, pins, progress
from hack.cluster.docker import Docker

SCRIPTS: Final = Path(__file__).with_name("images")
BASES: Final = (pins.BUSYBOX_IMAGE, pins.PYTHON_IMAGE)
"""What images are built on, in the engine and in the cluster; no pod runs them."""
PUBLISHED: Final = (pins.BUILDKIT_IMAGE, pins.DOCKER_IMAGE, pins.HAPROXY_IMAGE, pins.REGISTRY_IMAGE)
_TOP: Final = Path(__file__).parents[2]
# What deploy/Dockerfile copies.
_OPERATOR_SOURCES: Final = ("deploy", "operator", "pyproject.toml", "README.md", "LICENSE")
PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Made:
    """A published image as it is made here: by a script of its name, beside Debian packages from these artifacts."""

    image: str
    parts: tuple[str, ...]
    # As `docker image inspect` shows it for the published one.
    config: Mapping[str, Any]
    # The Debian beneath, an artifact.
    tree: str = "debian"
    # The folder that is the whole image, where Debian is only what makes it.
    root: str = ""


MADE: Final = {
    "buildkit": Made(
        pins.BUILDKIT_IMAGE,
        ("buildkit", "rootlesskit", "runc"),
        {
            "User": "1000:1000",
            "Env": [
                PATH,
                "HOME=/home/user",
                "USER=user",
                "XDG_RUNTIME_DIR=/run/user/1000",
                "TMPDIR=/home/user/.local/tmp",
                "BUILDKIT_HOST=unix:///run/user/1000/buildkit/buildkitd.sock",
            ],
            "Entrypoint": ["rootlesskit", "buildkitd"],
            "Volumes": {"/home/user/.local/share/buildkit": {}},
        },
    ),
    "docker": Made(
        pins.DOCKER_IMAGE,
        ("docker", "buildx"),
        {
            "Env": [PATH, f"DOCKER_VERSION={pins.DOCKER}"],
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["sh"],
        },
    ),
    "haproxy": Made(
        pins.HAPROXY_IMAGE,
        (),
        {
            "User": "haproxy",
            "Env": [PATH, f"HAPROXY_VERSION={pins.HAPROXY}"],
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
            "StopSignal": "SIGUSR1",
        },
        tree="debian:haproxy",
    ),
    "registry": Made(
        pins.REGISTRY_IMAGE,
        (),
        {
            "Env": [PATH],
            "Entrypoint": ["/entrypoint.sh"],
            "Cmd": ["/etc/docker/registry/config.yml"],
            "ExposedPorts": {"5000/tcp": {}},
            "Volumes": {"/var/lib/registry": {}},
        },
    ),
    "busybox": Made(pins.BUSYBOX_IMAGE, (), {"Env": [PATH], "Cmd": ["sh"]}, root="image"),
    "python": Made(pins.PYTHON_IMAGE, (), {"Env": [PATH, "LANG=C.UTF-8"], "Cmd": ["python3"]}),
}


def architecture() -> str:
    """Return this machine's architecture as image configurations name it."""
    return _ARCHITECTURES[platform.machine()]


def local_archive() -> Path:
    """Return the folder of images.tar and ids.json: the published images this project needs, made from packages."""
    artifacts.ensure(*(part for made in MADE.values() for part in made.parts))
    return write("images", [_image(name, made) for name, made in MADE.items()])


def write(name: str, images: list[archive.Image]) -> Path:
    """Return the cached folder of images.tar and ids.json (image name → id) for these images."""

    def make(folder: Path) -> None:
        with progress.step(f"Writing the archive {name}", f"Wrote the archive {name}"):
            ids = archive.write(images, folder / "images.tar", architecture())
        (folder / "ids.json").write_text(json.dumps(ids, indent=2))

    identity = [
        repr((image.names, [layers.identity(folder) for folder in image.layers], image.config)) for image in images
    ]
    return cache.entry(name, cache.key(Path(archive.__file__), Path(layers.__file__), *identity), make)


def load_published(docker: Docker, node: str, *, private: bool) -> None:
    """Bring the published images this project needs into the node: pulled, or made here for the private engine."""
    if private:
        load_made(docker, node, local_archive())
    else:
        pull(docker, node, *PUBLISHED)


def load_made(docker: Docker, node: str, made: Path) -> None:
    """Bring the images of a folder that `write` made into the node, unless it has them all. Raises DockerError."""
    present = in_node(docker, node)
    wanted: dict[str, str] = json.loads((made / "ids.json").read_text())
    if any(present.get(name) != image for name, image in wanted.items()):
        with progress.step("Loading images into the node", "Loaded images into the node"):
            _import(docker, node, made / "images.tar")


def pull(docker: Docker, node: str, *names: str) -> None:
    """Pull published images and bring them into the node, unless it has them. Raises DockerError."""
    present = in_node(docker, node)
    for name in names:
        # Their tags never move, so the name says it all.
        if name not in present:
            with progress.step(f"Pulling {name}", f"Pulled {name}"):
                docker("pull", "--quiet", name)
            load(docker, node, name)


def load(docker: Docker, node: str, name: str) -> None:
    """Bring an image of the engine into the node, unless the node has it. Raises DockerError."""
    image = docker.image_id(name)
    if image is not None and in_node(docker, node).get(name) == image:
        return
    with tempfile.TemporaryDirectory() as scratch, progress.step(f"Loading {name} into the node", f"Loaded {name}"):
        file = Path(scratch) / "image.tar"
        docker("save", f"--output={file}", name)
        _import(docker, node, file)


def build_operator(docker: Docker, *, private: bool) -> None:
    """Build the operator's image from this checkout, as users do: deploy/Dockerfile."""
    if private:
        _have_bases(docker)
        _have_wheels()
    else:
        for base in BASES:
            if docker.image_id(base) is None:
                docker("pull", "--quiet", base)
    with progress.step("Building the operator's image", "Built the operator's image"), tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path in _OPERATOR_SOURCES:
                tar.add(_TOP / path, path, filter=_reproducible)
        file.seek(0)
        # By its tag: the base that is made here has another digest than the published one.
        flags = [f"--build-arg=BASE={pins.PYTHON_IMAGE}"]
        if private:
            # Its builder does not know it by itself.
            flags.append(f"--build-arg=BUILDPLATFORM=linux/{architecture()}")
        docker("build", "--quiet", "--file=deploy/Dockerfile", *flags, f"--tag={pins.OPERATOR_IMAGE}", "-", stdin=file)


def in_node(docker: Docker, node: str) -> dict[str, str]:
    """Return the ids of the images that the node has, by name."""
    images = json.loads(docker("exec", node, "crictl", "images", "--output=json"))["images"]
    return {name: image["id"] for image in images for name in image["repoTags"]}


def _image(name: str, made: Made) -> archive.Image:
    base = layers.base(made.tree)
    top = layers.layer(name, SCRIPTS / f"{name}.sh", [base], artifacts.ensure(*made.parts))
    return archive.Image([made.image], [top / made.root] if made.root else [base, top], made.config)


def _import(docker: Docker, node: str, file: Path) -> None:
    command = ["ctr", "--namespace=k8s.io", "images", "import", "--no-unpack", "--digests", "-"]
    with file.open("rb") as stream:
        docker("exec", "--interactive", "--privileged", node, *command, stdin=stream)


def _have_bases(docker: Docker) -> None:
    made = local_archive()
    wanted = json.loads((made / "ids.json").read_text())
    if any(docker.image_id(base) != wanted[base] for base in BASES):
        with progress.step("Loading the base images", "Loaded the base images"):
            docker.load(made / "images.tar")


def _have_wheels() -> None:
    """Fetch the wheels for the image from here: what reaches the package index need not do so from a container."""
    locks = [_TOP / "deploy" / name for name in ("requirements.lock", "requirements-build.lock")]
    wheels = list((_TOP / "deploy/wheels").glob("*.whl"))
    if wheels and min(path.stat().st_mtime for path in wheels) > max(path.stat().st_mtime for path in locks):
        return
    with progress.step("Fetching the operator's wheels", "Fetched the operator's wheels"):
        subprocess.run([_TOP / "deploy/fetch-wheels.sh", sys.executable], check=True)


def _reproducible(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    # The builder's cache looks at contents and owners; compiled files are no sources.
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return None if "__pycache__" in member.name else member
