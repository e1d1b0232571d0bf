"""Values of daemon.toml that buildkitd takes without a word, and that then do nothing or not what was meant."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.field_types import (
    MIRROR_CHECKS,
    REGISTRY_HOST_CHECKS,
    RESOLVER_OPTION_CHECKS,
    SMALLEST_SIZE,
    TOO_SMALL,
    problem,
)
from buildkit_operator.desired import buildkitd_keys as keys
from buildkit_operator.kube import quantity

Config = Mapping[str, Any]

_GC: Final = "is passed over beside worker.oci.gcpolicy, which the operator writes: use spec.daemon.garbageCollection"
_LEVEL: Final = "is passed over beside log.level, which the operator writes: use spec.daemon.logLevel"

WITHOUT_EFFECT: Final = {
    ("debug",): _LEVEL,
    ("trace",): _LEVEL,
    ("worker", "oci", "gckeepstorage"): _GC,
    ("worker", "oci", "maxUsedSpace"): _GC,
    ("worker", "oci", "minFreeSpace"): _GC,
    ("worker", "oci", "reservedSpace"): _GC,
    ("worker", "oci", "defaultCgroupParent"): "is passed over by a rootless daemon, which makes no cgroups",
}
"""Keys that do nothing here, with the reason (cmd/buildkitd/main.go and main_oci_worker.go, util/rootless/specconv)."""

ONLY_WITH: Final = {
    "cniConfigPath": ("networkMode", "cni"),
    "cniBinaryPath": ("networkMode", "cni"),
    "cniPoolSize": ("networkMode", "cni"),
    "bridgeName": ("networkMode", "bridge"),
    "bridgeSubnet": ("networkMode", "bridge"),
    "stargzSnapshotter": ("snapshotter", "stargz"),
}
"""Keys of worker.oci that are read only with a value of another one. A rootless daemon's networkMode is else host."""

KNOWN_ENTITLEMENTS: Final = ("network.host", "security.insecure", "device")
"""Those that BuildKit knows; others it drops (solver/llbsolver/entitlements.go)."""

_SHARES: Final = ("maxUsedSpace", "reservedSpace", "keepBytes")


def problems(config: Config, builder: BuildKitBuilder) -> Iterator[str]:
    """Yield what is wrong with values of a daemon.toml whose keys and types are right, each from the key's name on."""
    for path, why in WITHOUT_EFFECT.items():
        if _at(config, path[:-1]).get(path[-1]) is not None:
            yield f"{'.'.join(path)} {why}"
    worker = _at(config, ("worker", "oci"))
    for key, (other, value) in ONLY_WITH.items():
        if key in worker and worker.get(other) != value:
            yield f'worker.oci.{key} is read only with {other} = "{value}"'
    if "platforms" in worker and builder.shared.architectures:
        yield (
            "worker.oci.platforms is one list for all daemons, and spec.shared.architectures tells each its own: "
            "remove one of them"
        )
    for name in config.get("insecure-entitlements", ()):
        if name not in KNOWN_ENTITLEMENTS:
            yield f"insecure-entitlements has {name!r}, which BuildKit drops: it knows {', '.join(KNOWN_ENTITLEMENTS)}"
    if _at(config, ("history",)).get("maxEntries") == 0:
        yield "history.maxEntries may not be 0: in the history a daemon that stops finds the builds to wait for"
    yield from _of_registries(config.get("registry", {}))
    yield from _of_resolver(config.get("dns", {}))
    yield from _of_collection(worker.get("gcpolicy", ()), builder)


def _at(config: Config, path: tuple[str, ...]) -> Config:
    for part in path:
        config = config.get(part, {})
    return config


def _of_registries(registries: Mapping[str, Config]) -> Iterator[str]:
    for host, table in registries.items():
        if said := problem(host, REGISTRY_HOST_CHECKS):
            yield f'registry."{host}" {said}'
        for mirror in table.get("mirrors", ()):
            if said := problem(mirror, MIRROR_CHECKS):
                yield f'registry."{host}".mirrors has {mirror!r}, which {said}'


def _of_resolver(dns: Config) -> Iterator[str]:
    for option in dns.get("options", ()):
        if said := problem(option, RESOLVER_OPTION_CHECKS):
            yield f"dns.options has {option!r}, which {said}"
    for server in dns.get("nameservers", ()):
        try:
            ipaddress.ip_address(server)
        except ValueError:
            yield f"dns.nameservers has {server!r}, which must be an IP address such as 10.0.0.10"


def _of_collection(policies: list[Config], builder: BuildKitBuilder) -> Iterator[str]:
    """Yield what is wrong with amounts, which are of the disk that the cache is on."""
    cache = builder.spec.cache
    for policy in policies:
        for key in (*_SHARES, "minFreeSpace"):
            name, amount = f"worker.oci.gcpolicy.{key}", policy.get(key)
            size = None if amount is None else keys.disk_space(amount)
            if size is None and str(amount).endswith("%"):
                if key != "minFreeSpace" and not cache.has_own_volume:
                    yield f"{name} may be no percentage of the node's disk, which has more on it than the cache"
            elif size and size < quantity.value(SMALLEST_SIZE):
                yield f"{name} {TOO_SMALL}"
            elif size and key != "minFreeSpace" and size > quantity.value(cache.size):
                yield f"{name} may not be more than spec.cache.size, {cache.size}, which would be full before"
