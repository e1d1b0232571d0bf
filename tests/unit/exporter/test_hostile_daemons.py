"""Whatever a daemon sends, it costs a sentence: bounded in time and memory, and the event loop goes on turning."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.exporter.buildkit_client import Activity, BuildKitClient, DaemonError, DiskUsage
from tests.support.hostile_daemons import GOOD, HOST, KINDS, MIB, hostile_daemons

SECONDS: Final = 1
LONGEST_GAP: Final = 0.5
"""In seconds: other tests run beside this one. What was mended stood still for hours."""
MOST_MEMORY: Final = 40 * MIB

HARMLESS: Final = {GOOD, "huge-number", "negative", "absurd", "text-for-number", "many-workers"}
"""Of these, something has an answer that is as it should be."""


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with hostile_daemons() as found:
        yield found


def resident() -> int:
    """Return how much memory this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """Yield the longest time in which the event loop did not turn, in seconds, kept up to date."""
    longest = [0.0]

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest[0], last = max(longest[0], now - last), now

    task = asyncio.create_task(tick())
    try:
        yield longest
    finally:
        task.cancel()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("question", ["activity", "disk_usage"])
async def test_an_answer_is_a_sentence_or_makes_sense(ports: dict[str, int], kind: str, question: str) -> None:
    client, before, began = BuildKitClient((HOST, ports[kind]), None), resident(), time.monotonic()

    async with ticking() as longest_gap:
        try:
            answer: object = await getattr(client, question)(SECONDS)
        except DaemonError as error:
            answer = error

    if isinstance(answer, DaemonError):
        assert re.fullmatch(r"\w.{10,260}", str(answer))
        assert str(answer).isprintable()
    else:
        assert kind in HARMLESS
    assert time.monotonic() - began < SECONDS + LONGEST_GAP
    assert longest_gap[0] < LONGEST_GAP
    assert resident() - before < MOST_MEMORY


async def test_a_good_daemon_is_understood(ports: dict[str, int]) -> None:
    client = BuildKitClient((HOST, ports[GOOD]), None)

    assert await client.activity(SECONDS) == Activity(workers=1, active_builds=0)
    assert await client.disk_usage(SECONDS) == DiskUsage(used=1000, reclaimable=1000)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("huge-number", "its answer cannot be read: an integer has more than 64 bits"),
        ("negative", "its answer cannot be read: a size that no cache has"),
        ("absurd", "its answer cannot be read: a size that no cache has"),
        ("text-for-number", "its answer cannot be read: a size that no cache has"),
        ("too-long", "its answer cannot be read: an answer of more than 8388608 bytes"),
        ("endless", "its answer cannot be read: more frames than an answer takes"),
        ("bomb", "its answer cannot be read: a compressed message, which nobody asked for"),
        ("continuation", "its answer cannot be read: no HTTP/2: ProtocolError"),
        ("pings", "its answer cannot be read: more frames than an answer takes"),
        ("trickle", "no answer within 5 seconds"),
    ],
)
async def test_the_sentence_says_what_is_wrong(ports: dict[str, int], kind: str, said: str) -> None:
    with pytest.raises(DaemonError, match=re.escape(said)):
        await BuildKitClient((HOST, ports[kind]), None).disk_usage(5)
