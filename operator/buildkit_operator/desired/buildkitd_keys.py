"""Schema of buildkitd.toml: its keys with their types, as buildkitd itself passes over an unknown one in silence.

Read from cmd/buildkitd/config/config.go and util/resolver/config/config.go of BuildKit v0.34, with which
tests/integration/test_buildkitd_keys.py compares them.
"""

from __future__ import annotations

import re
from typing import Final

STRING: Final = "a string"
BOOLEAN: Final = "true or false"
INTEGER: Final = "an integer"
COUNT: Final = "an integer that is not negative"
STRINGS: Final = "a list of strings"
LABELS: Final = "a table of strings"
DURATION: Final = "a number of seconds or a duration such as 48h"
DISK_SPACE: Final = 'a number of bytes, a size such as "20GB" or a percentage such as "30%"'
TABLE: Final = "a table"

Type = str
Table = dict[str, "Type | Table | list[Table]"]
"""Key to type; a table inside a table; a list of one table for an array of tables."""

ANY_KEY: Final = "*"
"""Stands for any key of a table, such as a registry's host."""

_GC_POLICY: Table = {
    "all": BOOLEAN,
    "filters": STRINGS,
    "keepDuration": DURATION,
    "keepBytes": DISK_SPACE,
    "reservedSpace": DISK_SPACE,
    "maxUsedSpace": DISK_SPACE,
    "minFreeSpace": DISK_SPACE,
}

_WORKER: Table = {
    "enabled": BOOLEAN,
    "labels": LABELS,
    "platforms": STRINGS,
    "snapshotter": STRING,
    "gc": BOOLEAN,
    "gckeepstorage": DISK_SPACE,
    "reservedSpace": DISK_SPACE,
    "maxUsedSpace": DISK_SPACE,
    "minFreeSpace": DISK_SPACE,
    "gcpolicy": [_GC_POLICY],
    "networkMode": STRING,
    "cniConfigPath": STRING,
    "cniBinaryPath": STRING,
    "cniPoolSize": INTEGER,
    "bridgeName": STRING,
    "bridgeSubnet": STRING,
    "apparmor-profile": STRING,
    "selinux": BOOLEAN,
    "max-parallelism": INTEGER,
    "defaultCgroupParent": STRING,
    "rootless": BOOLEAN,
}

_VERIFICATION: Table = {
    "required": BOOLEAN,
    # And what certificate.Summary of sigstore-go has, which are texts.
    "policy": {"timestampThreshold": INTEGER, "tlogThreshold": INTEGER, ANY_KEY: STRING},
}

KEYS: Final[Table] = {
    "debug": BOOLEAN,
    "trace": BOOLEAN,
    "root": STRING,
    "insecure-entitlements": STRINGS,
    "proxyNetwork": BOOLEAN,
    "provenanceEnvDir": STRING,
    "log": {"format": STRING, "level": STRING},
    "grpc": {
        "address": STRINGS,
        "debugAddress": STRING,
        "uid": INTEGER,
        "gid": INTEGER,
        "securityDescriptor": STRING,
        "tls": {"cert": STRING, "key": STRING, "ca": STRING},
    },
    "otel": {"socketPath": STRING},
    "cdi": {"disabled": BOOLEAN, "specDirs": STRINGS, "autoAllowed": STRINGS},
    "worker": {
        "oci": {
            **_WORKER,
            "noProcessSandbox": BOOLEAN,
            "userRemapUnsupported": STRING,
            "binary": STRING,
            "proxySnapshotterPath": STRING,
            "stargzSnapshotter": TABLE,
        },
        "containerd": {
            **_WORKER,
            "address": STRING,
            "namespace": STRING,
            "runtime": {"name": STRING, "path": STRING, "options": TABLE},
            "hypervIsolation": BOOLEAN,
        },
    },
    "registry": {
        ANY_KEY: {
            "mirrors": STRINGS,
            "http": BOOLEAN,
            "insecure": BOOLEAN,
            "ca": STRINGS,
            "keypair": [{"key": STRING, "cert": STRING}],
            "tlsconfigdir": STRINGS,
        }
    },
    "dns": {"nameservers": STRINGS, "options": STRINGS, "searchDomains": STRINGS},
    "history": {"maxAge": DURATION, "maxEntries": INTEGER},
    "frontend": {
        "dockerfile.v0": {"enabled": BOOLEAN},
        "gateway.v0": {"enabled": BOOLEAN, "allowedRepositories": STRINGS},
    },
    "system": {
        "platformsCacheMaxAge": DURATION,
        "maxRegistryConcurrency": INTEGER,
        "sessionAuthTimeout": DURATION,
    },
    "cache": {"gha": {"sign": {"command": STRINGS}, "verify": _VERIFICATION}},
    "compaction": {
        "enabled": BOOLEAN,
        "idleTimeout": DURATION,
        "maxRetry": INTEGER,
        "writesPerCheck": COUNT,
        "sizeWatermark": INTEGER,
        "sizeGrowthPercent": INTEGER,
        "minReclaimBytes": INTEGER,
        "minReclaimPercent": INTEGER,
        "minReclaimPercentFloor": INTEGER,
    },
}

WRITTEN: Final = frozenset(
    {
        ("root",),
        ("cdi", "disabled"),
        ("grpc", "address"),
        ("worker", "containerd"),
        ("worker", "oci", "enabled"),
        ("worker", "oci", "noProcessSandbox"),
    }
)
"""Keys that buildkitd_toml writes and no user changes; of the others that it writes, a user's value wins."""

OWNED: Final = WRITTEN | {
    ("cdi", "autoAllowed"),
    ("cdi", "specDirs"),
    ("grpc", "debugAddress"),
    ("grpc", "gid"),
    ("grpc", "securityDescriptor"),
    ("grpc", "tls"),
    ("grpc", "uid"),
    ("otel", "socketPath"),
    ("worker", "oci", "rootless"),
}
"""Keys that the operator alone sets, or leaves out: with others the daemon would not start, nobody would reach it, or
somebody else would, by a listener of its own (profiles without a password, traces) or through a device.
"""

_UNITS: Final = {unit: 1024**power for power, unit in enumerate("bkmgtp")}
_FRACTION: Final = r"(\.[0-9]{1,9})?"
_DURATION: Final = re.compile(
    "[0-9]{0,9}|"
    rf"([0-9]{{1,6}}{_FRACTION}h)?([0-9]{{1,7}}{_FRACTION}m)?([0-9]{{1,9}}{_FRACTION}s)?"
    rf"([0-9]{{1,9}}{_FRACTION}ms)?([0-9]{{1,9}}{_FRACTION}[uµμ]s)?([0-9]{{1,9}}ns)?"
)
_DISK_SPACE: Final = re.compile(
    "|[0-9]{1,3}%|[0-9]{1,18}|"
    rf"([0-9]{{1,9}}{_FRACTION} ?[kmg]|[0-9]{{1,6}}{_FRACTION} ?t|[0-9]{{1,3}}{_FRACTION} ?p)(i?b)?|[0-9]{{1,18}} ?b",
    re.IGNORECASE | re.ASCII,
)


def is_duration(text: str) -> bool:
    """Tell whether buildkitd takes a text for a duration (cmd/buildkitd/config/gcpolicy.go)."""
    return _DURATION.fullmatch(text) is not None


def is_disk_space(text: str) -> bool:
    """Tell whether buildkitd takes a text for an amount of disk (there, and RAMInBytes of docker/go-units)."""
    return _DISK_SPACE.fullmatch(text) is not None


def disk_space(amount: int | str) -> int | None:
    """Return how many bytes buildkitd takes an amount of disk for, None for a percentage.

    Its units are powers of 1024 in each spelling: `20GB` is `20GiB` (RAMInBytes of docker/go-units).
    """
    found = _AMOUNT.match(str(amount).lower())
    if str(amount).endswith("%") or found is None:
        return None
    return int(float(found[1]) * _UNITS[found[2] or "b"])


_AMOUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([bkmgtp]?)")
