"""Renderer of buildkitd.toml: fields of the spec become the configuration, daemon.toml is merged last and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

import tomli_w

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.daemon import Daemon, GarbageCollection
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired import buildkitd_keys as keys
from buildkit_operator.desired import paths, registries, toml_bounds, toml_effect
from buildkit_operator.kube import quantity

Config = dict[str, Any]

FREE_OF_NODE: Final = "12%"
"""Of the node's disk, where that holds the cache, before builds are lost with the pod: a kubelet deletes unused images
when less than 15 % are free, and evicts pods when less than 10 % are (its imageGCHighThresholdPercent, evictionHard).
"""

ENTITLEMENTS: Final = ["network.host"]
"""What builds may ask for. A step is in the pod's network with it and without it, so it gains nothing; Docker-in-Docker
took `--network host`, and buildx's own kubernetes driver allows it for that reason. daemon.toml may forbid it."""

LONGEST: Final = 512 * 1024
"""Bytes of a buildkitd.toml; a ConfigMap, which has the scripts too, takes a mebibyte."""


def render(builder: BuildKitBuilder, *, process_sandbox: bool, room: str) -> str:
    """Return buildkitd.toml for a builder whose daemons have this much room for their cache, a quantity.

    Raises TerminalError when the raw part is no TOML, has a key that is not the user's, or a key or a value that
    buildkitd would pass over, and when registries contradict one another.
    """
    try:
        raw = _from_user(builder)
        config = _from_fields(builder, room, process_sandbox=process_sandbox)
        if registry := registries.tables(builder.spec.daemon.registries, raw.get("registry", {})):
            config["registry"] = registry
        text = tomli_w.dumps(_merge(config, raw))
    except RecursionError:
        raise _invalid("is nested too deeply") from None
    if len(text.encode()) > LONGEST:
        raise _invalid(f"makes a buildkitd.toml of more than {LONGEST} bytes")
    return text


def registry_tables(builder: BuildKitBuilder) -> Config:
    """Return the table `registry` of a builder's buildkitd.toml. Raises TerminalError as `render` does."""
    raw = _from_user(builder).get("registry", {})
    return _merge(registries.tables(builder.spec.daemon.registries, raw), raw)


def overridden(builder: BuildKitBuilder) -> list[str]:
    """Return keys that fields of spec.daemon set and the raw part sets to something else, which wins.

    Raises TerminalError as `render` does.
    """
    raw = _from_user(builder)
    unset = builder.model_copy(update={"spec": builder.spec.model_copy(update={"daemon": Daemon()})})
    given, default = (
        dict(_leaves(_from_fields(one, one.spec.cache.size, process_sandbox=True))) for one in (builder, unset)
    )
    given |= dict(_leaves({"registry": registries.tables(builder.spec.daemon.registries, raw.get("registry", {}))}))
    wins = dict(_leaves(raw))
    return [
        _spell(path)
        for path, value in given.items()
        if path in wins and wins[path] != value and value and default.get(path) != value
    ]


def _leaves(config: Config, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what is no table of its own, with its path."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _from_fields(builder: BuildKitBuilder, room: str, *, process_sandbox: bool) -> Config:
    daemon = builder.spec.daemon
    oci: Config = {"enabled": True, "noProcessSandbox": not process_sandbox, "gc": True}
    if not process_sandbox:
        oci["binary"] = paths.RUNTIME
    if daemon.max_parallelism is not None:
        oci["max-parallelism"] = daemon.max_parallelism
    oci["gcpolicy"] = _garbage_collection(daemon.garbage_collection, room, own_disk=builder.spec.cache.has_own_volume)
    config: Config = {
        "root": paths.ROOT,
        "insecure-entitlements": ENTITLEMENTS,
        "log": {"level": daemon.log_level.value},
        # No TCP: build steps share the pod's network and could drive the daemon through it.
        "grpc": {"address": [paths.SOCKET]},
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


def _garbage_collection(wanted: GarbageCollection, room: str, *, own_disk: bool) -> list[Config]:
    """Return policies of garbage collection that fit the cache, in the order in which BuildKit follows them.

    They are those that it has by default (cmd/buildkitd/config/gcpolicy.go) but for two things. Cache mounts of RUN
    steps are kept like any other cache, and not for 48 hours: a CI's compiler and package caches are to be there on
    Monday, and a cache mount cannot be made anew from anywhere. Contexts and checkouts can, and a runner pod's are of
    no use to the next one. And what is too old goes even if there is room: beside an amount that may be used, BuildKit
    asks for an age only once that amount is used (cache/manager.go, calculateKeepBytes), so that policy has none.
    """
    caps = _caps(wanted, int(quantity.value(room)), own_disk=own_disk)
    return [
        {
            "filters": ["type==source.local", "type==source.git.checkout"],
            "keepDuration": "48h",
            "maxUsedSpace": min(512_000_000, caps["maxUsedSpace"]),
        },
        {"keepDuration": f"{wanted.keep_seconds}s", "reservedSpace": caps["reservedSpace"]},
        caps,
        {"all": True, **caps},
    ]


def _caps(wanted: GarbageCollection, room: int, *, own_disk: bool) -> Config:
    """Return the amounts, in bytes: what is given, and for the rest what fits it.

    BuildKit's own defaults are shares of the node's disk, which know nothing of the volume's limit. It collects only
    after a build, and counts too little (moby/buildkit#6931), so 40 % of the volume stay free for builds that run.
    """
    used = min(_bytes(wanted.max_used_space) or room * 60 // 100, room)
    return {
        "maxUsedSpace": used,
        # More than may be used would stay in use.
        "reservedSpace": _bytes(wanted.reserved_space) or min(used, room * 10 // 100),
        "minFreeSpace": _bytes(wanted.min_free_space) or (_free_of_volume(room, used) if own_disk else FREE_OF_NODE),
    }


def _free_of_volume(room: int, used: int) -> int:
    """Return what is to stay free of a volume that is the daemon's alone: a fifth, as BuildKit has it.

    By what the file system says and not by what BuildKit counts. It is less where more than four fifths may be used,
    but not less than what file systems keep for root.
    """
    return max(room * 5 // 100, min(room * 20 // 100, room - used))


def _bytes(size: str | None) -> int | None:
    return None if size is None else int(quantity.value(size))


def _from_user(builder: BuildKitBuilder) -> Config:
    text = builder.spec.daemon.toml or ""
    try:
        toml_bounds.check(text)
        config = tomllib.loads(text)
        toml_bounds.check_parsed(config)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(f"is not valid TOML: {error}") from None
    except toml_bounds.TooMuchError as error:
        raise _invalid(f"has {error}") from None
    except ValueError:
        # Python's own bound on digits.
        raise _invalid("has an integer of more than 64 bits") from None
    _check(config, keys.KEYS, ())
    if wrong := next(toml_effect.problems(config, builder), None):
        raise TerminalError(Reason.INVALID_TOML, f"spec.daemon.toml: {wrong}.")
    return config


def _invalid(said: str) -> TerminalError:
    return TerminalError(Reason.INVALID_TOML, f"spec.daemon.toml {said}.")


def _check(config: Config, known: keys.Table, path: tuple[str, ...]) -> None:
    for key, value in config.items():
        here = (*path, key)
        name = _spell(here)
        if here in keys.OWNED:
            raise _invalid(f"sets {name}, which is the operator's; remove it")
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
        case keys.COUNT:
            return is_integer and value >= 0
        case keys.STRINGS:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case keys.LABELS:
            return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        case keys.DURATION:
            return is_integer or (isinstance(value, str) and keys.is_duration(value))
        case keys.DISK_SPACE:
            return (is_integer and value >= 0) or (isinstance(value, str) and keys.is_disk_space(value))
        case _:
            return isinstance(value, dict)


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
