"""Key of the consistent hash: by it pods that run builds of the same thing meet the same daemon. In Python and in CEL.

A pod's own annotation comes first. Else the key is whoever made the pod (its controller, or what its name was made of),
without what Kubernetes adds to make names unique: the next runner of a set, and a CronJob's next run, has the same key.
"""

from __future__ import annotations

import re
from typing import Final

from buildkit_operator.admission import cel
from buildkit_operator.admission.variables import Variables
from buildkit_operator.api import names
from buildkit_operator.kube.manifests import controller_of

_GENERATED: Final = "-([bcdfghjklmnpqrstvwxz2456789]{5}|[0-9]{8,})?$"
"""How a generated name ends: five characters (apimachinery, rand.String), or the minute of a CronJob's run since 1970
(its controller's getJobName); and the beginning that such a name is made of, with a hyphen.
"""


def is_wanted(variables: Variables) -> bool:
    """Tell whether the pod is to have a key and has none of its own."""
    return bool(variables.params.injection.get("cacheKey")) and names.CACHE_KEY_ANNOTATION not in variables.annotations


def cache_key(variables: Variables) -> str:
    """Return the key."""
    metadata = variables.pod["metadata"]
    owner = controller_of(variables.pod)
    maker = owner["name"] if owner is not None else metadata.get("generateName") or metadata.get("name") or ""
    return f"{variables.namespace}/{re.sub(_GENERATED, '', maker)}"


VARIABLES: Final = {
    "controllers": cel.expression("""
        (has(object.metadata.ownerReferences) ? object.metadata.ownerReferences : [])
          .filter(o, has(o.controller) && o.controller).map(o, o.name)
    """),
    "maker": cel.expression("""
        variables.controllers.size() > 0 ? variables.controllers[0]
        : has(object.metadata.generateName) && object.metadata.generateName != '' ? object.metadata.generateName
        : has(object.metadata.name) ? object.metadata.name
        : ''
    """),
    "cacheKey": cel.expression(
        """
        request.namespace + '/' + (variables.maker.matches($generated)
          ? variables.maker.substring(0, variables.maker.lastIndexOf('-')) : variables.maker)
        """,
        generated=cel.literal(_GENERATED),
    ),
}
"""CEL of cache_key, as the last of these."""

IS_WANTED: Final = cel.expression("""
    has(variables.injection.cacheKey) && variables.injection.cacheKey
    && !(has(object.metadata.annotations) && '$CACHE_KEY_ANNOTATION' in object.metadata.annotations)
""")
"""CEL of is_wanted."""
