"""Bodies of requests, of which a real API server reads every character in tests/integration/engine/test_client.py."""

import json

import pytest

from buildkit_operator.kube.encoding import encode


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("job", '"job"'),
        ('"\\\n\0', '"\\"\\\\\\n\\u0000"'),
        ("ä", '"ä"'),
        ("\U0001f600", '"\U0001f600"'),
        ("\x7f\x85\x9f", '"\\u007f\\u0085\\u009f"'),
        ("\u2028\ufeff\uffff", '"\\u2028\\ufeff\\uffff"'),
        ("half \ud83d", '"half ?"'),
    ],
)
def test_every_text_is_written_as_yaml_reads_it(text: str, written: str) -> None:
    assert encode(text) == written.encode()


def test_it_is_json() -> None:
    body = {"a": [1, None, True, "\u2028"], "\x7f": {}}

    assert json.loads(encode(body)) == body
