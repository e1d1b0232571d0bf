"""A namespace with Widgets, seen and changed past the operator, as its users do."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane
from tests.integration.engine.widgets import widget


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Poll until something holds. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.02)


@dataclass(frozen=True)
class World:
    control_plane: ControlPlane
    namespace: str

    def path(self, plural: str, name: str = "") -> str:
        prefix = "/apis/engine.test/v1" if plural == "widgets" else "/api/v1"
        return f"{prefix}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, name: str, value: str, **spec: Any) -> None:
        self.control_plane.request("POST", self.path("widgets"), widget(name, value, **spec))

    def edit(self, name: str, value: str) -> None:
        self.patch("widgets", name, {"spec": {"value": value}})

    def patch(self, plural: str, name: str, change: dict[str, Any]) -> None:
        # ControlPlane.request knows no patches.
        address = f"patch {plural} {name} --type=merge --patch".split()
        self.control_plane.kubectl(f"--namespace={self.namespace}", *address, json.dumps(change))

    def delete(self, plural: str, name: str) -> None:
        self.control_plane.request("DELETE", self.path(plural, name))

    def get(self, plural: str, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.control_plane.request("GET", self.path(plural, name))
        except urllib.error.HTTPError as refusal:
            if refusal.code != 404:
                raise
            return None
        return found

    def value(self, name: str) -> str | None:
        """Return what the Widget's ConfigMap holds."""
        value: str | None = ((self.get("configmaps", name) or {}).get("data") or {}).get("value")
        return value

    def seen(self, name: str) -> str | None:
        """Return what the Widget's status says."""
        seen: str | None = ((self.get("widgets", name) or {}).get("status") or {}).get("seen")
        return seen

    def all_seen(self, value: str, count: int) -> bool:
        """Return whether this many Widgets are done with that value."""
        items: list[dict[str, Any]] = self.control_plane.request("GET", self.path("widgets"))["items"]
        return [item.get("status", {}).get("seen") for item in items] == [value] * count

    def notes(self) -> list[str]:
        """Return the sentences of all events."""
        return [event["message"] for event in self.control_plane.request("GET", self.path("events"))["items"]]

    def writes_since(self, mark: int) -> list[Request]:
        """Return what the operator has written here; the Lease is alive by being written."""
        return [
            request
            for request in self.control_plane.audit(mark)
            if request.writes
            and request.user_agent.startswith("buildkit-operator")
            and request.namespace == self.namespace
            and request.resource != "leases"
        ]
