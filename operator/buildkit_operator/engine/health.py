"""Health endpoints: /livez and /readyz for the kubelet's probes, and /metrics for Prometheus."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from buildkit_operator.engine.metrics import CommonMetrics

Check: TypeAlias = Callable[[], str | None]
"""Returns in a sentence what is wrong, None where all is well."""


class HealthServer:
    """The HTTP server of one process. That it answers at all proves that the event loop turns."""

    def __init__(self, port: int, metrics: CommonMetrics, check_liveness: Check, check_readiness: Check) -> None:
        """Serve on `port`, 0 for any; the two checks return in a sentence what is wrong, or None."""
        app = web.Application()
        app.router.add_get("/livez", _probe(check_liveness))
        app.router.add_get("/readyz", _probe(check_readiness))
        app.router.add_get("/metrics", _metrics(metrics))
        # A scraper's idle connection must not hold up the end of the process.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        self._port = port

    async def start(self) -> int:
        """Listen on all addresses; return the port. Raises OSError."""
        await self._runner.setup()
        listening = listener(self._port)
        await web.SockSite(self._runner, listening).start()
        port: int = listening.getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close all connections."""
        await self._runner.cleanup()


def listener(port: int) -> socket.socket:
    """Open one socket for both families, so that a free port that is picked is the same in both."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        what = check()
        return web.Response(text=f"{what or 'ok'}\n", status=503 if what else 200)

    return answer


def _metrics(metrics: CommonMetrics) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer
