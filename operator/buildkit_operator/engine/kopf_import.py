"""kopf, imported in the one way that does not cost 20 MiB.

kopf imports `kubernetes.client` where that is installed, only to recognise its model classes; we hand kopf plain dicts.
Everything else of this package imports kopf from here.
"""

from __future__ import annotations

import sys
from typing import Any, cast

_modules = cast("dict[str, Any]", sys.modules)
_hidden = "kubernetes" not in _modules
if _hidden:
    _modules["kubernetes"] = None  # an import of it now raises ImportError, which kopf expects
try:
    import kopf
finally:
    if _hidden:
        del _modules["kubernetes"]

__all__ = ["kopf"]
