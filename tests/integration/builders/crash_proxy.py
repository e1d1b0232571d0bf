"""A proxy that makes of one process that is killed as many as there are writes at which it can be killed."""

import asyncio
import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from hack.cluster.controlplane import ControlPlane
from tests.integration.engine.proxy import FaultProxy

NAMESPACE: Final = re.compile(r"/namespaces/([^/]+)/")


@dataclass
class Crash:
    """Which of its writes some builders' operator dies in: neither that one nor a later one reaches the API server.

    For the API server that is the same as if it had died once the write before had landed, its answer not seen: what
    the process knows of either dies with it.
    """

    at: float
    """The number of the write; infinity for never."""
    sent: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether the operator has come that far."""
        return self.sent >= self.at


class CrashProxy(FaultProxy):
    """Keeps from the API server what the operator writes after the crash of the namespace that it writes to.

    For the API server, and so for the successor, the operator is dead there from that write on. The process is killed
    when it is so everywhere; what it has learned until then dies with it.
    """

    def __init__(self, control_plane: ControlPlane, crashes: dict[str, Crash]) -> None:
        """Have the operator crash at the `crashes` of namespaces, some of which may share one."""
        super().__init__(control_plane)
        self._crashes = crashes

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        found = NAMESPACE.search(request.path)
        crash = self._crashes.get(found[1]) if found else None
        if crash is None or request.method == "GET" or "dryRun" in request.query:
            return await super()._pass_on(request)
        crash.sent += 1
        if not crash.is_over:
            return await super()._pass_on(request)
        if "/events.k8s.io/" in request.path and request.transport is not None:
            # One that waited would keep those of other namespaces back.
            request.transport.abort()
        await asyncio.Event().wait()
        raise AssertionError
