"""Objects are taken out of what kopf is answered, whatever came from the API server; nothing of it ends kopf."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest
from yarl import URL

from buildkit_operator.api import names
from buildkit_operator.engine import kopf_answers
from buildkit_operator.engine.kopf_answers import LIST_ANEW, KopfAnswer, KopfAnswers, ListAnew
from buildkit_operator.kube.pages import PAGE_BYTES
from buildkit_operator.kube.resources import CONFIG_MAP, Key, Manifest, Resource
from buildkit_operator.kube.unreadable import UnreadableObjects

PATH = CONFIG_MAP.path()
DEEP = '{"f:a":' * 9_900 + "{}" + "}" * 9_900


def config_map(name: str = "one", *, owned: bool = True, **data: str) -> Manifest:
    metadata: Manifest = {"name": name, "namespace": "ci", "uid": name, "resourceVersion": "5"}
    metadata["labels"] = {names.OWNER_LABEL: "main"}
    if owned:
        owner = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "main", "uid": "u", "controller": True}
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def with_depth(manifest: Manifest) -> bytes:
    """Return the object with a record of who wrote it that Python cannot decode."""
    text = json.dumps(manifest)
    return text.replace('"metadata": {', f'"metadata": {{"managedFields":[{{"fieldsV1":{DEEP}}}],', 1).encode()


Taken = list[tuple[Resource, str | None, Manifest]]


@pytest.fixture
def taken() -> Taken:
    return []


@pytest.fixture
def answers(taken: Taken) -> KopfAnswers:
    return KopfAnswers({PATH: CONFIG_MAP}, lambda *event: taken.append(event), is_known, UnreadableObjects())


def is_known(resource: Resource, key: Key, uid: str, version: int) -> bool:
    """Tell so of what these tests call known, up to a version."""
    return (resource, key, uid) == (CONFIG_MAP, ("ci", "known"), "known") and version <= 5


def names_of(taken: Taken) -> list[tuple[str | None, str]]:
    """Return the type of each event, and the name of its object."""
    return [(event_type, manifest["metadata"]["name"]) for _, event_type, manifest in taken]


class Content:
    """What is left to read of an answer, in pieces as the network brings it."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.at_eof = True

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def iter_any(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


class Answer:
    """An answer of aiohttp's, as far as it is asked."""

    def __init__(self, *pieces: bytes, status: int = 200) -> None:
        self.content: Any = Content(*pieces)
        self.status = status
        self.page: Any = None
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Request:
    def __init__(self, **query: str) -> None:
        self.url = URL("https://127.0.0.1:6443" + PATH).with_query(query)


async def watched(answers: KopfAnswers, *pieces: bytes) -> list[Any]:
    """Return the events that kopf reads."""
    answer = Answer(*pieces)

    async def send(_: Any) -> Any:
        return answer

    await answers(cast("Any", Request(watch="true")), send)
    return [json.loads(line) async for line in answer.content.iter_chunked(1)]


def line(event_type: str, manifest: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (event_type.encode(), manifest)


async def test_a_deep_object_is_taken_in_and_so_are_the_others(
    answers: KopfAnswers, taken: Taken, caplog: pytest.LogCaptureFixture
) -> None:
    await watched(
        answers,
        line("ADDED", json.dumps(config_map("first")).encode()),
        line("MODIFIED", with_depth(config_map("bomb"))),
        line("DELETED", json.dumps(config_map("last")).encode()),
    )

    assert names_of(taken) == [("ADDED", "first"), ("MODIFIED", "bomb"), ("DELETED", "last")]
    assert {resource for resource, _, _ in taken} == {CONFIG_MAP}
    assert "ConfigMap bomb of namespace ci" in caplog.text


async def test_kopf_gets_the_version_from_which_to_watch_on(answers: KopfAnswers, taken: Taken) -> None:
    (event,) = await watched(answers, line("ADDED", json.dumps(config_map(toml="x" * 100_000)).encode()))

    assert event == {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "5"}}}
    assert taken == [(CONFIG_MAP, "ADDED", config_map(toml="x" * 100_000))]


def as_go_writes(name: str, version: int) -> bytes:
    """Return an object as the API server encodes one of Kubernetes' own kinds."""
    kind = f'"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"ci"'
    return f'{{{kind},"uid":"{name}","resourceVersion":"{version}"}},"data":{{}}}}'.encode()


async def test_old_news_is_not_even_decoded(
    answers: KopfAnswers, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []

    def decode(line: bytes) -> Any:
        decoded.append(line)
        return json.loads(line)

    monkeypatch.setattr(kopf_answers, "decode", decode)

    events = await watched(
        answers,
        line("MODIFIED", as_go_writes("known", 5)),
        line("MODIFIED", as_go_writes("known", 6)),
        line("DELETED", as_go_writes("known", 5)),
        line("ADDED", as_go_writes("other", 5)),
    )

    assert names_of(taken) == [("MODIFIED", "known"), ("DELETED", "known"), ("ADDED", "other")]
    assert [event["object"]["metadata"]["resourceVersion"] for event in events] == ["5", "6", "5", "5"]
    assert len(decoded) == 3


async def test_events_are_whole_however_they_come(answers: KopfAnswers, taken: Taken) -> None:
    whole = line("ADDED", json.dumps(config_map("one")).encode()) + line("ADDED", with_depth(config_map("two")))

    await watched(answers, *(whole[at : at + 1000] for at in range(0, len(whole), 1000)), b'{"type":"ADD')

    assert names_of(taken) == [("ADDED", "one"), ("ADDED", "two")]


async def test_an_event_that_is_too_long_is_named_and_left_out(
    answers: KopfAnswers, taken: Taken, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kopf_answers, "MAX_BYTES", 10_000)
    long = (
        b'{"type":"ADDED","object":{"metadata":{"name":"bomb","namespace":"team","labels":"' + b"x" * 50_000 + b'"}}}\n'
    )
    after = line("ADDED", json.dumps(config_map("one")).encode())

    await watched(answers, *(long[at : at + 3000] for at in range(0, len(long), 3000)), after)

    assert names_of(taken) == [("ADDED", "one")]
    assert "ConfigMap bomb of namespace team" in caplog.text


async def test_a_bookmark_is_one_for_kopf_too(answers: KopfAnswers, taken: Taken) -> None:
    bookmark = {"type": "BOOKMARK", "object": {"kind": "ConfigMap", "metadata": {"resourceVersion": "9"}}}

    (event,) = await watched(answers, json.dumps(bookmark).encode() + b"\n")

    assert event == {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    assert taken == []


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n', logging.DEBUG),
        (b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"cannot decode"}}\n', logging.WARNING),
        (b"<html>\n", logging.WARNING),
        (b"[]\n", logging.WARNING),
        (b'{"type":"ADDED","object":[]}\n', logging.WARNING),
        (b'{"type":"ADDED","object":{"metadata":{}}}\n', logging.WARNING),
    ],
)
async def test_whatever_is_wrong_with_a_watch_kopf_lists_anew(
    answers: KopfAnswers, caplog: pytest.LogCaptureFixture, text: bytes, level: int
) -> None:
    caplog.set_level(logging.DEBUG)

    assert await watched(answers, text) == [json.loads(LIST_ANEW)]
    assert [record.levelno for record in caplog.records if record.name == kopf_answers.__name__] == [level]


# Lists


class Server:
    """Answers lists of so many objects as are asked for, from the beginning."""

    def __init__(self, *items: bytes) -> None:
        self.items = items
        self.asked: list[int] = []

    async def send(self, request: Any) -> Any:
        limit = int(request.url.query["limit"])
        self.asked.append(limit)
        items = b",".join(self.items[:limit])
        return Answer(b'{"metadata":{"resourceVersion":"7","continue":"next"},"items":[%b]}' % items)


async def listed(answers: KopfAnswers, server: Server) -> Any:
    request: Any = Request(limit="25")
    answer: Any = await answers(request, server.send)
    return answer.page


async def test_a_list_with_a_deep_object_has_them_all(
    answers: KopfAnswers, taken: Taken, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(json.dumps(config_map("one")).encode(), with_depth(config_map("bomb")))

    page = await listed(answers, server)

    assert names_of(taken) == [(None, "one"), (None, "bomb")]
    assert page == {"items": [], "metadata": {"resourceVersion": "7", "continue": "next"}}
    assert "ConfigMap bomb of namespace ci" in caplog.text


async def test_large_objects_are_listed_one_by_one(answers: KopfAnswers, taken: Taken) -> None:
    server = Server(*(json.dumps(config_map(str(n), a="x" * (PAGE_BYTES - 1000))).encode() for n in range(5)))

    await listed(answers, server)
    await listed(answers, server)

    assert len(taken) == 2
    assert server.asked == [25, 6, 1, 1], "what is known of a kind is remembered"


async def test_a_list_that_was_taken_in_already_is_not_read_again(answers: KopfAnswers, taken: Taken) -> None:
    server = Server(json.dumps(config_map("one")).encode(), json.dumps(config_map("two")).encode())
    answers.listed[PATH] = 6

    assert await listed(answers, server) == {"items": [], "metadata": {"resourceVersion": "6", "continue": ""}}
    assert (server.asked, taken) == ([1], [])

    assert (await listed(answers, server))["metadata"]["resourceVersion"] == "7", "the next one is of something new"
    assert (server.asked, names_of(taken)) == ([1, 25], [(None, "one"), (None, "two")])


async def test_a_list_that_is_none_is_asked_for_again(answers: KopfAnswers) -> None:
    async def send(_: Any) -> Any:
        return Answer(b"<html>")

    request: Any = Request(limit="25")
    with pytest.raises(ListAnew):
        await answers(request, send)


async def test_refusals_and_other_requests_are_kopfs_own_affair(answers: KopfAnswers) -> None:
    refusal: Any = Answer(b"no", status=403)

    async def send(_: Any) -> Any:
        return refusal

    for request in (Request(limit="25"), Request(watch="true")):
        found: Any = await answers(cast("Any", request), send)
        assert found is refusal
        assert isinstance(found.content, Content)


async def test_kopf_reads_the_page_from_the_answer() -> None:
    loop = asyncio.get_running_loop()
    info = aiohttp.RequestInfo(URL("https://x"), "GET", cast("Any", {}), URL("https://x"))
    answer = KopfAnswer(
        "GET", URL("https://x"), writer=None, continue100=None, timer=cast("Any", None), request_info=info, traces=[],
        loop=loop, session=cast("Any", None), stream_writer=cast("Any", type("Writer", (), {"output_size": 0})),
    )  # fmt: skip
    answer._body = f'{{"metadata":{{"managedFields":[{DEEP}]}}}}'.encode()
    assert "metadata" in decoded(await answer.json())

    answer.page = {"items": []}
    assert await answer.json() == {"items": []}


def decoded(found: Any) -> Manifest:
    assert isinstance(found, dict)
    return found
