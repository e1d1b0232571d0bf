"""Who is asked when: a namespace whose daemons are all slow takes no other's turns."""

import asyncio

import pytest

from buildkit_operator.exporter.turns import ScrapeLimits, SharedTurns


async def hold(turns: SharedTurns, namespace: str, holders: list[str]) -> None:
    """Have a turn, and never give it back."""
    async with turns.of(namespace).turn():
        holders.append(namespace)
        await asyncio.Event().wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("concurrency", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("what", ["activity", "disk_usage"])
async def test_one_namespace_never_has_all_turns(concurrency: int, what: str) -> None:
    turns: SharedTurns = getattr(ScrapeLimits(concurrency), what)
    holders: list[str] = []
    tasks = [asyncio.create_task(hold(turns, "slow", holders)) for _ in range(200)]
    await settle()
    assert 0 < holders.count("slow") <= max(1, concurrency // 4)

    tasks.append(asyncio.create_task(hold(turns, "other", holders)))
    await settle()

    assert "other" in holders
    for task in tasks:
        task.cancel()


async def test_all_namespaces_together_have_no_more_than_there_are() -> None:
    turns, holders = ScrapeLimits(16).activity, list[str]()
    tasks = [asyncio.create_task(hold(turns, f"team-{n % 50}", holders)) for n in range(400)]
    await settle()

    assert len(holders) == 16
    for task in tasks:
        task.cancel()


async def test_a_turn_is_given_back() -> None:
    turns = SharedTurns(2)
    for _ in range(10):
        async with turns.of("team").turn():
            pass


def test_a_namespace_is_forgotten_with_its_last_daemon() -> None:
    turns = SharedTurns(16)
    kept = turns.of("kept")
    turns.of("gone")

    assert turns.of("kept") is kept
    assert list(turns._namespaces) == ["kept"]
