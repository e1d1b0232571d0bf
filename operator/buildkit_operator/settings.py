"""What an administrator can set, by environment variables with the prefix BUILDKIT_OPERATOR_."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from buildkit_operator.kube.auth import own_namespace

PREFIX: Final = "BUILDKIT_OPERATOR_"


class SettingsError(Exception):
    """A variable has a value that it cannot have; the message has a sentence for each."""


class Settings(BaseModel):
    """Settings of the operator's process."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve, separated by commas. Empty means the whole cluster."""

    cluster_domain: str = "cluster.local"
    """DNS domain of the cluster, for the names that servers' certificates are issued for."""

    buildkit_image: str = ""
    """Image of BuildKit for builders that name none. Empty means the release this operator was tested with."""

    workers: int = Field(default=16, ge=1, le=256)
    """How many builders are reconciled at the same time."""

    resync_seconds: float = Field(default=300, ge=1)
    """Seconds between two comparisons of everything known with the API server's lists, give or take a tenth."""

    lease: bool = True
    """Write only while holding a Lease, so that several replicas can run."""

    lease_name: str = "buildkit-operator"
    """Name of the Lease."""

    lease_namespace: str = Field(default_factory=own_namespace)
    """Namespace of the Lease. By default the pod's own, outside of a cluster `default`."""

    identity: str = Field(default_factory=socket.gethostname)
    """Who holds the Lease and reports events: by default the host's name, which in a pod is the pod's."""

    http_port: int = Field(default=8080, ge=0, le=65535)
    """Port of /livez, /readyz and /metrics. 0 picks a free one, which is logged."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages to log."""

    log_format: Literal["json", "text"] = "json"
    """`json` for log collectors, `text` for people at a terminal."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
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
