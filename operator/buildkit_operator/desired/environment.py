"""Environment variables of the daemon: the builder's own, and NO_PROXY for what no proxy must be asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.daemon import EnvVar
from buildkit_operator.kube.resources import Manifest

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""Variables that name a proxy, in upper or lower case."""

EXCEPTIONS: Final = "NO_PROXY"
"""What is reached without the proxy. BuildKit reads the first of NO_PROXY and no_proxy that is not empty
(golang.org/x/net/http/httpproxy), Git's curl no_proxy first.
"""


def render(builder: BuildKitBuilder, cluster_domain: str) -> list[Manifest]:
    """Return the builder's variables as a container has them, with the cluster's own names kept from any proxy.

    A proxy outside could not reach them. What users list stays and comes first; a list from a Secret or ConfigMap,
    which cannot be added to, stays as it is.
    """
    variables = builder.spec.env
    if not _has_proxy(variables):
        return [_variable(variable) for variable in variables]
    ours = ["localhost", "127.0.0.1", ".svc", f".svc.{cluster_domain}"]
    # One that is empty counts as none: with our names in it, it would hide the other spelling.
    wanted = [variable for variable in variables if _is_set(variable) or not _is(variable, EXCEPTIONS)]
    if not any(_is(variable, EXCEPTIONS) for variable in wanted):
        wanted.append(EnvVar(name=EXCEPTIONS))
    return [_variable(_extended(v, ours) if _is(v, EXCEPTIONS) else v) for v in wanted]


def leaves_cluster_to_proxy(builder: BuildKitBuilder) -> bool:
    """Tell whether there is a proxy whose exceptions are read from elsewhere, so that they may lack the cluster."""
    variables = builder.spec.env
    return _has_proxy(variables) and any(_is(v, EXCEPTIONS) and v.value_from for v in variables)


def _has_proxy(variables: Iterable[EnvVar]) -> bool:
    return any(_is(variable, *PROXIES) and _is_set(variable) for variable in variables)


def _is_set(variable: EnvVar) -> bool:
    return bool(variable.value or variable.value_from)


def _is(variable: EnvVar, *names: str) -> bool:
    return variable.name.upper() in names


def _extended(variable: EnvVar, ours: Iterable[str]) -> EnvVar:
    if variable.value_from is not None:
        return variable
    listed = [word.strip() for word in (variable.value or "").split(",")]
    if "*" in listed:
        return variable
    missing = [name for name in ours if name not in listed]
    return variable.model_copy(update={"value": ",".join(filter(None, [variable.value, *missing]))})


def _variable(variable: EnvVar) -> Manifest:
    if variable.value_from is None:
        return {"name": variable.name, "value": variable.value or ""}
    return {"name": variable.name, "valueFrom": variable.value_from.model_dump(by_alias=True, exclude_none=True)}
