"""Places: where a mount path leads in most images, with a slash at its end, in Python and in CEL.

The kubelet takes a relative path from the root, and /var/run is a link to /run.
"""

from __future__ import annotations

from buildkit_operator.admission import cel


def place(path: str) -> str:
    """Return the place of a path."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    found = f"/{'/'.join(parts)}/"
    return found.removeprefix("/var") if found.startswith("/var/run/") else found


def places(path: str) -> str:
    """Return the CEL of a list that holds the place of a path alone, so that it can be asked for more than once."""
    return cel.expression(
        """
        ['/' + $path.split('/').filter(part, part != '' && part != '.').join('/') + '/']
          .map(place, place.startsWith('/var/run/') ? place.substring(4) : place)
        """,
        path=path,
    )
