"""The webhook as it runs in production: `python -m buildkit_operator webhook`, with its own log file."""

import os
import re
import socket
import ssl
import sys
from pathlib import Path
from typing import Final

from cryptography import x509

from hack.cluster.processes import Process, free_port
from tests.integration.engine.process import OperatorProcess

COMMAND: Final = ("-m", "buildkit_operator", "webhook")


class WebhookProcess(OperatorProcess):
    """A webhook, with settings by their names in `buildkit_operator.settings`."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: object) -> None:
        self.port = free_port()
        chosen = {"http_port": self.port, "https_port": free_port(), "log_format": "text", **settings}
        self.https_port = int(str(chosen["https_port"]))
        environment = [f"BUILDKIT_OPERATOR_{name.upper()}={value}" for name, value in chosen.items()]
        Process.__init__(
            self, Path("/usr/bin/env"), [f"KUBECONFIG={kubeconfig}", *environment, sys.executable, *COMMAND], log
        )

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

    def cpu(self) -> float:
        """Return the seconds of processor time it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
