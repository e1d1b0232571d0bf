"""Builds of shared daemons, as the front in each pod counts them: asked for by HTTP, at the pod's own address."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

import aiohttp

from buildkit_operator.api.shared import METRICS_PORT
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.pages import read_at_most
from buildkit_operator.kube.resources import Manifest

TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
MOST_BYTES: Final = 64 * 1024
"""Of an answer: builds run in the pod."""
MOST_AT_ONCE: Final = 16
_COUNTS: Final = re.compile(r"^buildkit_front_(?:builds|queued) (\d{1,9})$", re.MULTILINE)

logger = logging.getLogger(__name__)


class DaemonBuilds:
    """Asks for the builds of daemons that are ready."""

    def __init__(self, port: int = METRICS_PORT) -> None:
        """Ask at this port."""
        self._port = port

    async def count(self, pods: Iterable[Manifest]) -> Mapping[str, int | None]:
        """Return how many builds run or wait at each daemon, by its pod's name; None where it does not tell.

        One that is not ready has none yet, and one that is about to end takes no more: neither is asked.
        """
        ready = [pod for pod in pods if _is_serving(pod)]
        if not ready:
            return {}
        turn = asyncio.Semaphore(MOST_AT_ONCE)
        async with aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session:
            counts = await asyncio.gather(*(self._ask(session, turn, pod) for pod in ready))
        return {pod["metadata"]["name"]: count for pod, count in zip(ready, counts, strict=True)}

    async def _ask(self, session: aiohttp.ClientSession, turn: asyncio.Semaphore, pod: Manifest) -> int | None:
        address = str(pod["status"].get("podIP") or "")
        host = f"[{address}]" if ":" in address else address
        try:
            async with turn, session.get(f"http://{host}:{self._port}/front", allow_redirects=False) as response:
                answer = await read_at_most(response, MOST_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            logger.debug("Pod %s does not tell its builds: %s", pod["metadata"]["name"], error)
            return None
        counts = _COUNTS.findall((answer or b"").decode(errors="replace"))
        return sum(map(int, counts)) if response.status == 200 and counts else None


def _is_serving(pod: Manifest) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready").get("status") == "True"
