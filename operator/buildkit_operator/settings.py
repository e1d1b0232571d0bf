"""Settings of the processes, from environment variables with the prefix BUILDKIT_OPERATOR_: what an admin can set."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from buildkit_operator.api import names
from buildkit_operator.api.container_resources import Resources
from buildkit_operator.kube.auth import own_namespace

PREFIX: Final = "BUILDKIT_OPERATOR_"

SHORTEST_CERTIFICATE_DAYS: Final = 0.0019
"""Certificates begin five minutes early, for clocks that are behind: a shorter one would be due when it is made."""


class SettingsError(Exception):
    """A variable has a value that it cannot have; the message has a sentence for each."""


class CommonSettings(BaseModel):
    """What every process that watches builders has to be told."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve, separated by commas. Empty means the whole cluster."""

    resync_seconds: float = Field(default=300, ge=1)
    """Seconds between two comparisons of everything known with the API server's lists, give or take a tenth."""

    http_port: int = Field(default=8080, ge=0, le=65535)
    """Port of /livez, /readyz and /metrics. 0 picks a free one, which is logged."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages to log."""

    log_format: Literal["json", "text"] = "json"
    """`json` for log collectors, `text` for people at a terminal."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables of all settings. Raises SettingsError.

        Others with our prefix mean nothing: kubelet makes some for every Service of the namespace.
        """
        variables = {name: PREFIX + name.upper() for name in cls.model_fields}
        given = {name: environment[variable] for name, variable in variables.items() if variable in environment}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsError(
                "\n".join(f"{PREFIX}{str(wrong['loc'][0]).upper()}: {wrong['msg']}." for wrong in error.errors())
            ) from error

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _split(value)


def _split(value: object) -> object:
    """Return the parts of a text with commas; what is no text stays as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _read_resources(value: object) -> object:
    """Return the resources that a text says in JSON, of an empty one none. Raises ValueError for any other text."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value or "{}")
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    if isinstance(read, dict) and (unheard_of := read.keys() - Resources.model_fields.keys()):
        raise ValueError(f"it may have {' and '.join(Resources.model_fields)}, but not {', '.join(unheard_of)}")
    return read


_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_NAMES: Final = rf"^(\*|(\*\.)?{_LABEL}(\.{_LABEL})*)$"
_ISSUERS: Final = rf"^[A-Za-z0-9]+(\.{_LABEL})*/(\*|{_LABEL}(\.{_LABEL})*)$"


class Settings(CommonSettings):
    """Settings of the operator's process."""

    @field_validator("daemon_resources", "connector_resources", mode="before")
    @classmethod
    def _resources(cls, value: object) -> object:
        return _read_resources(value)

    @field_validator("certificate_dns_names", "certificate_issuers", mode="before")
    @classmethod
    def _split_certificates(cls, value: object) -> object:
        return _split(value)

    cluster_domain: str = "cluster.local"
    """DNS domain of the cluster, for the names that servers' certificates are issued for."""

    certificate_dns_names: tuple[Annotated[str, Field(pattern=_DNS_NAMES)], ...] = ()
    """Names, separated by commas, that builders with tls.mode CertManager may have in their certificates beside those
    of their Services. `*.example.com` stands for all below example.com, of any depth, and not for itself; `*` for all.
    """

    certificate_issuers: tuple[Annotated[str, Field(pattern=_ISSUERS)], ...] = ()
    """Issuers, separated by commas, that such builders may name beside an Issuer of their own namespace: as
    `ClusterIssuer/NAME`, of another API group as `KIND.GROUP/NAME`. The name may be `*`.
    """

    buildkit_image: str = ""
    """Image of BuildKit for builders that name none. Empty means the release this operator was tested with."""

    connector_image: str = ""
    """Image of HAProxy, which leads runner pods to shared daemons and is in front of each of those. Empty means the
    release this operator was tested with.
    """

    daemon_resources: Resources = Resources()
    """Resources of daemons whose builder has no spec.resources, with the init container of their volume, as JSON:
    `{"requests": {"memory": "1Gi"}, "limits": {"memory": "8Gi"}}`. Empty means none. A change restarts such daemons.
    """

    connector_resources: Resources = Resources()
    """Resources of connectors and fronts whose builder has no spec.injection.connector.resources, likewise. Empty means
    requests of 10m CPU and 32Mi memory, and a memory limit of 128Mi.
    """

    workers: int = Field(default=16, ge=1, le=256)
    """How many builders are reconciled at the same time."""

    lease: bool = True
    """Write only while holding a Lease, so that several replicas can run."""

    lease_name: str = names.OPERATOR
    """Name of the Lease."""

    lease_namespace: str = Field(default_factory=own_namespace)
    """Namespace of the Lease. By default the pod's own, outside of a cluster `default`."""

    @property
    def installation(self) -> str:
        """What tells this installation of the operator from others in the cluster: its Lease, with its namespace."""
        return f"{self.lease_namespace}/{self.lease_name}"

    identity: str = Field(default_factory=socket.gethostname)
    """Who holds the Lease and reports events: by default the host's name, which in a pod is the pod's."""


class WebhookSettings(CommonSettings):
    """Settings of the webhook's process."""

    https_port: int = Field(default=8443, ge=1, le=65535)
    """Port on which the API server asks."""

    webhook_name: str = names.WEBHOOK
    """Name of three objects: our MutatingWebhookConfiguration, our Service, and the Secret with our certificates."""

    webhook_namespace: str = Field(default_factory=own_namespace)
    """Namespace of the Service and the Secret. By default the pod's own, outside of a cluster `default`."""

    authority_days: float = Field(default=3650, gt=0)
    """Days that the CA lives; like the certificate, it is renewed after two thirds of them."""

    certificate_days: float = Field(default=90, ge=SHORTEST_CERTIFICATE_DAYS)
    """Days that the serving certificate lives."""

    @field_validator("certificate_days")
    @classmethod
    def _ends_before_ca(cls, days: float, known: ValidationInfo) -> float:
        if days > known.data.get("authority_days", days):
            raise ValueError("the CA must live as long as the certificate, or longer")
        return days
