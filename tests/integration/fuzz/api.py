"""An API server as the fuzz test asks it: bodies that Python could not write, many requests at a time, one watch."""

import asyncio
import io
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from buildkit_operator.kube.decoding import decode
from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ADMIN_TOKEN, ControlPlane

BUILDERS: Final = "/apis/buildkit-operator.dev/v1alpha1/namespaces/{}/buildkitbuilders"
WATCH: Final = "/apis/buildkit-operator.dev/v1alpha1/buildkitbuilders?watch=1"
JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"
_DEEP: Final = re.compile(r'"@(list|map|fields)@(\d+)@"')


def body(value: Any) -> bytes:
    """Return a value as JSON, with `@list@1000@` as a list that deep: Python's own encoder has a limit."""
    text = json.dumps(value)
    return _DEEP.sub(lambda found: _nested(found[1], int(found[2])), text).encode()


def _nested(kind: str, depth: int) -> str:
    opening, inmost, closing = {"list": ("[", "", "]"), "map": ('{"a":', "1", "}"), "fields": ('{"f:a":', "{}", "}")}[
        kind
    ]
    return opening * depth + inmost + closing * depth


@dataclass(frozen=True)
class Answer:
    """What the API server says to one request."""

    code: int
    content: Manifest

    @property
    def message(self) -> str:
        return str(self.content.get("message", ""))


@dataclass
class Api:
    """All requests of the test, as an admin."""

    url: str
    session: aiohttp.ClientSession
    tls: ssl.SSLContext
    requests: int = 0
    seen: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    """The builders as the watch has them, by namespace and name."""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def ask(self, method: str, path: str, content: Any = None, kind: str = JSON) -> Answer:
        self.requests += 1
        # A file, as aiohttp warns of large texts.
        data = None if content is None else io.BytesIO(body(content))
        headers = {"Content-Type": kind}
        async with self.session.request(method, self.url + path, data=data, headers=headers, ssl=self.tls) as answer:
            text = await answer.read()
        try:
            return Answer(answer.status, decode(text))
        except ValueError:
            return Answer(answer.status, {"message": text.decode(errors="replace")})

    async def wait(
        self, namespace: str, name: str, probe: Callable[[Manifest], bool], seconds: float
    ) -> Manifest | None:
        """Return a builder as soon as it is as wanted; None when it is not in time."""
        key = (namespace, name)
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: key in self.seen and probe(self.seen[key]))
        except TimeoutError:
            # The watch may be behind; the API server is not.
            answer = await self.ask("GET", f"{BUILDERS.format(namespace)}/{name}")
            return answer.content if answer.code == 200 and probe(answer.content) else None
        return self.seen[key]

    async def watch(self) -> None:
        """Follow the builders until cancelled."""
        while True:
            rest = b""
            self.seen.clear()
            async with self.session.get(self.url + WATCH, ssl=self.tls) as answer:
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        self._take(decode(line))
                    async with self._news:
                        self._news.notify_all()

    def _take(self, event: Manifest) -> None:
        found = event["object"]
        if event["type"] == "ERROR":
            return
        key = (found["metadata"]["namespace"], found["metadata"]["name"])
        if event["type"] == "DELETED":
            self.seen.pop(key, None)
        else:
            self.seen[key] = found


@asynccontextmanager
async def connected(control_plane: ControlPlane) -> AsyncIterator[Api]:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    tls = control_plane.tls()
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=2**22) as session:
        api = Api(control_plane.url, session, tls)
        watch = asyncio.create_task(api.watch())
        try:
            yield api
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            # Without a goodbye, for which it would not wait; a transport is gone a turn after it was aborted.
            assert session.connector
            await session.connector.close(abort_ssl=True)
            await asyncio.sleep(0.1)
