"""JSON Patch (RFC 6902) operations that add, also to a list or map that is not there yet."""

from __future__ import annotations

from typing import Any

Operation = dict[str, Any]
Patch = list[Operation]


def add(path: str, value: Any) -> Operation:
    """Return the operation that adds a value; one that is there already is replaced."""
    return {"op": "add", "path": path, "value": value}


def extend(path: str, present: list[Any], items: list[Any]) -> Patch:
    """Return what appends items to the list at a path, which is absent where nothing is present."""
    if not items:
        return []
    return [add(f"{path}/-", item) for item in items] if present else [add(path, items)]


def set_entries(path: str, present: dict[str, str], entries: dict[str, str]) -> Patch:
    """Return what sets entries of the map at a path, which is absent where nothing is present."""
    return [add(f"{path}/{key(name)}", value) for name, value in entries.items()] if present else [add(path, entries)]


def remove_entry(path: str, name: str) -> Operation:
    """Return the operation that takes an entry out of the map at a path."""
    return {"op": "remove", "path": f"{path}/{key(name)}"}


def key(name: str) -> str:
    """Write a map's key as it stands in a path (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
