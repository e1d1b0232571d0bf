"""Settings of the processes, from environment variables with the prefix BUILDKIT_OPERATOR_: what an admin can set."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from buildkit_operator.api import names
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
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value


class Settings(CommonSettings):
    """Settings of the operator's process."""

    cluster_domain: str = "cluster.local"
    """DNS domain of the cluster, for the names that servers' certificates are issued for."""

    namespace: str = Field(default_factory=own_namespace)
    """Namespace that the operator runs in, from where builders' NetworkPolicies let it in. By default the pod's own."""

    buildkit_image: str = ""
    """Image of BuildKit for builders that name none. Empty means the release this operator was tested with."""

    connector_image: str = ""
    """Image of HAProxy, which leads runner pods to shared daemons. Empty means the release this operator was tested
    with.
    """

    workers: int = Field(default=16, ge=1, le=256)
    """How many builders are reconciled at the same time."""

    lease: bool = True
    """Write only while holding a Lease, so that several replicas can run."""

    lease_name: str = names.OPERATOR
    """Name of the Lease."""

    lease_namespace: str = Field(default_factory=own_namespace)
    """Namespace of the Lease. By default the pod's own, outside of a cluster `default`."""

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


class ExporterSettings(CommonSettings):
    """Settings of the exporter's process."""

    interval_seconds: float = Field(default=15, ge=0.1)
    """Seconds between two questions to a daemon how many builds it runs, give or take a tenth."""

    timeout_seconds: float = Field(default=5, gt=0)
    """Seconds that such an answer may take."""

    disk_usage_interval_seconds: float = Field(default=60, ge=0.1)
    """Seconds between two questions to a daemon what its cache holds: it lists every record, so it is asked rarely."""

    disk_usage_timeout_seconds: float = Field(default=60, gt=0)
    """Seconds that such an answer may take: a daemon that deletes old cache answers late."""

    concurrency: int = Field(default=16, ge=1, le=256)
    """How many daemons are asked at one time how busy they are; a quarter as many tell what their caches hold."""
