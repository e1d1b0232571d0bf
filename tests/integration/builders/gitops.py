"""What GitOps tools make of a resource: kstatus, the library of Flux and helm --wait, and Argo CD with our script."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts

ARGO_CD: Final = Path(__file__).parents[3] / "deploy" / "argocd"
SCRIPT: Final = ARGO_CD / "health.lua"


@dataclass(frozen=True)
class Health:
    """One object in the words of both."""

    kstatus: str
    argo: str
    kstatus_message: str
    argo_message: str

    @property
    def words(self) -> tuple[str, str]:
        return self.kstatus, self.argo


def health_of(objects: Sequence[Manifest], script: Path = SCRIPT) -> list[Health]:
    """Return the health of each object, as JSON from the API server. Raises CalledProcessError."""
    program = artifacts.ensure("gitops-health")["gitops-health"] / "gitops-health"
    said = subprocess.run([program, script], input=json.dumps(objects), text=True, capture_output=True, check=True)
    return [
        Health(
            answer["kstatus"]["status"],
            answer["argo"]["status"],
            answer["kstatus"]["message"],
            answer["argo"]["message"],
        )
        for answer in json.loads(said.stdout)
    ]
