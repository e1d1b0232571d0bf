"""What is installed: kustomize's base with an engine of injection, and the chosen image in each Deployment of it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import OPERATOR, WEBHOOK, has_policies
from hack.cluster.kubectl import Kubectl
from hack.generate import kustomize

ENGINES: Final = {
    "policies": "the API server's admission policies give runner pods their builder",
    "webhook": "its webhook gives runner pods their builder",
}


def engines(kubectl: Kubectl) -> list[str]:
    """Return what injects there already; where nothing does, the policies if the API server has them, else the webhook.

    Raises KubectlError.
    """
    present = []
    if has_policies(kubectl):
        mine = f"--selector=app.kubernetes.io/name={OPERATOR}"
        if kubectl("get", "mutatingadmissionpolicies", mine, "--ignore-not-found", "--output=name"):
            present.append("policies")
    if kubectl("get", "mutatingwebhookconfiguration", WEBHOOK, "--ignore-not-found", "--output=name"):
        present.append("webhook")
    return present or ["policies" if has_policies(kubectl) else "webhook"]


def render(kubectl: Kubectl, image: str, components: Sequence[str], environment: Sequence[str]) -> list[Manifest]:
    """Return the objects; `environment` has more variables of the operator, as NAME=value. Raises KubectlError."""
    with tempfile.TemporaryDirectory() as scratch:
        overlay = kustomize.compose(Path(scratch), *components)
        objects = [found for found in yaml.safe_load_all(kubectl("kustomize", str(overlay))) if found]
    for container in _containers(objects):
        container["image"] = image
        if container["name"] == "operator" and environment:
            pairs = (variable.partition("=") for variable in environment)
            container.setdefault("env", []).extend({"name": name, "value": value} for name, _, value in pairs)
    return objects


def deployments(objects: Sequence[Manifest]) -> list[str]:
    """Return the names of the Deployments among the objects."""
    return [found["metadata"]["name"] for found in objects if found["kind"] == "Deployment"]


def _containers(objects: Sequence[Manifest]) -> list[dict[str, Any]]:
    found = (one["spec"]["template"]["spec"] for one in objects if one["kind"] == "Deployment")
    return [container for spec in found for container in spec["containers"]]
