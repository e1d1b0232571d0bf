"""An HTTP client for polling: it reads from the API server over kept connections, where kubectl takes a process a call.

Tests ask the same question several times a second; as processes that is most of what a small machine can do.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from kubernetes.config import new_client_from_config
from urllib3.exceptions import HTTPError

_DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_SECONDS: Final = 60


class ReadError(Exception):
    """The API server refused; the message is its sentence, in kubectl's form."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"Error from server ({reason}): {message}")
        self.reason = reason


class UnknownKindError(Exception):
    """The API server serves no resource of this name."""


@dataclass(frozen=True)
class _Resource:
    """Where objects of a kind are served."""

    prefix: str
    plural: str
    namespaced: bool


class ApiReader:
    """Reads of one API server, with the credentials of a kubeconfig. Threads may share it."""

    def __init__(self, kubeconfig: Path) -> None:
        self._client = new_client_from_config(str(kubeconfig), persist_config=False)  # type: ignore[no-untyped-call]
        self._resources: dict[str, _Resource] = {}

    def read(self, path: str, accept: str = "application/json") -> str:
        """Return what is served at a path. Raises ReadError."""
        configuration = self._client.configuration
        headers = {"Accept": accept}
        for setting in configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        pool = self._client.rest_client.pool_manager
        try:
            answer = pool.request("GET", configuration.host + path, headers=headers, timeout=_SECONDS)
        except HTTPError as problem:
            raise ReadError("NoAnswer", str(problem)) from problem
        text: str = answer.data.decode()
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer.status, text)
        return text

    def get(self, kind: str, namespace: str, name: str = "", **selectors: str) -> Any:
        """Return an object or a list as the API server has it. The kind is named in any way that kubectl knows.

        Raises ReadError, and UnknownKindError.
        """
        found = self._resource(kind)
        within = f"/namespaces/{namespace or 'default'}" if found.namespaced else ""
        path = f"{found.prefix}{within}/{found.plural}" + (f"/{name}" if name else "")
        return json.loads(self.read(f"{path}?{urlencode(selectors)}" if selectors else path))

    def _resource(self, kind: str) -> _Resource:
        if kind not in self._resources:
            # Again for a kind that was not served before: its CRD may have come since.
            self._resources = dict(_discovered(self))
        try:
            return self._resources[kind]
        except KeyError:
            raise UnknownKindError(kind) from None


@lru_cache(maxsize=32)
def _reader(kubeconfig: Path, _content: bytes) -> ApiReader:
    return ApiReader(kubeconfig)


def reader(kubeconfig: Path) -> ApiReader:
    """Return the reader of a kubeconfig, the same one as long as the file does not change."""
    return _reader(kubeconfig, kubeconfig.read_bytes())


def _refusal(status: int, text: str) -> ReadError:
    try:
        said = json.loads(text)
        return ReadError(said["reason"], said["message"])
    except (ValueError, KeyError, TypeError):
        return ReadError(str(status), text.strip())


def _discovered(api: ApiReader) -> Iterator[tuple[str, _Resource]]:
    """Yield every name of every resource; of two with one name, the one that kubectl takes comes last."""
    groups = [item for path in ("/apis", "/api") for item in _items(api, path)]
    # Kubernetes' own groups win over those of others, and the core group, which has no name, over all.
    for group in sorted(groups, key=lambda group: "." in group["metadata"].get("name", ""), reverse=True):
        name = group["metadata"].get("name", "")
        for version in reversed(group["versions"]):
            prefix = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
            for resource in version["resources"]:
                yield from _named(resource, name, prefix)


def _items(api: ApiReader, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(api.read(path, _DISCOVERY))["items"]
    return found


def _named(resource: Mapping[str, Any], group: str, prefix: str) -> Iterator[tuple[str, _Resource]]:
    plural = resource["resource"]
    found = _Resource(prefix, plural, resource["scope"] == "Namespaced")
    for name in (plural, resource.get("singularResource"), *resource.get("shortNames", ())):
        if name:
            yield name, found
            yield f"{name}.{group}", found
