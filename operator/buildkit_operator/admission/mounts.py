"""Volume mounts: which of the injected volumes a pod's own containers may mount, and what may not lie over these.

The volumes that the injected container has are nobody else's, but for what injection itself gives to the job: in them
are the connector's key, the daemon's state and the way to it. A volume of the job alone, the local cache, a container
that is served may mount as it likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from buildkit_operator.admission import cel
from buildkit_operator.admission.places import place, places
from buildkit_operator.admission.variables import CONTAINER_LISTS, Variables
from buildkit_operator.kube.resources import Manifest

_MORE: Final = ("readOnly", "recursiveReadOnly", "subPath", "subPathExpr", "mountPropagation")
"""What no mount of ours says: with one of these it would be another mount."""


def taken(variables: Variables) -> Iterator[tuple[str, str]]:
    """Return containers that mount an injected volume otherwise than it is given to them, each with the volume."""
    ours = variables.params.volume_names
    for field in CONTAINER_LISTS:
        for container in variables.listed(field):
            for mount in container.get("volumeMounts") or ():
                if mount["name"] in ours and not _may_mount(variables, container["name"], mount):
                    yield container["name"], mount["name"]
            for device in container.get("volumeDevices") or ():
                if device["name"] in ours:
                    yield container["name"], device["name"]


def _may_mount(variables: Variables, container: str, mount: Manifest) -> bool:
    """Tell whether a container may mount an injected volume like this."""
    if not any(served["name"] == container for _, served in variables.served):
        return False
    if mount["name"] not in variables.params.private_volumes:
        return True
    return (mount["name"], mount["mountPath"]) in variables.params.mounts and not any(map(mount.get, _MORE))


def covering(variables: Variables) -> Iterator[tuple[str, str]]:
    """Return served containers that mount something else where the builder's goes, each with the path."""
    params = variables.params
    for container, mount in _of_served(variables):
        its = place(mount["mountPath"])
        for name, path, ours in params.places:
            within = its == ours or (name in params.private_volumes and its.startswith(ours))
            if mount["name"] != name if mount["mountPath"] == path else within:
                yield container, mount["mountPath"]


def unclear(variables: Variables) -> Iterator[tuple[str, str]]:
    """Return served containers that mount something at a path which leads up again, each with the path."""
    for container, mount in _of_served(variables):
        if ".." in mount["mountPath"].split("/"):
            yield container, mount["mountPath"]


def _of_served(variables: Variables) -> Iterator[tuple[str, Manifest]]:
    for _, container in variables.served:
        for mount in container.get("volumeMounts") or ():
            yield container["name"], mount


_TAKEN: Final = cel.expression(
    """
    (variables.initContainers + variables.containers).map(c,
      (has(c.volumeMounts) ? c.volumeMounts.filter(m, m.name in variables.ourVolumeNames
        && !(c.name in variables.servedNames && (!(m.name in variables.privateVolumes)
          || $alone && variables.ourPlaces.exists(our, our[0] == m.name && our[1] == m.mountPath))))
        .map(m, [c.name, m.name]) : [])
      + (has(c.volumeDevices) ? c.volumeDevices.filter(d, d.name in variables.ourVolumeNames)
        .map(d, [c.name, d.name]) : [])).flatten()
    """,
    alone=" && ".join(f"!has(m.{field})" for field in _MORE),
)


def _mounts_of_served(which: str) -> str:
    return cel.expression(
        """
        variables.served.map(c, has(c.volumeMounts)
          ? c.volumeMounts.filter(m, $which).map(m, [c.name, m.mountPath])
          : []).flatten()
        """,
        which=which,
    )


VARIABLES: Final = {
    "ourVolumeNames": "variables.ourVolumes.map(v, string(v.name))",
    "privateVolumes": cel.expression("""
        variables.ourVolumeNames.filter(n, !variables.ourVolumeMounts.exists(m, m.name == n)
          || variables.ourInitContainers.exists(c, has(c.volumeMounts) && c.volumeMounts.exists(m, m.name == n)))
    """),
    "ourPlaces": cel.expression(
        """
        variables.ourVolumeMounts.map(m, [string(m.name), string(m.mountPath), $places[0]])
        """,
        places=places("m.mountPath"),
    ),
    "takenMounts": _TAKEN,
    "coveredMounts": _mounts_of_served(
        cel.expression(
            """
            $places.exists(place, variables.ourPlaces.exists(our,
              our[1] == m.mountPath ? our[0] != m.name
              : place == our[2] || our[0] in variables.privateVolumes && place.startsWith(our[2])))
            """,
            places=places("m.mountPath"),
        )
    ),
    "unclearMounts": _mounts_of_served("m.mountPath.split('/').exists(part, part == '..')"),
}
"""CEL of taken, covering and unclear, by variables of these names: pairs as lists of two."""
