"""A second registry for the end-to-end tests: TLS by a certificate authority that nobody but the test knows."""

import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import yaml

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import Usage
from hack.cluster import pins
from hack.cluster.installation import operator_image
from hack.cluster.kubectl import Kubectl
from hack.cluster.ready import REGISTRY

CERTIFICATES: Final = "/certificates"
FILES_PORT: Final = 8443
_MAKE_REPOSITORY: Final = f"""
cd /files
git init -q work
cd work
printf 'FROM {pins.BUSYBOX_IMAGE}\\nARG URL\\nADD $URL /added\\nRUN cat /added\\n' > Dockerfile
git add .
git -c user.name=team -c user.email=team@example.com commit -qm first
git clone -q --bare . ../repository.git
git -C ../repository.git update-server-info
echo added from the company > ../added.txt
git rev-parse HEAD
"""
_SERVE: Final = f"""
import http.server, ssl
server = http.server.ThreadingHTTPServer(("", {FILES_PORT}), http.server.SimpleHTTPRequestHandler)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("{CERTIFICATES}/tls.crt", "{CERTIFICATES}/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class PrivateRegistry:
    """A registry of one namespace, reached there by several names."""

    hosts: tuple[str, ...]
    authority_secret: str
    """Secret with the certificate authority, as spec.daemon.registries takes it."""
    files_host: str
    """Host and port of a web server with a certificate of the same authority."""
    commit: str
    """Commit of the Git repository there, repository.git; beside it is the file added.txt."""


def private_registry(team: Kubectl, *names: str) -> PrivateRegistry:
    """Run a registry behind a Service for each name, and a web server, with TLS, and wait until both are ready."""
    authority = issue_authority("company", DAY, datetime.now(UTC))
    addresses = [f"{name}.{team.namespace}.svc" for name in names]
    files = f"files.{team.namespace}.svc"
    leaf = issue_leaf(authority, "registry", Usage.SERVER, [*addresses, files], DAY, datetime.now(UTC))
    team.apply(
        _secret("company-ca", {"ca.crt": authority.certificate.decode()}),
        _secret("registry-tls", {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}),
        *_manifests(team.namespace, names),
        *_web_server(),
    )
    team("rollout", "status", "deployment/registry", "--timeout=60s")
    team("wait", "--for=condition=Ready", "pod/files", "--timeout=60s")
    commit = team.logs("files", "repository").split()[-1]
    return PrivateRegistry(
        tuple(f"{address}:5000" for address in addresses), "company-ca", f"{files}:{FILES_PORT}", commit
    )


def _web_server() -> list[Manifest]:
    """Return a web server with a Git repository as plain files, for whole commits, and a file."""
    files = {"name": "files", "mountPath": "/files"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "files", "labels": {"app": "files"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "initContainers": [
                {
                    "name": "repository",
                    "image": pins.BUILDKIT_IMAGE,
                    "command": ["/bin/sh", "-ec", _MAKE_REPOSITORY],
                    "volumeMounts": [files],
                }
            ],
            "containers": [
                {
                    "name": "server",
                    "image": operator_image(),
                    "command": ["python", "-c", _SERVE],
                    "workingDir": "/files",
                    "readinessProbe": {"tcpSocket": {"port": FILES_PORT}, "periodSeconds": 1},
                    "volumeMounts": [files, {"name": "certificates", "mountPath": CERTIFICATES}],
                }
            ],
            "volumes": [
                {"name": "files", "emptyDir": {}},
                {"name": "certificates", "secret": {"secretName": "registry-tls"}},
            ],
        },
    }
    service = {"selector": {"app": "files"}, "ports": [{"port": FILES_PORT}]}
    return [pod, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "files"}, "spec": service}]


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
