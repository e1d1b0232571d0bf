"""A corpus of builds, as people have them, by every client in every mode and isolation: what came of each.

One pod for each mode and isolation builds the whole corpus, one build after the other and the two images of clients
side by side; each build is a test of its own, which looks at the result alone. To save time, each entry is built in one
place by one of its clients, and its neighbours in the corpus in the other places and by other clients; what must be the
same everywhere is built everywhere. `CORPUS=all` builds each in every place by every client.
"""

import base64
import hashlib
import io
import os
import re
import shlex
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import REGISTRY
from hack.cluster.kubectl import Kubectl
from tests.support import bases
from tests.support.corpus import EXPECT, Client, Entry, entries
from tests.support.expectations import differences
from tests.support.jobs import builder, wait_ready
from tests.support.oci import Image, Layout, Reader, Repository, tree
from tests.support.origin import address, content, serve
from tests.support.runners import Runner

pytestmark = pytest.mark.exclusive("its builds keep a small machine from what other tests wait for")

SECONDS: Final = 900
"""What a pod may take for the whole corpus on a slow machine."""

IMAGES: Final = {
    Client.DOCKER: pins.DOCKER_IMAGE,
    Client.BUILDX: pins.DOCKER_IMAGE,
    Client.BAKE: pins.DOCKER_IMAGE,
    Client.BUILDCTL: pins.BUILDKIT_IMAGE,
}
PLACES: Final = tuple(
    (mode, isolation) for mode in ("Shared", "Sidecar") for isolation in ("Rootless", "UserNamespace")
)

DRIVER: Final = """
mkdir /tmp/corpus && cd /tmp/corpus && tar -xzf /workspace/corpus.tar.gz
for build in *; do
  cd "/tmp/corpus/$build/files"
  status=0
  (. ../variables; sh -ex ../script) > ../log 2>&1 || status=$?
  echo "=== $build log"; cat ../log
  echo; echo "=== $build result"; for file in $(cat ../archives); do test ! -e "$file" || echo "$file"; done |
    tar -cz -T - | base64
  echo "=== $build ended $status"
done
"""
"""What a container runs: each build in a directory of its own, told so that `results` can read it."""


@dataclass(frozen=True)
class Build:
    """An entry of the corpus, built by one client and one daemon."""

    entry: Entry
    client: Client
    mode: str
    isolation: str

    @property
    def name(self) -> str:
        """Return a name that no other build has, fit for a tag and a folder."""
        return "-".join([self.entry.name, *self.client.split()[::2], self.mode, self.isolation]).lower()

    @property
    def place(self) -> tuple[str, str]:
        return self.mode, self.isolation

    @property
    def repository(self) -> str:
        return f"corpus/{self.entry.name}"

    @property
    def image(self) -> str:
        return f"{REGISTRY}/{self.repository}:{self.name}"

    def __str__(self) -> str:
        """Return how pytest names it."""
        return f"{self.entry.name}-{self.mode}-{self.isolation}-{self.client.replace(' ', '-')}"


@dataclass(frozen=True)
class Result:
    """What became of a build."""

    status: int
    log: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What it left beside the registry's: archives, and folders as archives."""


@cache
def builds() -> tuple[Build, ...]:
    """Return what is built: each entry in each place by all its clients, or its share of that."""
    everything = os.environ.get("CORPUS") == "all"
    return tuple(
        Build(entry, client, *place)
        for number, entry in enumerate(entries())
        for turn, place in enumerate(PLACES)
        if everything or entry.same or number % len(PLACES) == turn
        # Divided, since a place gets every fourth entry: else one client would have all of a place's.
        for client in (
            entry.clients if everything else [entry.clients[(number // len(PLACES) + turn) % len(entry.clients)]]
        )
    )


# Building


@pytest.fixture(scope="module")
def results(request: pytest.FixtureRequest, team_for_module: Kubectl, registry: str) -> dict[str, Result]:
    """Return what became of each build that was selected (`-k` works), by its name."""
    team = team_for_module
    chosen = _chosen(request.session.items)
    places = [place for place in PLACES if any(build.place == place for build in chosen)]
    serve(team)
    bases.push(registry)
    for mode, isolation in places:
        team.apply(builder(_name(mode, isolation), mode=mode, isolation=isolation, cache={"size": "4Gi"}))
    for place in places:
        wait_ready(team, _name(*place))
    with ThreadPoolExecutor(len(PLACES)) as pool:
        told = pool.map(lambda place: _build_all(team, place, chosen), places)
    return {name: result for results in told for name, result in results.items()}


def _chosen(items: Sequence[pytest.Item]) -> list[Build]:
    """Return the builds that selected tests look at."""
    mine = [item for item in items if isinstance(item, pytest.Function) and item.path == Path(__file__)]
    parameters = [value for item in mine for value in item.callspec.params.values()]
    one = {given.name for given in parameters if isinstance(given, Build)}
    whole = {given.name for given in parameters if isinstance(given, Entry)}
    return [build for build in builds() if build.name in one or build.entry.name in whole]


def _name(mode: str, isolation: str) -> str:
    return f"{mode}-{isolation}".lower()


def _build_all(team: Kubectl, place: tuple[str, str], chosen: Sequence[Build]) -> dict[str, Result]:
    """Have a pod build what is for this place, with a container for each of the clients' images."""
    mine = [build for build in chosen if build.place == place]
    by_image = {image: [build for build in mine if IMAGES[build.client] == image] for image in set(IMAGES.values())}
    name = _name(*place)
    containers, volumes = [], []
    for number, (image, some) in enumerate(by_image.items()):
        packed = base64.b64encode(_packed(team, some)).decode()
        team.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"corpus-{name}-{number}"},
                "binaryData": {"corpus.tar.gz": packed},
            }
        )
        volumes.append({"name": f"corpus-{number}", "configMap": {"name": f"corpus-{name}-{number}"}})
        containers.append(_container(f"client-{number}", image, f"corpus-{number}"))
    job = Runner.start(team, *containers, asks_for=name, volumes=volumes)
    job.succeed(SECONDS)
    return {key: it for container in containers for key, it in _told(job.log(container["name"])).items()}


def _container(name: str, image: str, volume: str) -> Manifest:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-ec", DRIVER],
        "securityContext": {"runAsUser": 0},
        "env": [{"name": "TMPDIR", "value": "/tmp"}, {"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [{"name": volume, "mountPath": "/workspace"}],
    }


def _packed(team: Kubectl, some: list[Build]) -> bytes:
    """Return a tar.gz with a folder for each build: its files, its script, and what the script may know."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for build in some:
            entry = build.entry
            tar.add(entry.folder, f"{build.name}/files", filter=_plain)
            variables = {
                "REGISTRY": REGISTRY,
                "IMAGE": build.image,
                "REPOSITORY": f"{REGISTRY}/{build.repository}",
                "BUILD": build.name,
                "CLIENT": shlex.quote(build.client),
                "ORIGIN": address(team),
                "COMMIT": content()[1],
            }
            _add(tar, f"{build.name}/variables", "".join(f"export {name}={it}\n" for name, it in variables.items()))
            _add(tar, f"{build.name}/script", f"{entry.script(build.client)}\n")
            _add(tar, f"{build.name}/archives", "\n".join(entry.archive))
            _add(tar, f"{build.name}/key", _key(), mode=0o600)
    return packed.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Have a file as a checkout by root has it, whoever runs the tests."""
    member.uid = member.gid = member.mtime = 0
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    member.uname = member.gname = ""
    return None if "__pycache__" in member.name or member.name.endswith(f"files/{EXPECT}") else member


@cache
def _key() -> str:
    """Return a private key for ssh, which opens nothing."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _add(tar: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.mode = mode
    member.size = len(content := text.encode())
    tar.addfile(member, io.BytesIO(content))


def _told(log: str) -> dict[str, Result]:
    """Return what the driver told of its builds, by their names."""
    pattern = re.compile(r"^=== (\S+) log\n(.*?)\n=== \1 result\n(.*?)^=== \1 ended (\d+)$", re.DOTALL | re.MULTILINE)
    return {name: Result(int(status), said, _left(packed)) for name, said, packed, status in pattern.findall(log)}


def _left(packed: str) -> dict[str, bytes]:
    """Return the files that a build left, and its folders as archives, each by the name it had there."""
    content = base64.b64decode(packed)
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(scratch, filter="tar")
        for path in Path(scratch).iterdir():
            whole = io.BytesIO()
            if path.is_dir():
                with tarfile.open(fileobj=whole, mode="w") as again:
                    again.add(path, ".")
            files[path.name] = whole.getvalue() if path.is_dir() else path.read_bytes()
    return files


# Looking at what came of it


@pytest.fixture(scope="module")
def registry(cluster: Kubectl) -> Iterator[str]:
    """Return the registry's host and port, from here."""
    with cluster.within("registry").port_forward("service/registry", 5000) as port:
        yield f"localhost:{port}"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.mark.parametrize("build", builds(), ids=str)
def test_a_build_comes_to_what_is_expected(
    results: dict[str, Result], registry: str, reader: Reader, build: Build
) -> None:
    entry, result = build.entry, results[build.name]
    repository = Repository(f"http://{registry}/v2/{build.repository}")
    failed = entry.refused is not None
    assert (result.status != 0) is failed, result.log
    for text in (*entry.says, *([entry.refused] if entry.refused else [])):
        assert text in result.log, result.log

    tagged = {"": entry.image} if entry.image else {}
    for suffix, expected in {**tagged, **entry.images}.items():
        found = differences(expected, reader.images(repository, f"{build.name}{suffix}"))
        assert not found, f"{found}\n{result.log}"
    for name, expected in entry.archive.items():
        found = differences(expected, _in_archive(reader, result.files[name]))
        assert not found, f"{name}: {found}\n{result.log}"


def _in_archive(reader: Reader, content: bytes) -> list[Image]:
    """Return the images of an archive, or one without a configuration for a tree of files."""
    files = tree(content, largest=10**9)
    if "/index.json" in files:
        return reader.images(Layout(files))
    return [reader.docker_archive(files)] if "/manifest.json" in files else [Image({}, (files,))]


@pytest.mark.parametrize("entry", [entry for entry in entries() if entry.same], ids=lambda entry: entry.name)
def test_everybody_makes_the_same_image(results: dict[str, Result], registry: str, entry: Entry) -> None:
    mine = [build for build in builds() if build.entry == entry]
    source = Repository(f"http://{registry}/v2/corpus/{entry.name}")
    digests = {str(build): hashlib.sha256(source.manifest(build.name)).hexdigest() for build in mine}

    assert results
    assert len(set(digests.values())) == 1, digests
