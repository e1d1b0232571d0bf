"""A second registry for the end-to-end tests: TLS by a certificate authority that nobody but the test knows."""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import yaml

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import Usage
from hack.cluster.kubectl import Kubectl
from hack.cluster.ready import REGISTRY

CERTIFICATES: Final = "/certificates"
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class PrivateRegistry:
    """A registry of one namespace, reached there by several names."""

    hosts: tuple[str, ...]
    authority_secret: str
    """Secret with the certificate authority, as spec.daemon.registries takes it."""


def private_registry(team: Kubectl, *names: str) -> PrivateRegistry:
    """Run a registry behind a Service for each name, with TLS, and wait until it is ready."""
    authority = issue_authority("company", DAY, datetime.now(UTC))
    addresses = [f"{name}.{team.namespace}.svc" for name in names]
    leaf = issue_leaf(authority, "registry", Usage.SERVER, addresses, DAY, datetime.now(UTC))
    team.apply(
        _secret("company-ca", {"ca.crt": authority.certificate.decode()}),
        _secret("registry-tls", {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}),
        *_manifests(team.namespace, names),
    )
    team("rollout", "status", "deployment/registry", "--timeout=60s")
    return PrivateRegistry(tuple(f"{address}:5000" for address in addresses), "company-ca")


def _secret(name: str, data: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def _manifests(namespace: str, names: tuple[str, ...]) -> list[Manifest]:
    """Return the cluster's own registry once more, with TLS, in another namespace and behind other names."""
    found = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(REGISTRY.read_text())}
    deployment, service = found["Deployment"], found["Service"]
    deployment["metadata"]["namespace"] = service["metadata"]["namespace"] = namespace
    pod = deployment["spec"]["template"]["spec"]
    pod["volumes"].append({"name": "certificates", "secret": {"secretName": "registry-tls"}})
    (container,) = pod["containers"]
    container["volumeMounts"].append({"name": "certificates", "mountPath": CERTIFICATES})
    container["env"] += [
        {"name": "REGISTRY_HTTP_TLS_CERTIFICATE", "value": f"{CERTIFICATES}/tls.crt"},
        {"name": "REGISTRY_HTTP_TLS_KEY", "value": f"{CERTIFICATES}/tls.key"},
    ]
    container["readinessProbe"]["httpGet"]["scheme"] = "HTTPS"
    services = []
    for name in names:
        services.append(copy.deepcopy(service))
        services[-1]["metadata"]["name"] = name
    return [deployment, *services]
