"""Volume mounts: which of the injected volumes a pod's own containers may mount, and what may not lie over these.

The volumes that the injected container has are nobody else's, but for what injection itself gives to the job: in them
are the connector's key, the daemon's state and the way to it. A volume of the job alone, the local cache, a container
that is served may mount as it likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from buildkit_operator.admission import cel
from buildkit_operator.admission.variables import CONTAINER_LISTS, Variables
from buildkit_operator.kube.resources import Manifest

_MORE: Final = ("readOnly", "recursiveReadOnly", "subPath", "subPathExpr", "mountPropagation")
"""What no mount of ours says: with one of these it would be another mount."""


def taken(variables: Variables) -> Iterator[tuple[str, str]]:
    """Return containers that mount an injected volume otherwise than it is given to them, each with the volume."""
    ours = {volume["name"] for volume in variables.ours("volumes")}
    private = _private(variables)
    given = {(mount["name"], mount["mountPath"]) for mount in variables.ours("volumeMounts")}
    served = {container["name"] for _, container in variables.served}
    for field in CONTAINER_LISTS:
        for container in variables.listed(field):
            for mount in container.get("volumeMounts") or ():
                as_given = (mount["name"], mount["mountPath"]) in given and not any(map(mount.get, _MORE))
                may = container["name"] in served and (mount["name"] not in private or as_given)
                if mount["name"] in ours and not may:
                    yield container["name"], mount["name"]
            for device in container.get("volumeDevices") or ():
                if device["name"] in ours:
                    yield container["name"], device["name"]


def covering(variables: Variables) -> Iterator[tuple[str, str]]:
    """Return served containers that mount something else where the builder's goes, each with the path."""
    private = _private(variables)
    ours = [(mount["name"], mount["mountPath"], _place(mount["mountPath"])) for mount in variables.ours("volumeMounts")]
    for container, mount in _of_served(variables):
        place = _place(mount["mountPath"])
        for name, path, our_place in ours:
            within = place == our_place or (name in private and place.startswith(our_place))
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


def _private(variables: Variables) -> set[str]:
    """Return the volumes that the injected container has, and those that no container of the job is given."""
    given = {mount["name"] for mount in variables.ours("volumeMounts")}
    injected = {
        m["name"] for container in variables.ours("initContainers") for m in container.get("volumeMounts") or ()
    }
    return {v["name"] for v in variables.ours("volumes") if v["name"] not in given or v["name"] in injected}


def _place(path: str) -> str:
    """Return where a mount path leads in most images, with a slash at its end.

    The kubelet takes a relative path from the root, and /var/run is a link to /run.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    place = f"/{'/'.join(parts)}/"
    return place.removeprefix("/var") if place.startswith("/var/run/") else place


def _places(path: str) -> str:
    """Return the CEL of a list that holds the place of a path alone, so that it can be asked for more than once."""
    return cel.expression(
        """
        ['/' + $path.split('/').filter(part, part != '' && part != '.').join('/') + '/']
          .map(place, place.startsWith('/var/run/') ? place.substring(4) : place)
        """,
        path=path,
    )


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
        places=_places("m.mountPath"),
    ),
    "takenMounts": _TAKEN,
    "coveredMounts": _mounts_of_served(
        cel.expression(
            """
            $places.exists(place, variables.ourPlaces.exists(our,
              our[1] == m.mountPath ? our[0] != m.name
              : place == our[2] || our[0] in variables.privateVolumes && place.startsWith(our[2])))
            """,
            places=_places("m.mountPath"),
        )
    ),
    "unclearMounts": _mounts_of_served("m.mountPath.split('/').exists(part, part == '..')"),
}
"""CEL of taken, covering and unclear, by variables of these names: pairs as lists of two."""
