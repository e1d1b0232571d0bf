"""JSON Patch that gives a pod its builder, for the webhook. mutation.py makes the same in CEL, for the policies."""

from __future__ import annotations

from collections.abc import Iterator

from buildkit_operator.admission import cachekey, cloud_identity
from buildkit_operator.admission.jsonpatch import Operation, Patch, add, extend, remove_entry, set_entries
from buildkit_operator.admission.refusals import check
from buildkit_operator.admission.variables import Variables
from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest

ANNOTATIONS = "/metadata/annotations"


def add_builder(variables: Variables) -> Patch:
    """Return what gives the builder to a pod that has none. Raises PodRefused.

    Nothing that others wrote is moved or replaced.
    """
    check(variables)
    # The sidecar comes last: going before the others it changes their positions.
    return [*_containers(variables), *_pod(variables), *_metadata(variables), *_sidecar(variables)]


def note(annotations: dict[str, str], message: str) -> Patch:
    """Return what says on a pod with these annotations why it got nothing."""
    return set_entries(ANNOTATIONS, annotations, {names.NOT_INJECTED_ANNOTATION: message})


def _containers(variables: Variables) -> Iterator[Operation]:
    for path, container in variables.served:
        env = container.get("env") or []
        yield from extend(f"{path}/env", env, _env(variables, container["name"], {own["name"] for own in env}))
        mounts = container.get("volumeMounts") or []
        present = {(own["name"], own["mountPath"]) for own in mounts}
        missing = [m for m in variables.params.ours("volumeMounts") if (m["name"], m["mountPath"]) not in present]
        yield from extend(f"{path}/volumeMounts", mounts, missing)


def _env(variables: Variables, container: str, taken: set[str]) -> list[Manifest]:
    """Return the variables for a container that sets those of these names itself."""
    single = [variable for variable in variables.params.ours("env") if variable["name"] not in taken]
    group = variables.params.ours("buildxEnv")
    if any(variable["name"] in taken for variable in group):
        return single
    return [*single, *({**v, "value": v["value"].replace("{container}", container)} for v in group)]


def _pod(variables: Variables) -> Iterator[Operation]:
    yield from extend("/spec/volumes", variables.listed("volumes"), variables.params.ours("volumes"))
    injection = variables.params.injection
    if "hostUsers" in injection and "hostUsers" not in variables.spec:
        yield add("/spec/hostUsers", injection["hostUsers"])


def _sidecar(variables: Variables) -> Iterator[Operation]:
    sidecars = variables.params.ours("initContainers")
    if variables.listed("initContainers"):
        yield from (add(f"/spec/initContainers/{position}", ours) for position, ours in enumerate(sidecars))
    else:
        yield add("/spec/initContainers", sidecars)


def _metadata(variables: Variables) -> Iterator[Operation]:
    yield from set_entries("/metadata/labels", variables.labels, variables.params.injection.get("labels") or {})
    served = ",".join(container["name"] for _, container in variables.served)
    kept = {name: value for name, value in names.KEEP_ANNOTATIONS.items() if name not in variables.annotations}
    noted = {names.CONTAINERS_ANNOTATION: served, **cloud_identity.skip_annotations(variables), **kept}
    if cachekey.is_wanted(variables):
        noted[names.CACHE_KEY_ANNOTATION] = cachekey.cache_key(variables)
    yield from set_entries(ANNOTATIONS, variables.annotations, noted)
    if names.NOT_INJECTED_ANNOTATION in variables.annotations:
        yield remove_entry(ANNOTATIONS, names.NOT_INJECTED_ANNOTATION)
