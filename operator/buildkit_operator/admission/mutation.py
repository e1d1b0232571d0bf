"""Mutation of the admission policies: CEL that makes the JSON Patch of splice.py.

Both go through a pod in the same order. That they make the same of it is tested, pod by pod, with a real API server.
"""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import cachekey, cel, cloud_identity
from buildkit_operator.admission.jsonpatch import key
from buildkit_operator.admission.variables import CONTAINER_LISTS
from buildkit_operator.api import names


def splice(*, is_refused: bool) -> str:
    """Return the expression: the patch that adds the builder, or the one that notes on the pod why not.

    `is_refused` tells whether a pod with such a note is refused for it. Before that the API server looks for the
    volumes that the pod mounts, and would refuse it in words of its own where one of ours is among them.
    """
    added = [*map(_containers, CONTAINER_LISTS), _VOLUMES, _HOST_USERS, _LABELS, _ANNOTATIONS, _SIDECAR]
    note = f"{_NOTE}\n+ {_EMPTY_VOLUMES}" if is_refused else _NOTE
    return cel.expression("variables.refusal != ''\n? $note\n: $added", note=note, added="\n+ ".join(added))


def _extend(path: str, present: str, missing: str, everything: str) -> str:
    """Return the CEL that appends to a list; what is missing is asked for only where the list is there."""
    return cel.expression(
        """
        (has($present)
          ? (
              $missing
            ).map(item, JSONPatch{op: 'add', path: $path + '/-', value: item})
          : [JSONPatch{op: 'add', path: $path,
              value: $everything}])
        """,
        present=present,
        missing=missing,
        path=path,
        everything=everything,
    )


_BUILDX: Final = (
    "variables.ourBuildxEnv.map(e, {'name': string(e.name), 'value': e.value.replace('{container}', c.name)})"
)

_MISSING_ENV: Final = cel.expression(
    """
    variables.ourEnv.filter(e, !c.env.exists(own, own.name == e.name))
    + (c.env.exists(own, variables.ourBuildxEnv.exists(e, e.name == own.name)) ? []
      : $buildx)
    """,
    buildx=_BUILDX,
)

_MISSING_MOUNTS: Final = """
variables.ourVolumeMounts.filter(m, !c.volumeMounts.exists(own, own.name == m.name && own.mountPath == m.mountPath))
""".strip()


def _containers(field: str) -> str:
    """Return the CEL for the containers in a list of the pod's spec. Their positions are those before the splice."""
    path = f"'/spec/{field}/' + string(i)"
    return cel.expression(
        """
        variables.$field.transformList(i, c, c.name in variables.servedNames,
          $env
          + $mounts
        ).flatten()
        """,
        field=field,
        env=_extend(f"{path} + '/env'", "c.env", _MISSING_ENV, f"variables.ourEnv + {_BUILDX}"),
        mounts=_extend(f"{path} + '/volumeMounts'", "c.volumeMounts", _MISSING_MOUNTS, "variables.ourVolumeMounts"),
    )


_VOLUMES: Final = _extend("'/spec/volumes'", "object.spec.volumes", "variables.ourVolumes", "variables.ourVolumes")

_EMPTY_VOLUMES: Final = cel.expression(
    """
    (!has(params.status.injection) ? []
      : [$names.map(n, {'name': n})].map(missing, missing.size() == 0 ? []
        : has(object.spec.volumes)
        ? missing.map(item, JSONPatch{op: 'add', path: '/spec/volumes/-', value: item})
        : [JSONPatch{op: 'add', path: '/spec/volumes', value: missing}])[0])
    """,
    names=cel.expression("""
        variables.ourVolumeNames.filter(n, !variables.volumes.exists(v, v.name == n)
          && (variables.initContainers + variables.containers).exists(c,
            has(c.volumeMounts) && c.volumeMounts.exists(m, m.name == n)))
    """),
)
"""Empty ones, as those without a source are, in place of ours that the pod mounts."""

_HOST_USERS: Final = cel.expression("""
    (has(variables.injection.hostUsers) && !has(object.spec.hostUsers)
      ? [JSONPatch{op: 'add', path: '/spec/hostUsers', value: variables.injection.hostUsers}]
      : [])
""")

_LABELS: Final = cel.expression("""
    variables.ourLabels.transformList(name, value,
      JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey(name), value: value})
""")


def _annotate(name: str, value: str) -> str:
    """Return the CEL that sets an annotation."""
    return cel.expression(
        """
        [has(object.metadata.annotations)
          ? JSONPatch{op: 'add', path: '/metadata/annotations/$key', value: $value}
          : JSONPatch{op: 'add', path: '/metadata/annotations', value: {'$name': $value}}]
        """,
        name=name,
        key=key(name),
        value=value,
    )


def _annotate_unless_set(name: str, value: str) -> str:
    """Return the CEL that sets an annotation that the pod lacks, in a pod that has annotations by then."""
    return cel.expression(
        """
        (has(object.metadata.annotations) && '$name' in object.metadata.annotations ? []
          : [JSONPatch{op: 'add', path: '/metadata/annotations/$key', value: $value}])
        """,
        name=name,
        key=key(name),
        value=value,
    )


_NOTE: Final = _annotate(names.NOT_INJECTED_ANNOTATION, "variables.refusal")

_ANNOTATIONS: Final = cel.expression(
    """
    $served
    + $cloud
    + $kept
    + ($wants_key
      ? [JSONPatch{op: 'add', path: '/metadata/annotations/$key', value: variables.cacheKey}]
      : [])
    + (has(object.metadata.annotations) && '$NOT_INJECTED_ANNOTATION' in object.metadata.annotations
      ? [JSONPatch{op: 'remove', path: '/metadata/annotations/$stale'}]
      : [])
    """,
    served=_annotate(names.CONTAINERS_ANNOTATION, "variables.servedNames.join(',')"),
    cloud=cloud_identity.ANNOTATIONS,
    kept="\n+ ".join(_annotate_unless_set(name, f"'{value}'") for name, value in names.KEEP_ANNOTATIONS.items()),
    wants_key=cachekey.IS_WANTED,
    key=key(names.CACHE_KEY_ANNOTATION),
    stale=key(names.NOT_INJECTED_ANNOTATION),
)

_SIDECAR: Final = cel.expression("""
    (has(object.spec.initContainers)
      ? variables.ourInitContainers.transformList(i, ours,
          JSONPatch{op: 'add', path: '/spec/initContainers/' + string(i), value: ours})
      : [JSONPatch{op: 'add', path: '/spec/initContainers', value: variables.ourInitContainers}])
""")
