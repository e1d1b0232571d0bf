"""An API server that asks a webhook process about pods, as the component webhook configures it."""

import base64
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Final

import yaml
from cryptography import x509

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.webhook.secret_path import SecretPaths
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.integration.admission.engines import Engine, Refusal, create_builders
from tests.integration.webhook.webhook_process import WebhookProcess

NAME: Final = "buildkit-operator-webhook"
NAMESPACE: Final = "buildkit-operator"
KUSTOMIZE: Final = Path(__file__).parents[3] / "deploy" / "kustomize"
COMPONENT: Final = KUSTOMIZE / "components" / "webhook"
SECRET: Final = f"/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}"
CONFIGURATION: Final = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{NAME}"


def prepare(control_plane: ControlPlane) -> None:
    """Create what stands before the webhook: namespace, rights and builders, but not its configuration."""
    control_plane.kubectl("apply", "--server-side", f"--filename={KUSTOMIZE / 'base' / 'namespace.yaml'}")
    control_plane.kubectl("apply", "--server-side", f"--filename={COMPONENT / 'rbac.yaml'}")
    create_builders(control_plane)


@dataclass(frozen=True)
class Installation:
    """The webhook installed in an API server that has no network of pods: the Service is a name for this machine."""

    control_plane: ControlPlane
    folder: Path
    """For the processes' logs."""
    processes: list[WebhookProcess] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return Engine("webhook", self.control_plane)

    def start(self, **settings: object) -> WebhookProcess:
        """Start a webhook process with the rights that its component gives it."""
        kubeconfig = self.control_plane.service_account_kubeconfig(NAMESPACE, NAME)
        log = self.folder / f"webhook-{len(self.processes)}.log"
        process = WebhookProcess(kubeconfig, log, webhook_namespace=NAMESPACE, **settings)
        self.processes.append(process)
        return process

    def start_ready(self, **settings: object) -> WebhookProcess:
        """Start one and wait until it can answer."""
        process = self.start(**settings)
        process.wait_ready()
        return process

    def configure(self, process: WebhookProcess) -> None:
        """Have the API server ask this process."""
        self.configure_port(process.https_port)

    def configure_port(self, port: int) -> None:
        """Have the API server ask on a port, by the configuration of its component and a Service without pods."""
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }
        configuration = yaml.safe_load((COMPONENT / "configuration.yaml").read_text())
        for webhook in configuration["webhooks"]:
            webhook["clientConfig"]["service"]["port"] = port
        manifests = yaml.safe_dump_all([service, configuration])
        self.control_plane.kubectl("apply", "--server-side", "--filename=-", text=manifests)

    def install(self, **settings: object) -> WebhookProcess:
        """Configure the API server, start a process, and wait until pods get their builders."""
        process = self.start(**settings)
        self.configure(process)
        process.wait_ready()
        self.wait_until_effective()
        return process

    def wait_until_effective(self) -> None:
        wait_for("pods to get their builder", lambda: not isinstance(self.create_pod(), Refusal), 20)

    def create_pod(self, builder: str = "demo") -> Manifest | Refusal:
        """Create a pod that asks for a builder, without storing it."""
        return self.engine.create(pod(builder))

    def stop(self) -> None:
        for process in self.processes:
            process.kill()

    # The objects that the webhook keeps

    def secret(self) -> dict[str, bytes]:
        """Return what its Secret holds; nothing where there is none."""
        found = self.find(SECRET)
        return {key: base64.b64decode(value) for key, value in (found or {}).get("data", {}).items()}

    def find(self, path: str) -> Manifest | None:
        try:
            found: Manifest = self.control_plane.request("GET", path)
        except urllib.error.HTTPError as refusal:
            if refusal.code != 404:
                raise
            return None
        return found

    def trusted(self) -> list[bytes]:
        """Return the caBundle of each of the configuration's webhooks."""
        configuration = self.find(CONFIGURATION) or {"webhooks": []}
        return [base64.b64decode(webhook["clientConfig"].get("caBundle", "")) for webhook in configuration["webhooks"]]

    def path(self, webhook: str = "label") -> str:
        """Return the path that one of the webhooks is asked at."""
        paths = SecretPaths(lambda: datetime.now(UTC))
        paths.learn(self.secret()["ca.key"])
        return f"/{paths.current()}/{webhook}"

    def trusts_stored_authorities(self) -> bool:
        """Return whether all webhooks are trusted by the authorities of the Secret, exactly."""
        bundle = self.secret().get("ca.crt")
        return bool(bundle) and set(self.trusted()) == {bundle}

    def presented_by(self, process: WebhookProcess) -> bool:
        """Return whether a process presents the certificate of the Secret."""
        return process.certificate() == x509.load_pem_x509_certificate(self.secret()["tls.crt"])

    @contextmanager
    def traffic(self) -> Iterator["Traffic"]:
        """Create pods without a pause within the block, in threads of their own."""
        traffic = Traffic(self)
        threads = [Thread(target=traffic.run, name=f"traffic {number}") for number in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield traffic
        finally:
            traffic.over.set()
            for thread in threads:
                thread.join()


@dataclass
class Traffic:
    """Pods that are created one after the other, and those of them that did not get their builder."""

    installation: Installation
    over: Event = field(default_factory=Event)
    served: int = 0
    lost: list[str] = field(default_factory=list)

    def run(self) -> None:
        while not self.over.is_set():
            outcome = self.installation.create_pod()
            if isinstance(outcome, Refusal):
                self.lost.append(f"{time.strftime('%X')} {outcome.code} {outcome.sentence}")
            else:
                self.served += 1
            time.sleep(0.01)

    def wait_for_more(self, pods: int = 20) -> None:
        """Wait until so many more pods got their builder: how long that takes depends on the machine."""
        wanted = self.served + pods
        wait_for(f"{pods} more pods with their builder", lambda: self.served >= wanted)


def pod(builder: str, namespace: str = "ci") -> Manifest:
    """Return a job's pod that asks for a builder."""
    return {
        "metadata": {
            "generateName": "job-",
            "namespace": namespace,
            "labels": {"buildkit-operator.dev/builder": builder},
        },
        "spec": {"containers": [{"name": "job", "image": "job", "env": [{"name": "TOKEN", "value": "secret-value"}]}]},
    }
