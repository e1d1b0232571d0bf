"""What holds of every pod that gets a builder, tried with generated ones."""

import copy
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_operator.admission.review import AdmissionResult
from buildkit_operator.kube.resources import Manifest
from tests.unit.admission.make import SOCKET, ask, make_builder, patched

OURS: Final = ("buildkit-operator.dev/",)
NAMES: Final = st.sampled_from(["a", "b", "build", "jnlp", "buildkit", "x-1", "c" * 63])
VARIABLES: Final = st.sampled_from(["A", "B", "BUILDKIT_HOST", "BUILDX_BUILDER", "BUILDX_CONFIG", "DOCKER_HOST"])
PATHS: Final = st.sampled_from(["/a", "/run", "/run/buildkit2", "/var/run"])
KEYS: Final = st.sampled_from(["app", "a/b", "a~b", "a~1b", "buildkit-operator.dev/containers", "example.com/x"])


def listed(items: st.SearchStrategy[Any], key: str) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=4, unique_by=lambda item: item[key])


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Manifest]:
    return st.fixed_dictionaries({}, optional=fields)


env = st.builds(lambda name, value: {"name": name, "value": value}, VARIABLES, st.text(max_size=5))
mounts = st.builds(lambda name, path: {"name": name, "mountPath": path}, st.sampled_from(["v", "w"]), PATHS)
containers = st.builds(
    lambda name, rest: {"name": name, "image": "app", **rest},
    NAMES,
    optional(
        env=listed(env, "name"),
        volumeMounts=listed(mounts, "mountPath"),
        restartPolicy=st.just("Always"),
        args=st.lists(st.text(max_size=3), max_size=2),
    ),
)
volumes = st.builds(lambda name: {"name": name, "emptyDir": {}}, st.sampled_from(["v", "w", "buildkit"]))
strings = st.dictionaries(KEYS, st.text(max_size=5), max_size=3)


@st.composite
def pods(draw: st.DrawFn) -> Manifest:
    """Draw a pod that no rule refuses."""
    every = draw(st.lists(containers, min_size=1, max_size=6, unique_by=lambda container: container["name"]))
    split = draw(st.integers(0, len(every) - 1))
    spec = {"containers": every[split:], **({"initContainers": every[:split]} if split else {})}
    spec |= draw(optional(volumes=listed(volumes, "name"), hostUsers=st.just(value=True)))
    labels = {**draw(strings), "buildkit-operator.dev/builder": "demo"}
    return {"metadata": {"labels": labels, **draw(optional(annotations=strings))}, "spec": spec}


@st.composite
def builders(draw: st.DrawFn) -> Manifest:
    """Draw a builder that has been rendered."""
    builder = make_builder()
    injection = builder["status"]["injection"]
    chosen = draw(st.lists(NAMES, unique=True, max_size=3))
    if chosen:
        injection["containers"] = chosen
    if not draw(st.booleans()):
        del injection["buildxEnv"]
    if draw(st.booleans()):
        injection["cacheKey"] = True
    if draw(st.booleans()):
        injection["volumes"].append({"name": "buildkit-local-cache", "emptyDir": {}})
        injection["volumeMounts"].append({"name": "buildkit-local-cache", "mountPath": "/mnt/buildkit-cache"})
    return builder


def is_within(before: Any, after: Any) -> bool:
    """Tell whether everything is still there, lists in the same order with nothing between that was not there."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            key in after and (key.startswith(OURS) or is_within(value, after[key])) for key, value in before.items()
        )
    if isinstance(before, list):
        return isinstance(after, list) and is_subsequence(before, after)
    return bool(before == after)


def is_subsequence(before: list[Any], after: list[Any]) -> bool:
    rest = iter(after)
    return all(any(is_within(item, candidate) for candidate in rest) for item in before)


@settings(max_examples=50)
@given(pods(), builders())
def test_everything_that_the_user_wrote_is_still_there_in_the_same_order(pod: Manifest, builder: Manifest) -> None:
    before = copy.deepcopy((pod, builder))

    answer = ask(pod, builder)

    assert answer.result is AdmissionResult.INJECTED
    assert is_within(pod, patched(pod, answer))
    assert (pod, builder) == before


@settings(max_examples=50)
@given(pods(), builders())
def test_adding_twice_is_adding_once(pod: Manifest, builder: Manifest) -> None:
    once = patched(pod, ask(pod, builder))

    again = ask(once, builder)

    assert again.result is AdmissionResult.UNCHANGED
    assert patched(once, again) == once


@settings(max_examples=50)
@given(pods(), builders())
def test_what_is_added_is_there_once(pod: Manifest, builder: Manifest) -> None:
    injected = patched(pod, ask(pod, builder))

    sidecar, *others = injected["spec"]["initContainers"] + injected["spec"]["containers"]
    assert sidecar["name"] == "buildkitd"
    for container in (sidecar, *others):
        assert is_unique(variable["name"] for variable in container.get("env", ()))
        assert is_unique(mount["mountPath"] for mount in container.get("volumeMounts", ()))
    assert is_unique(container["name"] for container in (sidecar, *others))
    assert is_unique(volume["name"] for volume in injected["spec"]["volumes"])
    served = [container["name"] for container in others if SOCKET in container.get("volumeMounts", ())]
    assert injected["metadata"]["annotations"]["buildkit-operator.dev/containers"] == ",".join(served)


def is_unique(names: Iterable[str]) -> bool:
    return all(count == 1 for count in Counter(names).values())
