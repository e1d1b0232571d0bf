"""A namespace with Widgets, seen and changed past the operator, as its users do."""

import time
from collections.abc import Callable
from typing import Any, ClassVar

from tests.integration.engine.widgets import widget
from tests.integration.namespace_client import NamespaceClient


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Poll until something holds. Raises AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} seconds"
        time.sleep(0.02)


class Widgets(NamespaceClient):
    """A namespace with Widgets."""

    groups: ClassVar[dict[str, str]] = {"widgets": "/apis/engine.test/v1"}

    def create(self, name: str, value: str, **spec: Any) -> None:
        self.post("widgets", widget(name, value, **spec))

    def edit(self, name: str, value: str) -> None:
        self.patch("widgets", name, {"spec": {"value": value}})

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
