"""Pages are bounded by bytes, and one page's objects are shown and kept one by one."""

import json
from typing import Any

import pytest

from buildkit_operator.kube.decoding import MAX_BYTES
from buildkit_operator.kube.pages import LARGEST, PAGE_BYTES, PageSize, read_page
from buildkit_operator.kube.resources import CONFIG_MAP


def test_small_objects_come_in_ever_larger_pages() -> None:
    size = PageSize()

    for _ in range(10):
        size.was(1000)

    assert size.limit == LARGEST


def test_large_objects_come_one_by_one_whatever_they_measure() -> None:
    size = PageSize()

    while size.limit > 1:
        assert size.most_bytes == PAGE_BYTES
        size.was_too_large()

    assert size.most_bytes == MAX_BYTES


def test_pages_become_smaller_before_they_are_too_large() -> None:
    size = PageSize(limit=40)

    size.was(PAGE_BYTES * 3 // 4)

    assert size.limit == 20


def test_after_large_objects_pages_grow_again() -> None:
    size = PageSize(limit=1)

    for _ in range(3):
        size.was(1000)

    assert size.limit == 8


def page(**more: Any) -> bytes:
    return json.dumps({"metadata": {"resourceVersion": "7", **more}, "items": [{"metadata": {"name": "a"}}]}).encode()


def test_each_object_is_shown_with_its_kind_and_then_reduced() -> None:
    shown: list[Any] = []

    found = read_page(page(), CONFIG_MAP, lambda _kind, item: shown.append({**item}), lambda item: item["metadata"])

    assert shown == [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]
    assert found.items == [{"name": "a"}]
    assert (found.version, found.following) == (7, "")
    assert read_page(page(**{"continue": "x"}), CONFIG_MAP, lambda *_: None, dict).following == "x"


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"metadata":{},"items":[]}', b'{"metadata":[],"items":1}'])
def test_what_is_no_list_is_an_error(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_page(answer, CONFIG_MAP, lambda *_: None, dict)
