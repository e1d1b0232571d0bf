"""The component webhook is what an API server accepts, and what restricted namespaces admit."""

from typing import Any

import yaml

from tests.integration.webhook.installation import COMPONENT, NAMESPACE, Installation


def read(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((COMPONENT / file).read_text()))


def test_the_api_server_accepts_all_of_it(shared: Installation) -> None:
    flags = ("--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict")
    said = shared.control_plane.kubectl("apply", *flags, f"--kustomize={COMPONENT}")

    (kustomization,) = read("kustomization.yaml")
    assert said.count("serverside-applied") == sum(len(read(file)) for file in kustomization["resources"])


def test_its_pods_are_admitted_where_pod_security_is_restricted(shared: Installation) -> None:
    namespace = shared.control_plane.request("GET", f"/api/v1/namespaces/{NAMESPACE}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (deployment,) = (manifest for manifest in read("webhook.yaml") if manifest["kind"] == "Deployment")
    template = deployment["spec"]["template"]

    shared.control_plane.request(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All&fieldValidation=Strict",
        {"metadata": {"name": "webhook", **template["metadata"]}, "spec": template["spec"]},
    )
