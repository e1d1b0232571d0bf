"""Objects that the API server stores and Python's JSON decoder does not take, as bodies of requests."""

import json
from typing import Final

from buildkit_operator.kube.resources import Manifest

DEEPEST: Final = 9_900
"""Levels of JSON; the API server takes 10,000, with what is around it."""


def with_deep_managed_fields(manifest: Manifest, levels: int = DEEPEST) -> bytes:
    """Return the object with a record of who wrote it that is nested so deep, where whoever writes it can put it."""
    fields = '{"f:a":' * levels + "{}" + "}" * levels
    entry = {
        "manager": "somebody",
        "operation": "Update",
        "apiVersion": manifest["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": "DEEP",
    }
    metadata = {**manifest["metadata"], "managedFields": [entry]}
    return json.dumps({**manifest, "metadata": metadata}).replace('"DEEP"', fields).encode()
