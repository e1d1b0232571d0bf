"""Labels and owner references: what every child of a builder has in common, and how its manifest begins."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.kube.resources import Manifest

INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
"""Argo CD takes it for its own where it tracks by label, of objects that no other object owns."""


def labels(builder: BuildKitBuilder) -> dict[str, str]:
    """Return the labels of every child. None comes from the builder: GitOps tools would claim what carries theirs."""
    return {
        **selector(builder),
        INSTANCE_LABEL: builder.metadata.name,
        "app.kubernetes.io/part-of": names.OPERATOR,
        "app.kubernetes.io/managed-by": names.OPERATOR,
    }


def selector(builder: BuildKitBuilder, architecture: Architecture | None = None) -> dict[str, str]:
    """Return the labels that select the daemons' pods, of an architecture those of it alone.

    Fixed for ever: a workload's selector cannot be changed.
    """
    of_architecture = {} if architecture is None else {names.ARCHITECTURE_LABEL: architecture.value}
    return {names.OWNER_LABEL: builder.metadata.name, names.NAME_LABEL: names.DAEMON, **of_architecture}


def selector_string(builder: BuildKitBuilder) -> str:
    """Return the same selector as a string, for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in selector(builder).items())


def child(builder: BuildKitBuilder, api_version: str, kind: str, name: str, **rest: Any) -> Manifest:
    """Return a manifest that belongs to the builder, so that it is deleted with it, also while the operator is away."""
    annotations = rest.pop("annotations", None)
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": builder.metadata.namespace,
            "labels": labels(builder),
            **({"annotations": annotations} if annotations else {}),
            "ownerReferences": [owner_reference(builder)],
        },
        **rest,
    }


def owner_reference(builder: BuildKitBuilder) -> Manifest:
    """Return the reference by which a child names the builder as its controller."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": builder.metadata.name,
        "uid": builder.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def digest(content: Any) -> str:
    """Return a short digest of JSON content, the same for the same content whatever its order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
