"""Clients that ask little of the machine: one kept connection, and a watch of all builders."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, Self
from urllib.parse import urlsplit

from buildkit_operator.api import names
from buildkit_operator.kube.resources import Key, Manifest
from hack.bench.scale.fleet import PREFIX, Reached, is_ready
from hack.cluster.controlplane import ControlPlane

LONGEST_SECONDS: Final = 3600
READY_SECONDS: Final = 300


class Connection:
    """One connection to an API server, as its administrator."""

    def __init__(self, control_plane: ControlPlane) -> None:
        address = urlsplit(control_plane.url)
        assert address.hostname
        self._connection = http.client.HTTPSConnection(
            address.hostname, address.port, timeout=READY_SECONDS, context=control_plane.tls()
        )
        self._headers = {"Authorization": f"Bearer {control_plane.token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Manifest | None = None) -> Any:
        """Return the answer as an object. Raises AssertionError for a refusal."""
        answer = self._send(method, path, body)
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text)

    def watch(self, path: str) -> Iterator[Manifest]:
        """Yield the events of a watch until it is closed."""
        answer = self._send("GET", path)
        assert answer.status == 200, answer.read()
        while line := answer.readline():
            yield json.loads(line)

    def close(self) -> None:
        """End it, also under whoever reads from it."""
        self._connection.close()

    def _send(self, method: str, path: str, body: Manifest | None = None) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, self._headers)
        return self._connection.getresponse()


def seconds_to_ready(control_plane: ControlPlane, namespace: str, manifest: Manifest) -> float:
    """Create a builder, and return how long it took to be ready, as a watch tells."""
    with closing(Connection(control_plane)) as creator, closing(Connection(control_plane)) as watcher:
        creator.ask("GET", "/version")  # connected by now
        started = time.perf_counter()
        version = creator.ask("POST", names.BUILDER.path(namespace), manifest)["metadata"]["resourceVersion"]
        selector = f"metadata.name%3D{manifest['metadata']['name']}"
        query = f"?watch=1&resourceVersion={version}&fieldSelector={selector}"
        for event in watcher.watch(names.BUILDER.path(namespace) + query):
            if is_ready(event["object"]):
                return time.perf_counter() - started
    raise AssertionError(f"{manifest['metadata']['name']} was not ready when its watch ended")


class BuilderWatch:
    """Watches the builders of a fleet in the background, and knows how many have got how far."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._reached: set[Key] = set()
        self._test: Reached = is_ready
        self._changed = threading.Condition()
        self._version = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="builders", daemon=True)

    def __enter__(self) -> Self:
        connection = Connection(self._control_plane)
        self._version = connection.ask("GET", f"{names.BUILDER.path()}?limit=1")["metadata"]["resourceVersion"]
        connection.close()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def expect(self, reached: Reached) -> None:
        """Count, from now on, the builders of which this is true, by news of them alone."""
        with self._changed:
            self._test, self._reached = reached, set()

    def wait(self, count: int, seconds: float = LONGEST_SECONDS) -> float:
        """Wait until so many are as expected, and return when that was, see time.monotonic."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._reached) >= count or not self._thread.is_alive(), seconds)
            assert len(self._reached) >= count, f"{len(self._reached)} of {count} builders within {seconds:.0f} seconds"
            return time.monotonic()

    def _run(self) -> None:
        try:
            self._watch()
        finally:
            with self._changed:
                self._changed.notify_all()

    def _watch(self) -> None:
        while not self._stop.is_set():
            query = f"?watch=1&allowWatchBookmarks=1&resourceVersion={self._version}"
            with closing(Connection(self._control_plane)) as connection:
                for event in connection.watch(names.BUILDER.path() + query):
                    if self._stop.is_set():
                        return
                    self._take(event)

    def _take(self, event: Manifest) -> None:
        metadata = event["object"]["metadata"]
        self._version = metadata["resourceVersion"]
        if event["type"] in {"ADDED", "MODIFIED"} and metadata["name"].startswith(PREFIX):
            with self._changed:
                change = self._reached.add if self._test(event["object"]) else self._reached.discard
                change((metadata["namespace"], metadata["name"]))
                self._changed.notify_all()
