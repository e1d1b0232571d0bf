"""docs/architectures.md, its YAML on a real API server, its commands with a real buildx and two real daemons."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import yaml

from hack.cluster import artifacts
from hack.cluster.processes import Process, free_port
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.daemon import HOST, RealDaemon, real_daemon

DOCUMENT: Final = (Path(__file__).parents[3] / "docs" / "architectures.md").read_text()
ARCHITECTURES: Final = ("amd64", "arm64")


def documented(language: str) -> str:
    """Return the second block of a language, which is about a builder for each: the first is about the field."""
    (_, block) = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Serve an empty registry and return its host; one of this name is spoken to without TLS by everybody."""
    host = f"localhost:{free_port()}"
    process = Process(program("crane"), ["registry", "serve", f"--address={host}"], tmp_path / "registry.log")
    try:
        process.wait_until(lambda: crane("catalog", host) is not None, 20)
        yield host
    finally:
        process.kill()


def program(name: str) -> Path:
    return artifacts.ensure(name)[name] / name


def crane(*arguments: str) -> str | None:
    """Return what crane prints, None when it fails."""
    done = subprocess.run([str(program("crane")), *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


@pytest.fixture
def daemons(builders: Builders) -> Iterator[dict[str, RealDaemon]]:
    """Run a daemon for each builder of the document, all on this machine's architecture."""
    for manifest in yaml.safe_load_all(documented("yaml")):
        builders.create(manifest["metadata"]["name"], **manifest["spec"])
    for name in ARCHITECTURES:
        builders.make_ready(name)
    with ExitStack() as running:
        yield {name: running.enter_context(real_daemon(builders, free_port(), name)) for name in ARCHITECTURES}


def test_each_builder_runs_on_nodes_of_its_architecture(builders: Builders) -> None:
    for manifest in yaml.safe_load_all(documented("yaml")):
        name = manifest["metadata"]["name"]
        builders.create(name, **manifest["spec"])

        template = builders.wait_for_deployment(name)["spec"]["template"]["spec"]
        assert template["nodeSelector"] == {"kubernetes.io/arch": name}


def test_one_buildx_builder_has_each_platform_built_by_its_node(
    daemons: dict[str, RealDaemon], registry: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    (tmp_path / "file").write_text("content")

    run(here(documented("sh"), daemons, registry, tmp_path), tmp_path)

    index = json.loads(crane("manifest", f"{registry}/org/image:latest") or "{}")
    images = {m["platform"]["architecture"] for m in index["manifests"]} - {"unknown"}
    assert images == set(ARCHITECTURES)
    assert {name: builds(daemon) for name, daemon in daemons.items()} == {
        "amd64": ["linux/amd64"],
        "arm64": ["linux/arm64"],
    }


def here(script: str, daemons: dict[str, RealDaemon], registry: str, folder: Path) -> str:
    """Return the script with what is different here: program, paths and addresses."""
    changes = {
        "docker buildx": str(program("buildx")),
        "registry.example.com": registry,
        "--push .": f"--push {folder}",
    }
    for name, daemon in daemons.items():
        changes |= {
            # The certificate is not for the address that the daemon has here.
            f"{name}/tls.key": f"{name}/tls.key,servername={(daemon.folder / 'name').read_text()}",
            f"/etc/{name}/": f"{daemon.folder / 'connection'}/",
            f"tcp://{name}-buildkitd.ci.svc:1234": f"tcp://{HOST}:{daemon.port}",
        }
    for old, new in changes.items():
        assert old in script
        script = script.replace(old, new)
    return script


def run(script: str, folder: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "BUILDX_CONFIG": str(folder / "buildx"), "HOME": str(folder)}
    done = subprocess.run(
        ["/bin/sh", "-ec", script], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr


def builds(daemon: RealDaemon) -> list[str]:
    """Return the platform of each build that a daemon was asked for."""
    command = daemon.buildctl("debug", "histories", "--format={{json .Record.FrontendAttrs}}")
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [json.loads(line)["platform"] for line in listed.splitlines()]
