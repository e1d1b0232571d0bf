"""What is added to a pod so that it has its builder. The same is done in CEL by mutation.py."""

from __future__ import annotations

from collections.abc import Iterator

from buildkit_operator.admission import cachekey
from buildkit_operator.admission.facts import Facts, Manifest
from buildkit_operator.admission.jsonpatch import Operation, Patch, add, extend, remove_entry, set_entries
from buildkit_operator.admission.rules import check
from buildkit_operator.api import names

ANNOTATIONS = "/metadata/annotations"


def add_builder(facts: Facts) -> Patch:
    """Return what gives the builder to a pod that has none. Raises Refused.

    Nothing that others wrote is moved or replaced.
    """
    check(facts)
    # The sidecar comes last: going before the others it changes their positions.
    return [*_containers(facts), *_pod(facts), *_metadata(facts), *_sidecar(facts)]


def note(annotations: dict[str, str], message: str) -> Patch:
    """Return what says on a pod with these annotations why it got nothing."""
    return set_entries(ANNOTATIONS, annotations, {names.NOT_INJECTED_ANNOTATION: message})


def _containers(facts: Facts) -> Iterator[Operation]:
    for path, container in facts.served:
        env = container.get("env") or []
        yield from extend(f"{path}/env", env, _variables(facts, container["name"], {own["name"] for own in env}))
        mounts = container.get("volumeMounts") or []
        present = {(own["name"], own["mountPath"]) for own in mounts}
        missing = [m for m in facts.ours("volumeMounts") if (m["name"], m["mountPath"]) not in present]
        yield from extend(f"{path}/volumeMounts", mounts, missing)


def _variables(facts: Facts, container: str, taken: set[str]) -> list[Manifest]:
    """Return the variables for a container that sets those of these names itself."""
    single = [variable for variable in facts.ours("env") if variable["name"] not in taken]
    group = facts.ours("buildxEnv")
    if any(variable["name"] in taken for variable in group):
        return single
    return [*single, *({**v, "value": v["value"].replace("{container}", container)} for v in group)]


def _pod(facts: Facts) -> Iterator[Operation]:
    yield from extend("/spec/volumes", facts.listed("volumes"), facts.ours("volumes"))
    if "hostUsers" in facts.injection and "hostUsers" not in facts.spec:
        yield add("/spec/hostUsers", facts.injection["hostUsers"])


def _sidecar(facts: Facts) -> Iterator[Operation]:
    sidecars = facts.ours("initContainers")
    if facts.listed("initContainers"):
        yield from (add("/spec/initContainers/0", sidecar) for sidecar in sidecars)
    else:
        yield add("/spec/initContainers", sidecars)


def _metadata(facts: Facts) -> Iterator[Operation]:
    yield from set_entries("/metadata/labels", facts.labels, facts.injection.get("labels") or {})
    served = ",".join(container["name"] for _, container in facts.served)
    noted = {names.CONTAINERS_ANNOTATION: served}
    if cachekey.is_wanted(facts):
        noted[names.CACHE_KEY_ANNOTATION] = cachekey.cache_key(facts)
    yield from set_entries(ANNOTATIONS, facts.annotations, noted)
    if names.NOT_INJECTED_ANNOTATION in facts.annotations:
        yield remove_entry(ANNOTATIONS, names.NOT_INJECTED_ANNOTATION)
