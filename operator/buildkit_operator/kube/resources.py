"""API resources: group, version and plural of each kind that we read and write. One constant a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import quote

Manifest: TypeAlias = dict[str, Any]
"""An API object as the server's JSON has it."""

Key: TypeAlias = tuple[str, str]
"""Namespace and name of an object."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of the API, and the name its addresses are built with."""

    group: str
    """API group; empty for the core group."""
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def display_name(self) -> str:
        """Plural with its group, as kubectl and RBAC messages write it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Address below the server's root: of all namespaces, of one, of one object, or of its subresource.

        An object without a namespace is one of a kind that has none. Raises ValueError for a name that would be part of
        the address itself; of others, what means something in an address is escaped.
        """
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace is not None:
            parts += ["namespaces", _part(namespace)]
        parts.append(self.plural)
        parts += [_part(part) for part in (name, subresource) if part is not None]
        return "/".join(parts)


def _part(name: str) -> str:
    """Return a name as one part of an address: it may not lead elsewhere, whoever it comes from."""
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name")
    return quote(name, safe="")


CERTIFICATE: Final = Resource("cert-manager.io", "v1", "certificates", "Certificate")
CONFIG_MAP: Final = Resource("", "v1", "configmaps", "ConfigMap")
DEPLOYMENT: Final = Resource("apps", "v1", "deployments", "Deployment")
EVENT: Final = Resource("events.k8s.io", "v1", "events", "Event")
LEASE: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NAMESPACE: Final = Resource("", "v1", "namespaces", "Namespace")
NETWORK_POLICY: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
PERSISTENT_VOLUME_CLAIM: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
POD: Final = Resource("", "v1", "pods", "Pod")
POD_DISRUPTION_BUDGET: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
REPLICA_SET: Final = Resource("apps", "v1", "replicasets", "ReplicaSet")
SECRET: Final = Resource("", "v1", "secrets", "Secret")
SERVICE: Final = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNT: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
STATEFUL_SET: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")

KNOWN: Final = tuple(known for known in globals().copy().values() if isinstance(known, Resource))
"""Every kind above, for the client's table of what a manifest's apiVersion and kind stand for."""
