"""Cloud identity: the webhooks of EKS and Azure add the ServiceAccount's token to every container that is not left out.

They run after us, or once more, and go by an annotation of the pod. The injected container stands first in it, so that
nothing in what the pod's author wrote there keeps it from being read: EKS reads the first line of a CSV file, and none
of it where quotes are wrong. No container's name has quotes.
"""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import cel
from buildkit_operator.admission.jsonpatch import key
from buildkit_operator.admission.variables import Variables
from buildkit_operator.api import names


def skip_annotations(variables: Variables) -> dict[str, str]:
    """Return the annotations that leave out what is injected beside whatever the pod leaves out."""
    return {
        name: _with_ours(
            variables.annotations.get(name, ""), separator.join(variables.params.container_names), separator
        )
        for name, separator in names.SKIP_ANNOTATIONS.items()
    }


def _with_ours(value: str, ours: str, separator: str) -> str:
    theirs = value.replace('"', "")
    if theirs == ours or theirs.startswith(ours + separator):
        return theirs
    return f"{ours}{separator}{theirs}" if theirs else ours


def _annotation(name: str, separator: str) -> str:
    """Return the CEL that sets one of them, in a pod that has annotations by then."""
    return cel.expression(
        """
        [has(object.metadata.annotations) && '$name' in object.metadata.annotations
          ? object.metadata.annotations['$name'].replace('"', '') : '']
          .map(theirs, JSONPatch{op: 'add', path: '/metadata/annotations/$key',
            value: [variables.ourNames.join('$separator')].map(ours,
              theirs == ours || theirs.startsWith(ours + '$separator') ? theirs
              : theirs == '' ? ours : ours + '$separator' + theirs)[0]})
        """,
        name=name,
        key=key(name),
        separator=separator,
    )


ANNOTATIONS: Final = "\n+ ".join(_annotation(name, separator) for name, separator in names.SKIP_ANNOTATIONS.items())
"""CEL of skip_annotations: the part of the patch that sets them."""
