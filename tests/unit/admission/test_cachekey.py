"""The key by which pods that run builds of the same thing meet the same daemon."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit_operator.admission.cachekey import cache_key, is_wanted
from buildkit_operator.admission.params import Params
from buildkit_operator.admission.variables import Variables
from tests.unit.admission.make import make_builder, make_pod

ALPHANUMERICS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes the ends of generated names of (apimachinery, rand.String)."""

names = st.from_regex(r"\A[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?\Z")
suffixes = st.text(ALPHANUMERICS, min_size=5, max_size=5)


def variables(**metadata: Any) -> Variables:
    pod = make_pod()
    pod["metadata"] |= metadata
    builder = make_builder(mode="Shared")
    builder["status"]["injection"]["cacheKey"] = True
    return Variables(pod, Params(builder), "ci")


def owner(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Owner", "name": name, "uid": "1", **more}


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({"name": "nightly"}, "ci/nightly"),
        ({"name": "runner-x7k2p"}, "ci/runner"),
        # Kubernetes uses no vowels, so that no words come about.
        ({"name": "runner-linux"}, "ci/runner-linux"),
        ({"name": "runner-x7k2p", "generateName": "other-"}, "ci/other"),
        ({"name": "", "generateName": "runner-"}, "ci/runner"),
        ({"name": "a", "ownerReferences": [owner("other"), owner("set-q9m4z", controller=True)]}, "ci/set"),
        ({"name": "a", "ownerReferences": [owner("other", controller=False)]}, "ci/a"),
        # A CronJob's Job, after the minute of its run; a shorter number is somebody's own.
        ({"name": "a", "ownerReferences": [owner("nightly-29862480", controller=True)]}, "ci/nightly"),
        ({"name": "release-2026"}, "ci/release-2026"),
    ],
)
def test_the_key_is_whoever_made_the_pod(metadata: dict[str, Any], key: str) -> None:
    assert cache_key(variables(**metadata)) == key


@given(names, suffixes, suffixes)
def test_the_next_pod_of_the_same_thing_has_the_same_key(name: str, first: str, second: str) -> None:
    assert cache_key(variables(name=f"{name}-{first}")) == cache_key(variables(name=f"{name}-{second}")) == f"ci/{name}"
    assert cache_key(variables(name=f"{name}-{first}", generateName=f"{name}-")) == cache_key(
        variables(ownerReferences=[owner(f"{name}-{second}", controller=True)])
    )


def test_a_key_that_the_pod_brings_is_kept() -> None:
    assert not is_wanted(variables(annotations={"buildkit-operator.dev/cache-key": "repo"}))
    assert is_wanted(variables(annotations={"note": "1"}))
    assert not is_wanted(Variables(make_pod(), Params(make_builder()), "ci"))
