"""Drift detection: whether a live object is already as it should be, so that a write can be left out."""

from __future__ import annotations

from typing import Any, Final

from buildkit_operator.kube import quantity

_LIST_KEYS: Final = ("mountPath", "name", "uid", "containerPort", "port", "type")
"""What tells the items of a list apart where the server merges lists; it may add items of its own to those.

The first that all items have: mounts have names too, and several of one volume.
"""

_AMOUNTS: Final = frozenset({"requests", "limits", "sizeLimit"})
"""Fields of a pod that hold quantities."""


def is_within(wanted: Any, live: Any) -> bool:
    """Tell whether all that is wanted is so in live, which may hold more: defaults, and what others manage."""
    if wanted == live:  # as most of it is, which is seen ten times as fast so
        return True
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(_field_is_within(key, value, live) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and _list_is_within(wanted, live)
    return False


def _field_is_within(key: str, value: Any, live: dict[str, Any]) -> bool:
    if key not in live:
        # The server leaves out what is empty. False and 0 it keeps: without them a default would hold.
        return value in ({}, [], "", None)
    if key in _AMOUNTS:
        return _amounts_are_within(value, live[key])
    return is_within(value, live[key])


def _amounts_are_within(wanted: Any, live: Any) -> bool:
    """Tell the same of a quantity, or of several by resource name."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            _amounts_are_within(value, live.get(key)) for key, value in wanted.items()
        )
    return bool(wanted == live) or quantity.is_same(str(wanted), str(live))


def _list_is_within(wanted: list[Any], live: list[Any]) -> bool:
    key = _list_key(wanted)
    if key is None or _list_key(live) != key:
        return len(wanted) == len(live) and all(map(is_within, wanted, live))
    by_key = {item[key]: item for item in live}
    return all(item[key] in by_key and is_within(item, by_key[item[key]]) for item in wanted)


def _list_key(items: list[Any]) -> str | None:
    if not items or not all(isinstance(item, dict) for item in items):
        return None
    return next((key for key in _LIST_KEYS if all(key in item for item in items)), None)
