"""A client of one namespace that goes past the operator, with the rights of an admin."""

import urllib.error
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from buildkit_operator.kube.resources import Manifest
from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane


@dataclass(frozen=True)
class NamespaceClient:
    """One namespace of an API server."""

    control_plane: ControlPlane
    namespace: str

    groups: ClassVar[dict[str, str]] = {}
    """Where resources that are not in the core group are served, by plural."""

    def path(self, plural: str, name: str = "") -> str:
        prefix = self.groups.get(plural, "/api/v1")
        return f"{prefix}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def get(self, plural: str, name: str) -> Manifest | None:
        try:
            found: Manifest = self.control_plane.request("GET", self.path(plural, name))
        except urllib.error.HTTPError as refused:
            if refused.code != HTTPStatus.NOT_FOUND:
                raise
            return None
        return found

    def post(self, plural: str, manifest: Manifest) -> Manifest:
        created: Manifest = self.control_plane.request("POST", self.path(plural), manifest)
        return created

    def patch(self, plural: str, name: str, change: Manifest, subresource: str = "") -> None:
        """Merge a change into an object, or into its status by that subresource."""
        path = self.path(plural, name) + (f"/{subresource}" if subresource else "")
        self.control_plane.request("PATCH", path, change)

    def delete(self, plural: str, name: str) -> None:
        self.control_plane.request("DELETE", self.path(plural, name))

    def kubectl(self, *arguments: str) -> str:
        return self.control_plane.kubectl(f"--namespace={self.namespace}", *arguments)

    def written_since(self, mark: int) -> list[Request]:
        """Return what the operator has written here; the Lease is alive by being written."""
        return [
            request
            for request in self.control_plane.audit(mark)
            if request.writes
            and request.user_agent.startswith("buildkit-operator")
            and request.namespace == self.namespace
            and request.resource != "leases"
        ]
