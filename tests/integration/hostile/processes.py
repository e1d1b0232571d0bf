"""Operator and webhook side by side, and whether they serve somebody who did nothing."""

from dataclasses import dataclass
from typing import Final

from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.integration.admission.engines import Refusal
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.service_process import ServiceProcess
from tests.integration.webhook.installation import Installation

BUILDERS: Final = "/apis/buildkit-operator.dev/v1alpha1/namespaces/{}/buildkitbuilders"
SECONDS: Final = 60
"""Within which somebody else's builder has a status."""


@dataclass
class Processes:
    """All processes of an installation that lists builders."""

    installation: Installation
    operator: BuilderOperator | None = None

    @property
    def control_plane(self) -> ControlPlane:
        return self.installation.control_plane

    @property
    def all(self) -> dict[str, ServiceProcess]:
        (webhook,) = self.installation.processes
        assert self.operator is not None
        return {"operator": self.operator, "webhook": webhook}

    def start(self) -> None:
        """Start them all and wait until they are ready."""
        folder, kubeconfig = self.installation.folder, self.control_plane.kubeconfig
        self.operator = BuilderOperator(kubeconfig, folder / "operator.log")
        webhook = self.installation.start()
        self.installation.configure(webhook)
        for process in self.all.values():
            process.wait_ready()
        self.installation.wait_until_effective()

    def serve(self, namespace: str, name: str, seconds: float = SECONDS) -> None:
        """Create a builder of somebody else's, and wait until everybody has done for it what they do."""
        path = BUILDERS.format(namespace)
        body = {
            "apiVersion": "buildkit-operator.dev/v1alpha1",
            "kind": "BuildKitBuilder",
            "metadata": {"name": name},
            "spec": {"mode": "Shared"},
        }
        self.control_plane.request("POST", path, body)
        wait_for(f"a status of {name}", lambda: self._has_status(f"{path}/{name}"), seconds)
        assert not isinstance(self.installation.create_pod(), Refusal)

    def assert_alive(self) -> None:
        """Assert that none has ended or lost its watches."""
        for name, process in self.all.items():
            assert process.running, name
            assert process.get("/livez") == (200, "ok\n"), name

    def stop(self) -> None:
        if self.operator is not None:
            self.operator.kill()

    def _has_status(self, path: str) -> bool:
        found = self.control_plane.request("GET", path)
        return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])
