"""Renderer of buildkitd.toml: fields of the spec become the configuration, daemon.toml is merged last and checked."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from typing import Any

import tomli_w

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.daemon import GarbageCollection
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import buildkitd_keys as keys
from buildkit_operator.desired import paths, registries
from buildkit_operator.kube import quantity

Config = dict[str, Any]


def render(builder: BuildKitBuilder, *, process_sandbox: bool, room: str) -> str:
    """Return buildkitd.toml for a builder whose daemons have this much room for their cache, a quantity.

    Raises TerminalError when the raw part is no TOML, or has a key that buildkitd would pass over or that is not the
    user's, and when registries contradict one another.
    """
    try:
        raw = _from_user(builder.spec.daemon.toml or "")
        config = _from_fields(builder, room, process_sandbox=process_sandbox)
        if registry := registries.tables(builder.spec.daemon.registries, raw.get("registry", {})):
            config["registry"] = registry
        return tomli_w.dumps(_merge(config, raw))
    except RecursionError:
        raise TerminalError(Reason.INVALID_TOML, "spec.daemon.toml is nested too deeply.") from None


def _from_fields(builder: BuildKitBuilder, room: str, *, process_sandbox: bool) -> Config:
    daemon = builder.spec.daemon
    oci: Config = {"enabled": True, "noProcessSandbox": not process_sandbox, "gc": True}
    if daemon.max_parallelism is not None:
        oci["max-parallelism"] = daemon.max_parallelism
    oci["gcpolicy"] = _garbage_collection(daemon.garbage_collection, room)
    config: Config = {
        "root": paths.ROOT,
        "log": {"level": daemon.log_level.value},
        "grpc": _listeners(builder),
        # Without these two the daemon looks for devices and for a containerd that a pod does not have.
        "cdi": {"disabled": True},
        "worker": {"oci": oci, "containerd": {"enabled": False}},
    }
    if daemon.dns is not None:
        config["dns"] = {
            "nameservers": daemon.dns.nameservers,
            "searchDomains": daemon.dns.search_domains,
            "options": daemon.dns.options,
        }
    return config


def _listeners(builder: BuildKitBuilder) -> Config:
    if builder.role is Role.SIDECAR:
        # No TCP: build steps share the pod's network and could drive the daemon through it.
        return {"address": [paths.SOCKET]}
    grpc: Config = {"address": [paths.SOCKET, f"tcp://:{builder.shared.port}"]}
    if builder.shared.tls.mode is not TLSMode.DISABLED:
        grpc["tls"] = {
            "cert": f"{paths.CERTIFICATE_DIRECTORY}/tls.crt",
            "key": f"{paths.CERTIFICATE_DIRECTORY}/tls.key",
            "ca": f"{paths.CERTIFICATE_DIRECTORY}/ca.crt",
        }
    return grpc


def _garbage_collection(wanted: GarbageCollection, room: str) -> list[Config]:
    """Return BuildKit's four default policies (cmd/buildkitd/config/gcpolicy.go) with amounts that fit the cache.

    Its own amounts are shares of the node's disk, which know nothing of the volume's limit. It collects only after a
    build, and counts too little (moby/buildkit#6931), so 40 % of the volume stay free for the builds that are running.
    """
    size = quantity.value(room)
    caps = {
        "maxUsedSpace": int(quantity.value(wanted.max_used_space) if wanted.max_used_space else size * 60 / 100),
        "reservedSpace": int(quantity.value(wanted.reserved_space) if wanted.reserved_space else size * 10 / 100),
    }
    if wanted.min_free_space:
        caps["minFreeSpace"] = int(quantity.value(wanted.min_free_space))
    return [
        {
            "filters": ["type==source.local", "type==exec.cachemount", "type==source.git.checkout"],
            "keepDuration": "48h",
            "maxUsedSpace": min(512_000_000, caps["maxUsedSpace"]),
        },
        {"keepDuration": f"{wanted.keep_seconds}s", **caps},
        caps,
        {"all": True, **caps},
    ]


def _from_user(text: str) -> Config:
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TerminalError(Reason.INVALID_TOML, f"spec.daemon.toml is not valid TOML: {error}.") from None
    _check(config, keys.KEYS, ())
    return config


def _check(config: Config, known: keys.Table, path: tuple[str, ...]) -> None:
    for key, value in config.items():
        here = (*path, key)
        name = _spell(here)
        if here in keys.OWNED:
            raise TerminalError(
                Reason.INVALID_TOML, f"spec.daemon.toml sets {name}, which is the operator's; remove it."
            )
        wanted = known.get(key, known.get(keys.ANY_KEY))
        if wanted is None:
            raise TerminalError(
                Reason.INVALID_TOML,
                f"spec.daemon.toml has the key {name}, which buildkitd does not know and would pass over"
                f"{_suggestion(key, known)}",
            )
        _check_value(value, wanted, here)


def _check_value(value: Any, wanted: keys.Type | keys.Table | list[keys.Table], path: tuple[str, ...]) -> None:
    match wanted:
        case dict():
            if not isinstance(value, dict):
                raise _wrong_type(path, "a table")
            _check(value, wanted, path)
        case list():
            if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                raise _wrong_type(path, "an array of tables")
            for item in value:
                _check(item, wanted[0], path)
        case str():
            if not _has_type(value, wanted):
                raise _wrong_type(path, wanted)


def _has_type(value: Any, wanted: keys.Type) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    match wanted:
        case keys.STRING:
            return isinstance(value, str)
        case keys.BOOLEAN:
            return isinstance(value, bool)
        case keys.INTEGER:
            return is_integer
        case keys.STRINGS:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case keys.LABELS:
            return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        case keys.DURATION | keys.DISK_SPACE:
            return is_integer or isinstance(value, str)
        case _:
            return True


def _wrong_type(path: tuple[str, ...], wanted: str) -> TerminalError:
    return TerminalError(Reason.INVALID_TOML, f"spec.daemon.toml: {_spell(path)} must be {wanted}.")


def _spell(path: tuple[str, ...]) -> str:
    """Return a key as TOML writes it: a part with a dot in quotes."""
    return ".".join(f'"{part}"' if "." in part else part for part in path)


def _suggestion(key: str, known: keys.Table) -> str:
    close = get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else "."


def _merge(under: Config, over: Config) -> Config:
    """Return the tables of both, where both have a value that of the second; lists are replaced, not joined."""
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
