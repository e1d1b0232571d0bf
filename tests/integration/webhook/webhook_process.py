"""The webhook as it runs in production: `python -m buildkit_operator webhook`, with its own log file."""

import re
import socket
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from hack.cluster.processes import free_port
from tests.integration.service_process import ServiceProcess

COMMAND: Final = ("-m", "buildkit_operator", "webhook")


class WebhookProcess(ServiceProcess):
    """A webhook with its own port for the API server."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: object) -> None:
        self.https_port = int(str(settings.get("https_port", free_port())))
        super().__init__(COMMAND, kubeconfig, log, {"log_format": "text", **settings, "https_port": self.https_port})

    def certificate(self) -> x509.Certificate:
        """Return the certificate that it presents to whoever connects now."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.https_port), 5) as plain,
            context.wrap_socket(plain) as connection,
        ):
            der = connection.getpeercert(binary_form=True)
        assert der
        return x509.load_der_x509_certificate(der)

    def count(self, webhook: str, result: str) -> float:
        """Return how many requests it has answered so."""
        label = f'{{result="{result}",webhook="{webhook}"}}'
        return self.metric(f"buildkit_operator_webhook_requests_total{re.escape(label)}")
