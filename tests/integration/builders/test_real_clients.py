"""Certificates as a real daemon and real clients take them: over a change of authority, and from another namespace."""

import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority
from hack.cluster.controlplane import ControlPlane
from hack.cluster.processes import free_port
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.conftest import StartOperator
from tests.integration.builders.daemon import RealDaemon, real_daemon

AUTHORITY: Final = "demo-buildkitd-ca"
RESYNC_SECONDS: Final = 2
"""Half of it is how long the operator remembers Secrets."""


@pytest.fixture
def provider(start_control_plane: Callable[..., ControlPlane], start_operator: StartOperator) -> Builders:
    """Return a namespace with a builder, of an operator that often looks at everything."""
    control_plane = start_control_plane()
    start_operator(control_plane, resync_seconds=RESYNC_SECONDS)
    return namespace(control_plane, "ci")


def namespace(control_plane: ControlPlane, name: str) -> Builders:
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return Builders(control_plane, name)


@contextmanager
def daemon_of(provider: Builders) -> Iterator[RealDaemon]:
    with real_daemon(provider, free_port()) as daemon:
        yield daemon


def keep(builders: Builders, folder: Path, secret: str = "demo-connection") -> Path:
    """Keep what a Secret holds, as a client that read it now has it."""
    folder.mkdir()
    for key, text in builders.secret(secret).items():
        (folder / key).write_text(text)
    return folder


def build(daemon: RealDaemon, client: Path) -> "subprocess.CompletedProcess[str]":
    """Build something with a client's files, and return how that went. No container runs for it."""
    shutil.copytree(client, daemon.folder / "connection", dirs_exist_ok=True)
    (daemon.folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /copied\n")
    contexts = [f"--local={kind}={daemon.folder}" for kind in ("context", "dockerfile")]
    command = daemon.buildctl("build", "--progress=plain", "--frontend=dockerfile.v0", *contexts)
    return subprocess.run(command, text=True, capture_output=True, check=False)


def assert_builds(daemon: RealDaemon, *clients: Path) -> None:
    for client in clients:
        finished = build(daemon, client)
        assert finished.returncode == 0, f"{client.name}: {finished.stderr}"


def store(provider: Builders, **data: str | None) -> None:
    """Put into the authority's Secret what the operator itself writes at a step."""
    provider.patch("secrets", AUTHORITY, {"data": data})


def trusted(builders: Builders) -> int:
    return builders.secret("demo-connection")["ca.crt"].count("BEGIN CERTIFICATE")


def client_certificate(builders: Builders) -> str:
    return builders.secret("demo-connection")["tls.crt"]


def test_no_real_client_fails_from_one_authority_to_the_next(provider: Builders, tmp_path: Path) -> None:
    provider.create()
    provider.make_ready()
    first = keep(provider, tmp_path / "first")
    made = issue_authority("BuildKit builder demo.ci", timedelta(days=30), datetime.now(UTC))
    certificate, key = (b64encode(pem).decode() for pem in (made.certificate, made.key))

    with daemon_of(provider) as before:
        # The next one, with the same name as the active one, is trusted and issues nothing yet.
        store(provider, **{"next.crt": certificate, "next.key": key})
        provider.wait("a bundle of two", lambda: trusted(provider) == 2)
        provider.make_ready()
        second = keep(provider, tmp_path / "second")
        assert_builds(before, first, second)
    with daemon_of(provider) as between:
        assert_builds(between, first, second)

        # It issues, and the one before is still trusted.
        active = (provider.get("secrets", AUTHORITY) or {})["data"]["tls.crt"]
        issued = client_certificate(provider)
        step = {"tls.crt": certificate, "tls.key": key, "previous.crt": active, "next.crt": None, "next.key": None}
        store(provider, **step)
        provider.wait("leaves of the next one", lambda: client_certificate(provider) != issued)
        provider.make_ready()
        third = keep(provider, tmp_path / "third")
        assert_builds(between, second, third)
    with daemon_of(provider) as after:
        assert_builds(after, second, third)
        # The first one's copy is older than its successor's trust, which is only so as nobody waited here.
        assert build(after, first).returncode != 0
    assert trusted(provider) == 2


def borrow(control_plane: ControlPlane, name: str) -> Builders:
    consumer = namespace(control_plane, name)
    spec: Manifest = {"shared": {"from": {"namespace": "ci", "name": "demo"}}}
    consumer.create("team", **spec)
    return consumer


def test_a_real_client_of_another_namespace_builds(provider: Builders, tmp_path: Path) -> None:
    allowed: Any = {"names": ["team-a"]}
    provider.create(shared={"allowedNamespaces": allowed})
    provider.make_ready()
    consumer, stranger = (borrow(provider.control_plane, name) for name in ("team-a", "team-b"))
    consumer.wait_reason("Available", "team")
    stranger.wait_reason("NotAdmitted", "team")

    with daemon_of(provider) as daemon:
        assert_builds(daemon, keep(consumer, tmp_path / "admitted", "team-connection"))
    assert stranger.get("secrets", "team-connection") is None


def test_the_certificate_of_another_builder_is_refused(provider: Builders, tmp_path: Path) -> None:
    provider.create()
    provider.make_ready()
    other = namespace(provider.control_plane, "other")
    other.create()
    other.make_ready()
    stolen = keep(other, tmp_path / "other")
    # It is made to trust the daemon, so that the daemon has to turn it away.
    (stolen / "ca.crt").write_text(provider.secret("demo-connection")["ca.crt"])

    with daemon_of(provider) as daemon:
        assert build(daemon, stolen).returncode != 0
