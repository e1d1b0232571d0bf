"""Environment variables of the daemon: the builder's own, NO_PROXY for what no proxy must be asked for, step logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.daemon import EnvVar
from buildkit_operator.kube.resources import Manifest

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""Variables that name a proxy, in upper or lower case."""

EXCEPTIONS: Final = "NO_PROXY"
"""What is reached without the proxy. BuildKit reads the first of NO_PROXY and no_proxy that is not empty
(golang.org/x/net/http/httpproxy), Git's curl no_proxy first.
"""

LARGEST_LOG: Final = "2147483647"
"""Bytes, the most that BuildKit reads as a limit."""


def render(builder: BuildKitBuilder, cluster_domain: str) -> list[Manifest]:
    """Return the builder's variables as a container has them, with what the operator adds to them."""
    variables = builder.spec.env
    return [_variable(variable) for variable in (*_around_proxy(variables, cluster_domain), *_step_logs(variables))]


def _step_logs(variables: Sequence[EnvVar]) -> list[EnvVar]:
    """Return the limits on a step's output that users leave to us: none.

    BuildKit's own, 2 MiB and 200 KiB/s, hide the failing test of a talkative suite, which is what a CI's log is read
    for. A speed counts only below a size (util/progress/logs/logs.go), so beside a user's speed there must be one.
    """
    given = {variable.name for variable in variables}
    wanted = {names.STEP_LOG_SIZE: LARGEST_LOG if names.STEP_LOG_SPEED in given else "-1", names.STEP_LOG_SPEED: "-1"}
    return [EnvVar(name=name, value=value) for name, value in wanted.items() if name not in given]


def _around_proxy(variables: Sequence[EnvVar], cluster_domain: str) -> Sequence[EnvVar]:
    """Return variables with the cluster's own names kept from any proxy, which outside could not reach them.

    What users list stays and comes first; a list from a Secret or ConfigMap, which cannot be added to, stays as it is.
    """
    if not _has_proxy(variables):
        return variables
    ours = ["localhost", "127.0.0.1", ".svc", f".svc.{cluster_domain}"]
    # One that is empty counts as none: with our names in it, it would hide the other spelling.
    wanted = [variable for variable in variables if _is_set(variable) or not _is(variable, EXCEPTIONS)]
    if not any(_is(variable, EXCEPTIONS) for variable in wanted):
        wanted.append(EnvVar(name=EXCEPTIONS))
    return [_extended(variable, ours) if _is(variable, EXCEPTIONS) else variable for variable in wanted]


def leaves_cluster_to_proxy(builder: BuildKitBuilder) -> bool:
    """Tell whether there is a proxy whose exceptions are read from elsewhere, so that they may lack the cluster."""
    variables = builder.spec.env
    return _has_proxy(variables) and any(_is(v, EXCEPTIONS) and v.value_from for v in variables)


def _has_proxy(variables: Iterable[EnvVar]) -> bool:
    return any(_is(variable, *PROXIES) and _is_set(variable) for variable in variables)


def _is_set(variable: EnvVar) -> bool:
    return bool(variable.value or variable.value_from)


def _is(variable: EnvVar, *spellings: str) -> bool:
    return variable.name.upper() in spellings


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
