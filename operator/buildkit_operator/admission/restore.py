"""Pod updates: fields are put back that a client with older types than the API server's dropped from an injected pod.

The API server takes the loss for a change, which a pod may not undergo, and refuses the update for ever: so
evryfs/github-actions-runner-operator v0.11.1 cannot take its finalizer off a pod that has a native sidecar.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from buildkit_operator.admission import cel
from buildkit_operator.admission.jsonpatch import Operation, Patch, add
from buildkit_operator.kube.resources import Manifest

_PROFILES: Final = ("appArmorProfile", "seccompProfile")
_SECURITY: Final = ("procMount", *_PROFILES)
"""Fields of a container's securityContext that are younger than it and that ours may have."""


def restore(old: Manifest, new: Manifest) -> Patch:
    """Return what puts back into the new state of a pod what only its old one has."""
    return [*_pod(old["spec"], new["spec"]), *_containers(old["spec"], new["spec"])]


def _pod(old: Manifest, new: Manifest) -> Iterator[Operation]:
    if "hostUsers" in old and "hostUsers" not in new:
        yield add("/spec/hostUsers", old["hostUsers"])


def _containers(old: Manifest, new: Manifest) -> Iterator[Operation]:
    pairs = zip(old.get("initContainers") or (), new.get("initContainers") or (), strict=False)
    for position, (before, after) in enumerate(pairs):
        path = f"/spec/initContainers/{position}"
        if "restartPolicy" in before and "restartPolicy" not in after:
            yield add(f"{path}/restartPolicy", before["restartPolicy"])
        yield from _security(f"{path}/securityContext", before.get("securityContext") or {}, after)


def _security(path: str, before: Manifest, after: Manifest) -> Iterator[Operation]:
    left = after.get("securityContext") or {}
    lost = [field for field in _SECURITY if field in before and field not in left]
    if lost and "securityContext" not in after:
        yield add(path, {})
    yield from (add(f"{path}/{field}", before[field]) for field in lost)


EVERYTHING_THERE: Final = cel.expression("""
    (!has(oldObject.spec.initContainers)
      || has(object.spec.initContainers) && object.spec.initContainers == oldObject.spec.initContainers)
    && (!has(oldObject.spec.hostUsers) || has(object.spec.hostUsers))
""")
"""CEL, cheap: whether there is nothing to put back, which is so for most updates."""

VARIABLES: Final = {
    "before": "has(oldObject.spec.initContainers) ? oldObject.spec.initContainers : []",
    "after": "has(object.spec.initContainers) ? object.spec.initContainers : []",
    "both": "lists.range(variables.after.size()).filter(i, i < variables.before.size())",
}


def expression() -> str:
    """Return the CEL that makes the same patch."""
    return "\n+ ".join([_HOST_USERS, _RESTART_POLICY, _SECURITY_CONTEXT, *map(_security_field, _SECURITY)])


_HOST_USERS: Final = cel.expression("""
    (has(oldObject.spec.hostUsers) && !has(object.spec.hostUsers)
      ? [JSONPatch{op: 'add', path: '/spec/hostUsers', value: oldObject.spec.hostUsers}]
      : [])
""")

_RESTART_POLICY: Final = cel.expression("""
    variables.both.filter(i, has(variables.before[i].restartPolicy) && !has(variables.after[i].restartPolicy))
      .map(i, JSONPatch{op: 'add', path: '/spec/initContainers/' + string(i) + '/restartPolicy',
        value: string(variables.before[i].restartPolicy)})
""")

_SECURITY_CONTEXT: Final = cel.expression(
    """
    variables.both.filter(i, has(variables.before[i].securityContext) && !has(variables.after[i].securityContext)
      && ($any))
      .map(i, JSONPatch{op: 'add', path: '/spec/initContainers/' + string(i) + '/securityContext',
        value: Object.spec.initContainers.securityContext{}})
    """,
    any=" || ".join(f"has(variables.before[i].securityContext.{field})" for field in _SECURITY),
)


def _security_field(field: str) -> str:
    return cel.expression(
        """
        variables.both.filter(i, has(variables.before[i].securityContext)
          && has(variables.before[i].securityContext.$field)
          && !(has(variables.after[i].securityContext) && has(variables.after[i].securityContext.$field)))
          .map(i, JSONPatch{op: 'add', path: '/spec/initContainers/' + string(i) + '/securityContext/$field',
            value: $value})
        """,
        field=field,
        value=_profile(field) if field in _PROFILES else f"string(variables.before[i].securityContext.{field})",
    )


def _profile(field: str) -> str:
    """Return the CEL of a copy: a built-in type's value cannot be put into a patch as it is."""
    return cel.expression(
        """
        Object.spec.initContainers.securityContext.$field{
          type: variables.before[i].securityContext.$field.type,
          ?localhostProfile: variables.before[i].securityContext.$field.?localhostProfile}
        """,
        field=field,
    )
