"""Which paths are taken for the API server's."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from buildkit_operator.webhook import secret_path
from buildkit_operator.webhook.secret_path import LEARN_SECONDS, SecretPaths

START: Final = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)


class Clock:
    """A clock that is set."""

    now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def paths(clock: Clock) -> SecretPaths:
    paths = SecretPaths(clock)
    paths.learn(b"key")
    return paths


def test_every_replica_has_the_same_path_within_an_hour(paths: SecretPaths) -> None:
    other = SecretPaths(lambda: START + HOUR / 3)
    other.learn(b"key")

    assert other.current() == paths.current()
    assert paths.seconds_left() == 1800
    assert len(paths.current()) == 64


@pytest.mark.parametrize(("hours", "is_known"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_path_is_known_for_the_hours_beside_its_own(
    clock: Clock, paths: SecretPaths, hours: int, *, is_known: bool
) -> None:
    path = f"/{paths.current()}/label"
    clock.now = START + hours * HOUR

    assert paths.knows(path) is is_known
    assert paths.knows(f"/{paths.current()}/label")


def test_the_path_of_the_authority_before_is_known_until_the_next(paths: SecretPaths) -> None:
    before = f"/{paths.current()}/label"
    paths.learn(b"second")
    paths.learn(b"second")

    assert paths.knows(before)
    assert paths.current() not in before
    paths.learn(b"third")
    assert not paths.knows(before)


@pytest.mark.parametrize("path", ["", "/", "label", "/label", "*", "//", "/\u1234/label", "/x" * 1000])
def test_other_paths_are_not(paths: SecretPaths, path: str) -> None:
    assert not paths.knows(path)
    assert not paths.knows(f"/x{paths.current()}/label")
    assert not paths.knows(f"x/x/{paths.current()}/label")


def test_before_a_key_is_known_nothing_is() -> None:
    assert not SecretPaths(lambda: START).knows("/label")


async def test_a_path_of_a_key_that_another_replica_has_just_made_is_known_once_it_is_learnt() -> None:
    paths, other = SecretPaths(lambda: START), SecretPaths(lambda: START)
    paths.learn(b"old")
    other.learn(b"new")

    asked = asyncio.create_task(paths.knows_soon(f"/{other.current()}/label"))
    await asyncio.sleep(0)
    assert not asked.done()
    paths.learn(b"new")

    async with asyncio.timeout(LEARN_SECONDS / 2):
        assert await asked


async def test_a_path_of_nobodys_is_waited_for_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_path, "LEARN_SECONDS", 0.01)
    paths = SecretPaths(lambda: START)
    paths.learn(b"key")

    assert not await paths.knows_soon("/label")
