"""What cannot be read whole is told of by its name, once."""

import pytest

from buildkit_operator.kube import unreadable
from buildkit_operator.kube.decoding import decode
from buildkit_operator.kube.resources import CONFIG_MAP, Manifest
from buildkit_operator.kube.unreadable import UnreadableObjects


def hostile(name: str = "bomb") -> Manifest:
    deep = "[" * 5000 + "]" * 5000
    found: Manifest = decode(
        f'{{"metadata":{{"name":"{name}","namespace":"team","managedFields":[{{"fieldsV1":{deep}}}]}}}}'.encode()
    )
    return found


def test_an_object_is_named_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[str] = []
    objects = UnreadableObjects(counted.append)

    for name in ("bomb", "bomb", "other"):
        objects.check(CONFIG_MAP, hostile(name))

    assert counted == ["configmaps", "configmaps"]
    assert [record.getMessage().split(" is ")[0] for record in caplog.records] == [
        "ConfigMap bomb of namespace team",
        "ConfigMap other of namespace team",
    ]


def test_what_is_whole_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    UnreadableObjects().check(CONFIG_MAP, {"metadata": {"name": "one"}, "data": {"a": "b"}})

    assert not caplog.records


def test_memory_of_what_was_told_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable, "REMEMBERED", 3)
    objects = UnreadableObjects()

    for number in range(10):
        objects.tell(CONFIG_MAP, "team", str(number))

    assert len(objects._told) == 3
