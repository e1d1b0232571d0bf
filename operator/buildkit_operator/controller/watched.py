"""Watch configuration of builders: the kinds of their children, and how much of each the informer cache keeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.engine.kinds import Kinds, drop_bookkeeping
from buildkit_operator.kube.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
    Key,
    Manifest,
)

_TIMES: Final = ("creationTimestamp", "deletionTimestamp")


def keep_pod_state(pod: Manifest) -> Manifest:
    """Keep of a pod what tells how its daemon is doing: its identity, its conditions and its containers' states."""
    metadata = _only(
        pod["metadata"],
        ("name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences", *_TIMES),
    )
    status = _only(
        pod.get("status") or {},
        ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses"),
    )
    return {
        "apiVersion": pod["apiVersion"],
        "kind": pod["kind"],
        "metadata": metadata,
        "spec": _only(pod.get("spec") or {}, ("nodeName",)),
        "status": status,
    }


def _only(mapping: Manifest, keys: Iterable[str]) -> Manifest:
    return {key: mapping[key] for key in keys if key in mapping}


def provider_of(builder: Manifest) -> Key | None:
    """Return the builder of another namespace whose daemons a builder uses, as its spec says; valid it need not be."""
    provider = ((builder.get("spec") or {}).get("shared") or {}).get("from")
    return None if provider is None else (provider["namespace"], provider["name"])


BUILDERS: Final = Kinds(
    primary=names.BUILDER,
    children={
        DEPLOYMENT: drop_bookkeeping,
        STATEFUL_SET: drop_bookkeeping,
        # Never deleted, whatever label they have: they belong to the StatefulSet or to nobody.
        PERSISTENT_VOLUME_CLAIM: drop_bookkeeping,
        SERVICE: drop_bookkeeping,
        CONFIG_MAP: drop_bookkeeping,
        SERVICE_ACCOUNT: drop_bookkeeping,
        POD_DISRUPTION_BUDGET: drop_bookkeeping,
        NETWORK_POLICY: drop_bookkeeping,
        POD: keep_pod_state,
    },
    owner_label=names.OWNER_LABEL,
    refers_to=provider_of,
)
"""Secrets are not among them: they are read by name, so that RBAC need not allow listing them."""
