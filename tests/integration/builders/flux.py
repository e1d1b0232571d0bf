"""Flux without its source-controller: the real kustomize-controller, and a repository that tests serve and announce."""

import hashlib
import io
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final, Self

import yaml

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from hack.cluster.processes import Process, free_port
from tests.integration.builders.builder_namespace import GROUPS, Builders

HOST: Final = "127.0.0.1"
READY_SECONDS: Final = 60
KUSTOMIZATIONS: Final = "kustomizations"
REPOSITORIES: Final = "gitrepositories"

GROUPS[KUSTOMIZATIONS] = "/apis/kustomize.toolkit.fluxcd.io/v1"
GROUPS[REPOSITORIES] = "/apis/source.toolkit.fluxcd.io/v1"


class KustomizeController(Process):
    """Flux's controller as it runs in a cluster, an admin here."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self.health_port = free_port()
        program = artifacts.ensure("flux")["flux"] / "kustomize-controller"
        flags = [
            "--watch-all-namespaces",
            "--events-addr=",
            "--requeue-dependency=1s",
            f"--metrics-addr={HOST}:{free_port()}",
            f"--health-addr={HOST}:{self.health_port}",
        ]
        environment = [f"KUBECONFIG={kubeconfig}", "RUNTIME_NAMESPACE=default"]
        super().__init__(Path("/usr/bin/env"), [*environment, str(program), *flags], log)

    def wait_ready(self) -> None:
        self.wait_until(self._answers, READY_SECONDS)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.health_port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def apply_definitions(control_plane: ControlPlane) -> None:
    """Let an API server know Kustomizations and their sources."""
    for folder in artifacts.ensure("files:flux", "files:flux-sources").values():
        control_plane.apply_crds(folder)


class Artifacts:
    """A web server for what source-controller would serve: packed folders by their digest."""

    def __init__(self) -> None:
        packed: dict[str, bytes] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = packed.get(self.path)
                self.send_response(404 if found is None else 200)
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_: object) -> None:
                pass

        self._packed = packed
        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, name="artifacts")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, files: Mapping[str, str]) -> Manifest:
        """Serve a folder with these files, and return it as a source's `status.artifact`."""
        content = pack(files)
        digest = hashlib.sha256(content).hexdigest()
        path = f"/{digest}.tar.gz"
        self._packed[path] = content
        return {
            "path": path,
            "url": f"http://{HOST}:{self._server.server_port}{path}",
            "digest": f"sha256:{digest}",
            "revision": f"main@sha1:{digest[:40]}",
            "size": len(content),
            "lastUpdateTime": now(),
        }


def pack(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def announce(repositories: Builders, name: str, artifact: Manifest) -> str:
    """Say in a GitRepository's status, as source-controller does, what its newest commit is; return its revision."""
    found = repositories.get(REPOSITORIES, name)
    assert found is not None
    generation = found["metadata"]["generation"]
    stored = {
        "type": "Ready",
        "status": "True",
        "reason": "Succeeded",
        "message": "stored artifact",
        "lastTransitionTime": now(),
        "observedGeneration": generation,
    }
    found["status"] = {"artifact": artifact, "observedGeneration": generation, "conditions": [stored]}
    repositories.control_plane.request("PUT", repositories.path(REPOSITORIES, name) + "/status", found)
    return str(artifact["revision"])


def decision(kustomizations: Builders, name: str, revision: str) -> Manifest:
    """Return a Kustomization's Ready condition once it has decided on a revision, and nothing before."""
    found = kustomizations.get(KUSTOMIZATIONS, name) or {}
    said = condition(found, "Ready")
    attempted = found.get("status", {}).get("lastAttemptedRevision") == revision
    return said if attempted and said.get("status") in {"True", "False"} else {}


class Repository:
    """A GitRepository of a namespace, and a Kustomization that applies it and waits."""

    def __init__(self, builders: Builders, served: Artifacts) -> None:
        self._builders = builders
        self._served = served

    def push(self, *manifests: Manifest, **files: str) -> str:
        """Announce a commit with these objects, and files by their names, and return its revision."""
        if self._builders.get(REPOSITORIES, "repository") is None:
            spec = {"interval": "1h", "url": "https://git.example.com/builders"}
            self._create(REPOSITORIES, "source.toolkit.fluxcd.io/v1", "GitRepository", "repository", spec)
        artifact = self._served.put({"builders.yaml": yaml.safe_dump_all(manifests), **files})
        return announce(self._builders, "repository", artifact)

    def sync(self, **spec: Any) -> None:
        """Have Flux apply the repository, wait until all is ready, and prune what is in it no more."""
        chosen = {
            "interval": "1h",
            "timeout": "2m",
            "path": "./",
            "prune": True,
            "wait": True,
            "sourceRef": {"kind": "GitRepository", "name": "repository"},
            "targetNamespace": self._builders.namespace,
            **spec,
        }
        self._create(KUSTOMIZATIONS, "kustomize.toolkit.fluxcd.io/v1", "Kustomization", "builders", chosen)

    def ready(self, revision: str) -> Manifest:
        return decision(self._builders, "builders", revision)

    def wait_ready(self, revision: str, seconds: float = 60) -> Manifest:
        return self._builders.wait(f"Flux decides on {revision}", lambda: self.ready(revision), seconds)

    def _create(self, plural: str, api_version: str, kind: str, name: str, spec: Manifest) -> None:
        self._builders.post(plural, {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
