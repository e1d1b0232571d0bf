"""Helm as the tests use it: the real program, with this repository's chart."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins

CHART: Final = Path(__file__).parents[2] / "deploy" / "helm" / "buildkit-operator"
NAME: Final = "buildkit-operator"
"""Of the release and of its namespace, where nobody chooses others."""
IMAGE: Final = pins.OPERATOR_IMAGE.rpartition(":")[0]
"""The operator's image as manifests name it, without its tag."""


class HelmError(Exception):
    """Helm ended with an error; the message is what it said."""


class Helm:
    """Calls helm, for the cluster of a kubeconfig where there is one."""

    def __init__(self, program: Path, kubeconfig: Path | None = None) -> None:
        self.program = program
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: str, values: Manifest | None = None, timeout: float = 300) -> str:
        """Return what helm prints, given these values in a file. Raises HelmError."""
        with tempfile.TemporaryDirectory(prefix="helm-") as folder:
            file = Path(folder) / "values.yaml"
            file.write_text(yaml.safe_dump(values or {}))
            flags = [] if values is None else [f"--values={file}"]
            # Nothing of the user's own is read, and nothing stays.
            homes = {f"HELM_{home}_HOME": f"{folder}/{home}" for home in ("CACHE", "CONFIG", "DATA")}
            environment = {**os.environ, **homes, "KUBECONFIG": str(self.kubeconfig or os.devnull)}
            answer = subprocess.run(
                [str(self.program), *arguments, *flags],
                text=True,
                capture_output=True,
                timeout=timeout,
                env=environment,
                check=False,
            )
        if answer.returncode != 0:
            raise HelmError(f"helm {' '.join(arguments)}: {answer.stderr.strip() or answer.stdout.strip()}")
        return answer.stdout

    def render(
        self,
        values: Manifest | None = None,
        *flags: str,
        release: str = NAME,
        namespace: str = NAME,
        chart: Path = CHART,
    ) -> str:
        """Return what the chart renders to, for the Kubernetes that Helm knows unless flags name another.

        Values that name no image get the one of the manifests, as the chart has none while nothing is released.
        """
        chosen = with_image(values) if chart == CHART else values or {}
        return self("template", release, str(chart), f"--namespace={namespace}", *flags, values=chosen)

    def manifests(self, values: Manifest | None = None, *flags: str, **where: Any) -> list[Manifest]:
        """Return the same as objects."""
        return [manifest for manifest in yaml.safe_load_all(self.render(values, *flags, **where)) if manifest]


def with_image(values: Manifest | None = None) -> Manifest:
    """Return values that name an image: what they name themselves, else that of the manifests."""
    chosen = values or {}
    return {**chosen, "image": {"repository": IMAGE, **chosen.get("image", {})}}


def kinds(manifests: list[Manifest]) -> set[str]:
    """Return of which kinds there are objects."""
    return {manifest["kind"] for manifest in manifests}


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the one object of this kind and name."""
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)
    return found


def workloads(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the pod template of each Deployment, by the name of its container."""
    templates = [manifest["spec"]["template"] for manifest in manifests if manifest["kind"] == "Deployment"]
    return {template["spec"]["containers"][0]["name"]: template for template in templates}
