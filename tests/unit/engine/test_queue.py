"""The work queue: nothing lost, nothing done twice, nothing done by two."""

import asyncio
import random
import time
from collections import Counter
from operator import itemgetter

import pytest

from buildkit_operator.engine import queue
from buildkit_operator.engine.queue import WorkQueue


@pytest.fixture
def work() -> WorkQueue[str]:
    return WorkQueue()


async def next_key(work: WorkQueue[str]) -> str:
    return await asyncio.wait_for(work.get(), timeout=10)


async def assert_idle(work: WorkQueue[str]) -> None:
    """Let everything that is due run, and see that no key is handed out."""
    waiting = asyncio.ensure_future(work.get())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_keys_come_in_the_order_they_were_added(work: WorkQueue[str]) -> None:
    for key in "cab":
        work.add(key)

    assert [await next_key(work) for _ in range(3)] == ["c", "a", "b"]


async def test_a_key_added_often_comes_once(work: WorkQueue[str]) -> None:
    for _ in range(3):
        work.add("a")

    assert await next_key(work) == "a"
    work.done("a")
    await assert_idle(work)


async def test_a_key_is_never_handed_to_two(work: WorkQueue[str]) -> None:
    work.add("a")
    await next_key(work)

    work.add("a")

    await assert_idle(work)


async def test_a_key_added_while_worked_on_comes_back_afterwards(work: WorkQueue[str]) -> None:
    work.add("a")
    await next_key(work)
    work.add("a")
    work.add("a")

    work.done("a")

    assert await next_key(work) == "a"
    work.done("a")
    await assert_idle(work)


async def test_a_waiting_worker_gets_the_key_at_once(work: WorkQueue[str]) -> None:
    waiting = asyncio.ensure_future(work.get())
    await asyncio.sleep(0)

    work.add("a")

    assert await asyncio.wait_for(waiting, timeout=10) == "a"


async def test_a_key_asked_for_later_comes_later(work: WorkQueue[str]) -> None:
    work.add_after("late", 0.02)
    work.add("now")

    assert [await next_key(work), await next_key(work)] == ["now", "late"]


async def test_the_earliest_time_asked_for_counts(work: WorkQueue[str]) -> None:
    work.add_after("a", 60)
    work.add_after("a", 0.01)
    work.add_after("a", 60)

    assert await next_key(work) == "a"


async def test_work_on_a_key_serves_what_was_asked_for_later(work: WorkQueue[str]) -> None:
    work.add_after("a", 0.01)
    work.add("a")
    assert await next_key(work) == "a"
    work.done("a")

    await asyncio.sleep(0.02)

    await assert_idle(work)


async def test_after_closing_nothing_comes_up(work: WorkQueue[str]) -> None:
    work.add_after("a", 0.01)

    work.close()
    await asyncio.sleep(0.02)

    await assert_idle(work)


async def test_backoffs_double_up_to_a_minute_and_start_anew_after_success(work: WorkQueue[str]) -> None:
    delays = [work.add_rate_limited("a") for _ in range(12)]
    work.forget("a")
    again = work.add_rate_limited("a")
    work.close()

    nominal = [min(0.5 * 2**failures, 60) for failures in range(12)]
    for delay, expected in zip([*delays, again], [*nominal, 0.5], strict=True):
        assert expected * (1 - queue.JITTER) <= delay <= expected * (1 + queue.JITTER)


async def test_backoffs_of_keys_that_failed_together_differ(work: WorkQueue[str]) -> None:
    delays = {work.add_rate_limited(str(number)) for number in range(20)}
    work.close()

    assert len(delays) > 10


async def test_a_key_that_failed_for_weeks_still_has_a_backoff(work: WorkQueue[str]) -> None:
    delay = max(work.add_rate_limited("a") for _ in range(5000))
    work.close()

    assert delay <= queue.LONGEST_BACKOFF * (1 + queue.JITTER)


async def test_a_server_that_asks_for_more_time_gets_it(work: WorkQueue[str]) -> None:
    assert work.add_rate_limited("a", at_least=7) == 7
    work.close()


async def test_the_length_counts_the_waiting(work: WorkQueue[str]) -> None:
    work.add("a")
    work.add("b")
    await next_key(work)
    work.add("a")

    assert len(work) == 1


async def test_groups_take_turns() -> None:
    queue: WorkQueue[str] = WorkQueue(group=lambda key: key[0])
    for key in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.add(key)

    assert len(queue) == 6
    assert [await queue.get() for _ in range(6)] == ["a1", "b1", "c1", "a2", "c2", "a3"]


async def test_a_group_has_no_more_than_its_part_of_the_workers() -> None:
    queue: WorkQueue[str] = WorkQueue(group=lambda key: key[0], most_of_a_group=2)
    for key in ("a1", "a2", "a3", "b1"):
        queue.add(key)
    taken = [await queue.get() for _ in range(3)]
    assert taken == ["a1", "b1", "a2"]

    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.done("b1")
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(queue) == 1
    queue.add("a1")  # while it is worked on
    queue.done("a1")
    assert await waiting == "a3"
    queue.done("a2")
    assert await queue.get() == "a1"
    for key in ("a3", "a1"):
        queue.done(key)
    assert len(queue) == 0
    assert not queue._ready, "groups without keys are forgotten"


async def test_whatever_the_order_every_key_is_worked_on() -> None:
    queue: WorkQueue[tuple[int, int]] = WorkQueue(group=itemgetter(0), most_of_a_group=3)
    chance, seen, now, most = random.Random(14), set(), Counter[int](), 0

    async def work() -> None:
        nonlocal most
        while True:
            key = await queue.get()
            now[key[0]] += 1
            most = max(most, now[key[0]])
            await asyncio.sleep(chance.random() / 1000)
            seen.add(key)
            now[key[0]] -= 1
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(8)]
    keys = [(chance.randrange(5), number) for number in range(300)]
    for key in keys:
        queue.add(key)
        queue.add(chance.choice(keys))
        if chance.random() < 0.1:
            await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while len(queue) or sum(now.values()):  # noqa: ASYNC110  the queue tells nobody that it is empty
            await asyncio.sleep(0.01)
    for worker in workers:
        worker.cancel()

    assert seen == set(keys)
    assert most == 3
    assert not queue._ready


async def test_a_key_rests_between_its_turns_and_no_news_of_it_is_lost() -> None:
    queue: WorkQueue[str] = WorkQueue(rest=lambda key: 0.05 if key == "crowded" else 0.0)
    queue.add("crowded")
    assert await queue.get() == "crowded"
    queue.add("crowded")  # while it is worked on
    queue.done("crowded")
    ended = time.monotonic()
    queue.add("crowded")
    queue.add("other")

    assert await queue.get() == "other"
    queue.done("other")
    assert len(queue) == 0
    assert await queue.get() == "crowded"
    assert time.monotonic() - ended >= 0.045
    queue.done("crowded")
    await asyncio.sleep(0.06)
    queue.add("crowded")
    assert len(queue) == 1, "it has rested"


async def test_nothing_that_rests_comes_up_after_the_end() -> None:
    queue: WorkQueue[str] = WorkQueue(rest=lambda _key: 0.01)
    queue.add("key")
    queue.done(await queue.get())
    queue.add("key")
    queue.close()

    await asyncio.sleep(0.03)

    assert len(queue) == 0
