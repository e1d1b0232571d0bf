"""Amounts that no container can have together; a real API server refuses the same in tests/integration/fuzz."""

import pytest

from buildkit_operator.api.container_resources import check

GPU = "example.com/gpu"
PAGES = "hugepages-2Mi"


@pytest.mark.parametrize(
    ("requests", "limits"),
    [
        ({}, {}),
        ({"cpu": "1"}, {}),
        ({"cpu": "500m"}, {"cpu": "0.5", "memory": "1e7"}),
        ({}, {GPU: "2"}),
        ({GPU: "2"}, {GPU: "2000m"}),
        ({"memory": "1Gi"}, {PAGES: "4Mi"}),
        ({"memory": "0"}, {"memory": "0"}),
    ],
)
def test_these_can_be(requests: dict[str, str], limits: dict[str, str]) -> None:
    check(requests, limits)


@pytest.mark.parametrize(
    ("requests", "limits", "sentence"),
    [
        ({"cpu": "2"}, {"cpu": "1"}, "may not be more than the limit"),
        ({GPU: "1"}, {}, "the request of example.com/gpu needs a limit that is the same"),
        ({GPU: "1"}, {GPU: "2"}, "needs a limit that is the same"),
        ({}, {GPU: "0.5"}, "0.5 of example.com/gpu is no whole number"),
        ({}, {GPU: "500Pi"}, "is no whole number of them below 9223372036854775"),
        ({}, {PAGES: "1e99", "cpu": "1"}, "is no whole number"),
        ({}, {PAGES: "3Mi", "cpu": "1"}, "3Mi of hugepages-2Mi is no whole number"),
        ({}, {"hugepages-0Mi": "0", "cpu": "1"}, "is no whole number"),
        ({"memory": "500m"}, {}, "memory and ephemeral-storage must be at least 1Mi: m is a thousandth of a byte"),
        ({}, {"ephemeral-storage": "512"}, "and a bare number counts bytes"),
        ({}, {PAGES: "2Mi"}, "huge pages need cpu or memory beside them"),
    ],
)
def test_these_cannot(requests: dict[str, str], limits: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check(requests, limits)
