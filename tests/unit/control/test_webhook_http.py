"""Requests as the API server sends them are understood, and nothing else is."""

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit_operator.control.webhook.http import MAX_BODY, MAX_HEAD, Refusal, Reply, Request, RequestReader


def encoded(body: bytes, *fields: str, line: str = "POST /label?timeout=5s HTTP/1.1") -> bytes:
    head = "\r\n".join((line, "Host: webhook", *fields, f"Content-Length: {len(body)}", "", ""))
    return head.encode() + body


def read(data: bytes) -> list[Request]:
    reader = RequestReader()
    reader.feed(data)
    return list(iter(reader.next, None))


def refused(data: bytes) -> HTTPStatus:
    with pytest.raises(Refusal) as refusal:
        read(data)
    return refusal.value.status


def test_a_request_has_a_path_and_a_body() -> None:
    assert read(encoded(b"{}")) == [Request("/label", b"{}", is_last=False)]


def test_field_names_and_values_are_read_in_any_case_and_spacing() -> None:
    data = b"POST / HTTP/1.1\r\ncONTENT-lENGTH:\t2  \r\nConnection:Close\r\n\r\n{}"

    assert read(data) == [Request("/", b"{}", is_last=True)]


def test_what_only_looks_like_a_field_is_none() -> None:
    fields = ("X-Content-Length: 7", "X-Note: Content-Length: 8", "Connection: keep-alive")

    assert read(encoded(b"{}", *fields)) == [Request("/label", b"{}", is_last=False)]


@given(bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=4), sizes=st.lists(st.integers(1, 60), min_size=1))
def test_it_does_not_matter_in_which_pieces_requests_arrive(bodies: list[bytes], sizes: list[int]) -> None:
    data = b"".join(map(encoded, bodies))
    reader = RequestReader()
    found: list[Request] = []
    while data:
        size = sizes[len(data) % len(sizes)]
        reader.feed(data[:size])
        data = data[size:]
        found += iter(reader.next, None)

    assert [request.body for request in found] == bodies
    assert not reader.is_amid_request


def test_part_of_a_request_is_waited_for() -> None:
    reader = RequestReader()
    reader.feed(encoded(b"{}")[:-1])

    assert reader.next() is None
    assert reader.is_amid_request


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (encoded(b"", line="GET /label HTTP/1.1"), 405),
        (encoded(b"", line="POST /label HTTP/1.0"), 400),
        (encoded(b"", line="POST  /label HTTP/1.1"), 400),
        (b"\x16\x03\x01 nonsense\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: webhook\r\n\r\n", 411),
        (encoded(b"{}", "Transfer-Encoding: chunked"), 411),
        (encoded(b"{}", "Content-Length: 3"), 411),
        (b"POST / HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n{}", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nContent-Length: %b\r\n\r\n" % (b"9" * 5000), 413),
        (b"POST / HTTP/1.1\r\nCookie: " + b"x" * MAX_HEAD, 431),
    ],
)
def test_anything_else_is_refused(data: bytes, status: int) -> None:
    assert refused(data) == status


def test_the_largest_body_is_not_refused() -> None:
    assert read(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MAX_BODY) == []


def test_an_answer_says_how_long_it_is_and_whether_it_is_the_last() -> None:
    reply = Reply(b"no\n", HTTPStatus.NOT_FOUND, "text/plain")

    assert reply.encoded(is_last=False) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n"
    )
    assert reply.encoded(is_last=True) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"
    )
