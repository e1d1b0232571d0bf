"""A reader of the API server's audit log, so that tests can count and name the requests that somebody made."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

# One line a request: a watch when it begins, the rest when answered. What the server asks itself is left out.
POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "Metadata", "verbs": ["watch"], "omitStages": ["RequestReceived", "ResponseComplete"]},
        {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]},
    ],
}

WRITE_VERBS: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One request that the API server answered."""

    verb: str
    uri: str
    user: str
    user_agent: str
    code: int
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    received: float = 0.0
    """When it came, in seconds since 1970."""
    answered: float = 0.0
    """When it was answered, or a watch began."""

    @property
    def writes(self) -> bool:
        """Return whether the request could change what is stored; a dry run cannot."""
        return self.verb in WRITE_VERBS and "dryRun=All" not in self.uri


def read(log: Path, offset: int) -> list[Request]:
    """Return the requests logged from this byte on, in the order of their answers."""
    with log.open("rb") as file:
        file.seek(offset)
        lines = file.read().split(b"\n")
    # What follows the last line end is a line that is being written, or nothing.
    return [_request(json.loads(line)) for line in lines[:-1]]


def _request(event: dict[str, Any]) -> Request:
    target = event.get("objectRef", {})
    return Request(
        verb=event["verb"],
        uri=event["requestURI"],
        user=event["user"].get("username", ""),
        user_agent=event.get("userAgent", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        received=_seconds(event["requestReceivedTimestamp"]),
        answered=_seconds(event["stageTimestamp"]),
    )


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
