"""What kopf is told to do, and that it meets only errors that it survives."""

from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.kopf_adapter import Backoffs, KopfWatches, RetryLater, retryable
from buildkit_operator.engine.kopf_answers import ListAnew
from buildkit_operator.kube.auth import Connection, NotAuthenticated, TokenFile


class Answer:
    def __init__(self, status: int) -> None:
        self.status = status
        self.released = False
        self.url = URL("https://127.0.0.1/api/v1/configmaps")

    def release(self) -> None:
        self.released = True

    async def send(self, _request: Any) -> Any:
        return self


@pytest.fixture
def watches(tmp_path: Path) -> KopfWatches:
    connection = Connection("https://127.0.0.1:1", TokenFile(tmp_path / "token"))
    return KopfWatches(connection, BUILDERS, (), lambda *_: None, lambda *_: False, {})


def test_backoffs_have_no_end_and_are_never_long() -> None:
    backoffs = list(islice(Backoffs(), 1000))

    assert backoffs[:4] == [0.5, 1.0, 2.0, 3.0]
    assert all(4 <= seconds <= 6 for seconds in backoffs[4:])


def test_the_server_filters_everything_but_builders(watches: KopfWatches) -> None:
    settings = watches._settings()

    for resource in BUILDERS.all:
        kind = (resource.group, resource.version, resource.plural)
        filtered = kind in settings.watching.label_selectors
        assert filtered is (resource != BUILDERS.primary)


def test_kopf_writes_and_asks_for_nothing_of_its_own(watches: KopfWatches) -> None:
    settings = watches._settings()

    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled


@pytest.mark.parametrize(
    ("status", "error", "kopf_survives"),
    [
        pytest.param(404, RetryLater, aiohttp.ClientConnectionError, id="it tries these again for ever"),
        pytest.param(410, ListAnew, aiohttp.ClientPayloadError, id="it lists anew after these"),
    ],
)
async def test_an_answer_that_would_end_kopf_becomes_an_error_that_it_survives(
    status: int, error: type[Exception], kopf_survives: type[Exception]
) -> None:
    answer: Any = Answer(status)

    with pytest.raises(error) as raised:
        await retryable(answer, answer.send)

    assert isinstance(raised.value, kopf_survives)
    assert answer.released


async def test_a_refused_credential_is_tried_again() -> None:
    async def send(_request: Any) -> Any:
        raise NotAuthenticated("The API server does not accept our credential (401).")

    request: Any = Answer(401)
    with pytest.raises(aiohttp.ClientConnectionError, match="401"):
        await retryable(request, send)


@pytest.mark.parametrize("status", [200, 403, 500])
async def test_any_other_answer_is_kopfs_own_affair(status: int) -> None:
    answer: Any = Answer(status)

    sent: Any = await retryable(answer, answer.send)

    assert sent is answer
    assert not answer.released
