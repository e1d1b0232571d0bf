"""Plays cert-manager for one namespace: the definition of Certificates is its own, the controllers are not here."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import KeyPair, Usage
from tests.integration.builders.builder_namespace import Builders

CERTIFICATES: Final = "certificates.cert-manager.io"
USAGES: Final = {"server auth": Usage.SERVER, "client auth": Usage.CLIENT}


def make_authority() -> KeyPair:
    return issue_authority("issuer", timedelta(days=365), datetime.now(UTC))


@dataclass
class CertManager:
    """An issuer of kind CA."""

    builders: Builders
    authority: KeyPair = field(default_factory=make_authority)

    def request(self, name: str) -> Manifest:
        """Return a Certificate that the operator has made, or nothing."""
        return self.builders.get("certificates", name) or {}

    def wait_for_request(self, name: str) -> Manifest:
        return self.builders.wait(f"Certificate {name}", lambda: self.request(name))

    def say(self, name: str, status: str, message: str) -> None:
        """Write the condition Ready of a Certificate."""
        condition = {
            "type": "Ready",
            "status": status,
            "reason": "Played",
            "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        self.builders.patch("certificates", name, {"status": {"conditions": [condition]}}, "status")

    def issue(self, name: str, **other: bytes) -> None:
        """Fill the Secret of a Certificate, again with a new one if it is there; `other` is what else it holds."""
        spec = self.wait_for_request(name)["spec"]
        (usage,) = [USAGES[usage] for usage in spec["usages"] if usage in USAGES]
        pair = issue_leaf(
            self.authority, "subject", usage, sorted(spec.get("dnsNames", [])), timedelta(days=1), datetime.now(UTC)
        )
        data = {"ca.crt": self.authority.certificate, "tls.crt": pair.certificate, "tls.key": pair.key, **other}
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": spec["secretName"],
                "labels": spec["secretTemplate"]["labels"],
                "annotations": {"cert-manager.io/certificate-name": name},
            },
            "type": self._type(spec["secretName"]),
            "data": {key: b64encode(value).decode() for key, value in data.items()},
        }
        applied = "?force=true&fieldManager=cert-manager-certificates-issuing"
        self.builders.control_plane.send(
            "PATCH",
            self.builders.path("secrets", spec["secretName"]) + applied,
            json.dumps(manifest).encode(),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        self.say(name, "True", "Certificate is up to date and has not expired")

    def _type(self, secret: str) -> str:
        """Return the type of a Secret that is there, as cert-manager does: it cannot be changed."""
        return str((self.builders.get("secrets", secret) or {"type": "kubernetes.io/tls"})["type"])
