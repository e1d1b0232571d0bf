"""A namespace of builders, seen and changed past the operator: as its users do, and as controllers and kubelet do."""

import time
import urllib.error
from base64 import b64decode
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final, TypeVar

from buildkit_operator.api import names
from buildkit_operator.api.daemon import Daemon
from buildkit_operator.controller.child_kinds import BY_RESOURCE, CHILD_KINDS, Apply, ByName
from buildkit_operator.desired import mounts
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import PERSISTENT_VOLUME_CLAIM, SECRET, Manifest, Resource
from hack.cluster.audit import Request
from hack.cluster.kubectl import wait_for
from tests.integration.namespace_client import NamespaceClient

T = TypeVar("T")

GROUPS: Final = {
    resource.plural: f"/apis/{resource.api_version}" for resource in (names.BUILDER, *BY_RESOURCE) if resource.group
}
MADE: Final = tuple(
    kind.resource
    for kind in CHILD_KINDS
    if kind.apply is not Apply.NEVER and not (isinstance(kind.read, ByName) and kind.read.optional)
)
"""Kinds that the operator applies and every API server has."""


def owned_by_workload(kind: str = "ReplicaSet", name: str = "demo-buildkitd-7c9d") -> list[Manifest]:
    """Return the ownerReferences of a daemon's pod, as the controller of its workload writes them."""
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "1-2-3", "controller": True}]


SECONDS: Final = 60
"""Until something that takes milliseconds is given up."""


class Builders(NamespaceClient):
    """One namespace."""

    groups: ClassVar[dict[str, str]] = GROUPS

    # What users do

    def create(self, name: str = "demo", **spec: Any) -> Manifest:
        """Create a builder, of mode Shared unless the spec says otherwise."""
        manifest = {
            "apiVersion": "buildkit-operator.dev/v1alpha1",
            "kind": "BuildKitBuilder",
            "metadata": {"name": name},
            "spec": {"mode": "Shared", **spec},
        }
        return self.post("buildkitbuilders", manifest)

    def edit(self, name: str = "demo", **spec: Any) -> None:
        """Merge fields into a builder's spec; None removes one."""
        self.patch("buildkitbuilders", name, {"spec": spec})

    def create_secret(self, name: str) -> None:
        self.post("secrets", {"metadata": {"name": name}, "stringData": {"ca.crt": "-----BEGIN CERTIFICATE-----"}})

    def create_references(self, spec: Manifest) -> None:
        """Create the Secrets, ConfigMaps and PVCs that a spec names."""
        keys: dict[tuple[Resource, str], set[str]] = {}
        for reference in mounts.references(Daemon.model_validate(spec.get("daemon", {}))):
            keys.setdefault((reference.resource, reference.name), set()).update(reference.keys)
        for (resource, name), wanted in keys.items():
            data = dict.fromkeys(wanted, "-----BEGIN CERTIFICATE-----")
            if resource is PERSISTENT_VOLUME_CLAIM:
                self.create_claim(name)
            else:
                field = "stringData" if resource is SECRET else "data"
                self.post(resource.plural, {"metadata": {"name": name}, field: data})
        if (cache := spec.get("injection", {}).get("localCache")) is not None:
            self.create_claim(cache["claimName"])

    def create_claim(self, name: str) -> None:
        """Create a PVC."""
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        self.post("persistentvolumeclaims", {"metadata": {"name": name}, "spec": claim})

    # What can be seen

    def deployment(self, name: str = "demo") -> Manifest:
        """Return the daemon's Deployment, which must be there."""
        found = self.get("deployments", f"{name}-buildkitd")
        assert found is not None
        return found

    def children(self) -> dict[str, Manifest]:
        """Return every object that says it belongs to a builder, by plural and name."""
        return {
            f"{resource.plural}/{item['metadata']['name']}": item
            for resource in MADE
            for item in self.control_plane.request("GET", self.path(resource.plural))["items"]
            if "buildkit-operator.dev/owner" in item["metadata"].get("labels", {})
        }

    def versions(self) -> dict[str, str]:
        """Return the children's resourceVersions: the same twice means that nobody wrote anything."""
        return {name: child["metadata"]["resourceVersion"] for name, child in self.children().items()}

    def status(self, name: str = "demo") -> Manifest:
        found = self.get("buildkitbuilders", name) or {}
        status: Manifest = found.get("status", {})
        return status

    def condition(self, kind: str = "Ready", name: str = "demo") -> Manifest:
        return condition(self.get("buildkitbuilders", name) or {}, kind)

    def events(self, name: str = "demo") -> list[tuple[str, str]]:
        """Return type and reason of a builder's events, in the order in which they were told."""
        events = self.control_plane.request("GET", f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")[
            "items"
        ]
        about = [event for event in events if event["regarding"]["name"] == name]
        return [(event["type"], event["reason"]) for event in sorted(about, key=lambda event: event["eventTime"])]

    def secret(self, name: str) -> dict[str, str]:
        """Return what a Secret holds, decoded."""
        found = self.get("secrets", name) or {"data": {}}
        return {key: b64decode(value).decode() for key, value in found["data"].items()}

    def set_quota(self, **hard: str) -> None:
        """Limit the namespace by a quota named small, and say what is used, as the quota's controller does."""
        self.post("resourcequotas", {"metadata": {"name": "small"}, "spec": {"hard": hard}})
        found = self.get("resourcequotas", "small") or {}
        found["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}
        self.control_plane.request("PUT", self.path("resourcequotas", "small") + "/status", found)

    def writes(self, mark: int) -> list[Request]:
        """Return what the operator has written here since a mark; events tell, they change nothing."""
        return [request for request in self.written_since(mark) if request.resource != "events"]

    # Waiting

    def wait(self, what: str, probe: Callable[[], T], seconds: float = SECONDS) -> T:
        return wait_for(what, probe, seconds)

    def wait_reason(self, reason: str, name: str = "demo") -> Manifest:
        """Wait until the builder is in a state, of its current spec, and return its Ready condition."""

        def probe() -> Manifest:
            found = self.get("buildkitbuilders", name) or {"metadata": {"generation": -2}}
            ready = condition(found, "Ready")
            seen = ready.get("observedGeneration") == found["metadata"]["generation"]
            return ready if seen and ready["reason"] == reason else {}

        return self.wait(f"{name} is {reason}", probe)

    def wait_at_rest(self) -> None:
        """Wait until the operator has written nothing for a second: on a busy machine it may still be looking."""

        def probe() -> bool:
            mark = self.control_plane.mark()
            time.sleep(1)
            return not self.writes(mark)

        self.wait("nothing more is written", probe)

    def wait_until_injected(self, name: str = "demo") -> None:
        """Wait until pods get the builder: the API server's policies know one a moment after its status tells."""
        spec = {"containers": [{"name": "job", "image": "example.com/job"}]}
        tried = {"metadata": {"name": "try", "labels": {names.BUILDER_LABEL: name}}, "spec": spec}

        def probe() -> bool:
            try:
                pod = self.control_plane.request("POST", self.path("pods") + "?dryRun=All", tried)
            except urllib.error.HTTPError as refused:
                if refused.code not in {HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY}:
                    raise
                return False
            return names.INJECTED_LABEL in pod["metadata"]["labels"]

        self.wait(f"pods get {name}", probe)

    def wait_for_deployment(self, name: str = "demo") -> Manifest:
        return self.wait(f"the Deployment of {name}", lambda: self.get("deployments", f"{name}-buildkitd") or {})

    def make_ready(self, name: str = "demo", plural: str = "deployments", architectures: Sequence[str] = ("",)) -> None:
        """Play the workloads' controller until the builder is ready, whatever still changes meanwhile."""

        def probe() -> bool:
            all_are_settled = True
            for architecture in architectures:
                found = self.get(plural, workload(name, architecture))
                if found is not None and not is_settled(found):
                    self.play_controller(name, plural, architecture)
                all_are_settled &= found is not None and is_settled(found)
            builder = self.get("buildkitbuilders", name) or {"metadata": {}}
            ready = condition(builder, "Ready")
            seen = ready.get("observedGeneration") == builder["metadata"].get("generation")
            # While a rollout goes on it is Ready, too: until the operator has heard of the end of it.
            is_over = not condition(builder, "Reconciling")
            return all_are_settled and seen and is_over and ready["reason"] == "Available"

        self.wait(f"{name} is ready", probe)

    # What controllers and kubelet do: the API server here has none

    def play_controller(
        self, name: str = "demo", plural: str = "deployments", architecture: str = "", **status: Any
    ) -> None:
        """Write a Deployment's or StatefulSet's status; without any, as when all its pods are ready."""
        found = self.get(plural, workload(name, architecture))
        assert found is not None
        wanted = found["spec"]["replicas"]
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        found["status"] = {
            "observedGeneration": found["metadata"]["generation"],
            **dict.fromkeys(counts, wanted),
            **status,
        }
        try:
            self.control_plane.request("PUT", self.path(plural, workload(name, architecture)) + "/status", found)
        except urllib.error.HTTPError as refused:
            if refused.code != HTTPStatus.CONFLICT:
                raise
            # The operator was faster, and so would a real controller have to look again.
            self.play_controller(name, plural, architecture, **status)


def workload(name: str, architecture: str = "") -> str:
    """Return what the workload of a builder's daemons is called."""
    return f"{name}-buildkitd-{architecture}".removesuffix("-")


def is_settled(deployment: Manifest) -> bool:
    """Return whether the Deployment's controller, that is a test, is through with it."""
    status, metadata = deployment.get("status", {}), deployment["metadata"]
    return bool(
        status.get("observedGeneration") == metadata["generation"]
        and status.get("readyReplicas", 0) == status.get("replicas", 0) == deployment["spec"]["replicas"]
    )
