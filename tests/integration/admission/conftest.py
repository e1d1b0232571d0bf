"""Both engines, each on an API server of its own with the same builders."""

import ssl
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import KeyPair, Usage
from hack.cluster.controlplane import ControlPlane
from tests.integration.admission.engines import Engine, WebhookServer, create_builders, stored_builders
from tests.integration.conftest import CRDS

TOP: Final = Path(__file__).parents[3]


@pytest.fixture(scope="package", params=["policies", "webhook"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Return one engine after the other."""
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="package")
def policies() -> Iterator[Engine]:
    """Start the engine that the API server brings along."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        create_builders(control_plane)
        policies = TOP / "deploy/kustomize/components/policies"
        control_plane.kubectl("apply", "--server-side", "--validate=strict", f"--kustomize={policies}")
        engine = Engine("policies", control_plane)
        engine.wait_until_effective()
        yield engine


@pytest.fixture(scope="package")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Start the engine that runs beside the API server."""
    now = datetime.now(UTC)
    authority = issue_authority("test", timedelta(days=1), now)
    leaf = issue_leaf(authority, "test", Usage.SERVER, ["localhost"], timedelta(days=1), now)
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        create_builders(control_plane)
        tls = _server_context(leaf, tmp_path_factory.mktemp("tls"))
        with WebhookServer(stored_builders(control_plane), tls) as server:
            control_plane.request(
                "POST",
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
                _configuration(f"https://localhost:{server.server_port}", authority.certificate),
            )
            engine = Engine("webhook", control_plane)
            engine.wait_until_effective()
            yield engine
            server.shutdown()


def _server_context(pair: KeyPair, folder: Path) -> ssl.SSLContext:
    (folder / "tls.pem").write_bytes(pair.key + pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")
    return context


def _configuration(url: str, authority: bytes) -> Manifest:
    """Return the configuration that is installed, for a webhook that is no Service."""
    file = TOP / "deploy/kustomize/components/webhook/configuration.yaml"
    configuration: Manifest = yaml.safe_load(file.read_text())
    for webhook in configuration["webhooks"]:
        path = webhook["name"].partition(".")[0]
        webhook["clientConfig"] = {"url": f"{url}/{path}", "caBundle": b64encode(authority).decode()}
    return configuration
