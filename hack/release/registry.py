"""The local registry of a rehearsal: that of the kind cluster, as this machine and as the cluster's pods name it."""

import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.cluster import pins
from hack.cluster.installation import REGISTRY
from hack.cluster.problems import ClusterError
from hack.release import foreign

OWNER: Final = "rehearsal"
_BASE: Final = f"{OWNER}/{pins.PYTHON_IMAGE.rpartition('/')[2]}"


@dataclass(frozen=True)
class Registry:
    """A forwarded port of it, and the program that asks it."""

    crane_program: Path
    port: int

    @property
    def host(self) -> str:
        """Its name on this machine, which is part of every name that is released."""
        return f"localhost:{self.port}"

    def crane(self, *arguments: str) -> str:
        """Return what crane prints. Raises ClusterError."""
        return self._crane(*arguments).decode()

    def add_base(self) -> str:
        """Put the base of the operator's image there for two architectures; return its name for pods."""
        base = f"{self.host}/{_BASE}"
        own, other = f"{base}-own", f"{base}-other"
        self.crane("copy", "--insecure", f"{self.host}/{pins.PYTHON_IMAGE.removeprefix('docker.io/')}", own)
        self.crane("push", "--insecure", str(foreign.base(other)), other)
        self.crane("index", "append", "--insecure", f"--manifest={own}", f"--manifest={other}", f"--tag={base}")
        return f"{REGISTRY}/{_BASE}"

    def manifest(self, reference: str) -> dict[str, Any]:
        """Return an index or a manifest."""
        read: dict[str, Any] = json.loads(self.crane("manifest", "--insecure", reference))
        return read

    def blob(self, repository: str, digest: str) -> dict[str, Any]:
        """Return a blob that is JSON."""
        read: dict[str, Any] = json.loads(self.crane("blob", "--insecure", f"{repository}@{digest}"))
        return read

    def files(self, reference: str, platform: str) -> dict[str, bytes]:
        """Return the first 20 bytes of each of the operator's own files in an image, by name."""
        exported = self._crane("export", "--insecure", f"--platform={platform}", reference, "-")
        with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
            own = [member for member in tar if member.isfile() and member.name.lstrip("./").startswith("opt/operator/")]
            return {member.name: found.read(20) for member in own if (found := tar.extractfile(member))}

    def _crane(self, *arguments: str) -> bytes:
        environment = {**os.environ, "NO_PROXY": "localhost"}
        done = subprocess.run([self.crane_program, *arguments], env=environment, capture_output=True, check=False)
        if done.returncode:
            raise ClusterError(f"crane {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
