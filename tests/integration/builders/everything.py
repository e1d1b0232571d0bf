"""All that an API server holds of builders: played on by controllers, and compared with what another run has made."""

import json
import re
import time
import urllib.error
from base64 import b64decode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import CERTIFICATE, DEPLOYMENT, STATEFUL_SET, Manifest, Resource
from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.integration.builders.builder_namespace import MADE, Builders, is_settled
from tests.integration.builders.cert_manager import CertManager

COMPARED: Final = (names.BUILDER, *MADE, CERTIFICATE)
REST_SECONDS: Final = 2
LOOK_SECONDS: Final = 0.3
VOLATILE: Final = frozenset(
    {"uid", "resourceVersion", "creationTimestamp", "time", "lastTransitionTime", "clusterIP", "clusterIPs"}
)
HASHED: Final = re.compile(r"(?:-hash|/cache-key|/ca-sum)$")
"""Annotations with digests of what has a uid, a namespace or a key in it."""
TIMES: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


@dataclass
class Everything:
    """One API server, and what is played on it: there are no controllers."""

    control_plane: ControlPlane
    issues: bool = False
    """Whether cert-manager is played as well."""
    namespace: str | None = None
    """Where to play and to look; None: everywhere."""
    _issued: set[tuple[str, str]] = field(default_factory=set)

    def create_namespace(self, name: str) -> Builders:
        self.control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return Builders(self.control_plane, name)

    def all_of(self, resource: Resource) -> list[Manifest]:
        """Return all objects of a kind."""
        prefix = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        within = f"/namespaces/{self.namespace}" if self.namespace else ""
        try:
            found: list[Manifest] = self.control_plane.request("GET", f"{prefix}{within}/{resource.plural}")["items"]
        except urllib.error.HTTPError as refused:
            if refused.code == HTTPStatus.TOO_MANY_REQUESTS:  # a definition that is new
                time.sleep(float(refused.headers.get("Retry-After", "1")))
                return self.all_of(resource)
            if refused.code != HTTPStatus.NOT_FOUND:
                raise
            return []  # cert-manager is not there
        return found

    def play(self) -> None:
        """Have every workload ready, and issue what is ordered."""
        for resource in (DEPLOYMENT, STATEFUL_SET):
            for workload in self.all_of(resource):
                if not is_settled(workload):
                    metadata = workload["metadata"]
                    builder = metadata["name"].removesuffix("-buildkitd")
                    Builders(self.control_plane, metadata["namespace"]).play_controller(builder, resource.plural)
        for order in self.all_of(CERTIFICATE) if self.issues else ():
            namespace, name = order["metadata"]["namespace"], order["metadata"]["name"]
            if (namespace, name) not in self._issued:
                CertManager(Builders(self.control_plane, namespace)).issue(name)
                self._issued.add((namespace, name))

    def wait(self, what: str, probe: Callable[[], Any], seconds: float = 240) -> None:
        """Play until something is so."""

        def played() -> Any:
            self.play()
            found = probe()
            if not found:
                time.sleep(LOOK_SECONDS)
            return found

        wait_for(what, played, seconds)

    def wait_ready(self, seconds: float = 240) -> None:
        """Play until every builder is Ready, of its current spec, and the operator through with it."""
        with suppress(TimeoutError):  # what is not is of interest
            self.wait("all builders are ready", lambda: not self.not_ready(), seconds)
        assert self.not_ready() == {}

    def not_ready(self) -> dict[str, str]:
        """Return what builders say that are not ready, by namespace and name."""
        return {
            f"{builder['metadata']['namespace']}/{builder['metadata']['name']}": str(
                builder.get("status", {}).get("conditions")
            )
            for builder in self.all_of(names.BUILDER)
            if not _is_ready(builder)
        }

    def wait_at_rest(self, seconds: float = 120) -> None:
        """Wait until the operator has written nothing for some seconds, nor tried to: events neither."""

        def is_at_rest() -> bool:
            mark = self.control_plane.mark()
            time.sleep(REST_SECONDS)
            return not self.written(mark)

        wait_for("nothing is written", is_at_rest, seconds)

    def written(self, mark: int) -> list[Request]:
        """Return what operators have written since a mark; a Lease is alive by being written."""
        return [
            request
            for request in self.control_plane.audit(mark)
            if request.writes and request.user_agent.startswith("buildkit-operator") and request.resource != "leases"
        ]

    def snapshot(self, *scenarios: Sequence[str]) -> list[dict[str, Manifest]]:
        """Return of each scenario, which is some namespaces, every object, without what differs between two runs."""
        found = {resource: self.all_of(resource) for resource in COMPARED}
        return [
            {
                f"{resource.plural}/{scenario.index(item['metadata']['namespace'])}/{item['metadata']['name']}": (
                    comparable(resource, item, scenario)
                )
                for resource, items in found.items()
                for item in items
                if item["metadata"]["namespace"] in scenario
            }
            for scenario in scenarios
        ]


def comparable(resource: Resource, manifest: Manifest, namespaces: Sequence[str]) -> Manifest:
    """Return an object without uids, times, versions, keys, certificates, their digests, and its namespaces' names."""
    if resource.plural == "secrets":
        held = {key: b64decode(value).decode() for key, value in manifest.get("data", {}).items()}
        manifest = {**manifest, "data": {key: _unkeyed(value) for key, value in held.items()}}
    metadata = {**manifest["metadata"]}
    # The API server sorts them by time: whoever writes a second later is put behind.
    metadata["managedFields"] = sorted(
        metadata["managedFields"], key=lambda one: (one["manager"], one["operation"], one.get("subresource", ""))
    )
    text = TIMES.sub("<time>", json.dumps(_without_volatile({**manifest, "metadata": metadata})))
    for number, name in enumerate(namespaces):
        text = text.replace(name, f"<namespace {number}>")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>", text)
    compared: Manifest = json.loads(text)
    return compared


def _unkeyed(value: str) -> str:
    return re.sub(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", r"<\1>", value, flags=re.DOTALL)


def _without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<digest>" if HASHED.search(key) else _without_volatile(held)
            for key, held in value.items()
            if key not in VOLATILE
        }
    return [_without_volatile(item) for item in value] if isinstance(value, list) else value


def _is_ready(builder: Manifest) -> bool:
    ready = condition(builder, "Ready")
    seen = ready.get("observedGeneration") == builder["metadata"]["generation"]
    return seen and ready["status"] == "True" and not condition(builder, "Reconciling")
