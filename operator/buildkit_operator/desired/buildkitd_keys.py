"""Schema of buildkitd.toml: its keys with their types, as buildkitd itself passes over an unknown one in silence.

Read from cmd/buildkitd/config/config.go and util/resolver/config/config.go of BuildKit v0.34, with which
tests/integration/test_buildkitd_keys.py compares them.
"""

from __future__ import annotations

from typing import Final

STRING: Final = "a string"
BOOLEAN: Final = "true or false"
INTEGER: Final = "an integer"
STRINGS: Final = "a list of strings"
LABELS: Final = "a table of strings"
DURATION: Final = "a number of seconds or a duration such as 48h"
DISK_SPACE: Final = 'a number of bytes, a size such as "20GB" or a percentage such as "30%"'
ANYTHING: Final = "anything"

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
            "stargzSnapshotter": ANYTHING,
        },
        "containerd": {
            **_WORKER,
            "address": STRING,
            "namespace": STRING,
            "runtime": {"name": STRING, "path": STRING, "options": ANYTHING},
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
    "cache": {"gha": {"sign": {"command": STRINGS}, "verify": ANYTHING}},
    "compaction": {
        "enabled": BOOLEAN,
        "idleTimeout": DURATION,
        "maxRetry": INTEGER,
        "writesPerCheck": INTEGER,
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
        ("grpc", "address"),
        ("grpc", "tls"),
        ("worker", "containerd"),
        ("worker", "oci", "enabled"),
        ("worker", "oci", "noProcessSandbox"),
    }
)
"""Keys that buildkitd_toml writes and no user changes; of the others that it writes, a user's value wins."""

OWNED: Final = WRITTEN | {("grpc", "uid"), ("grpc", "gid"), ("worker", "oci", "rootless")}
"""Keys that the operator alone sets, or leaves out: with others the daemon would not start, or nobody would reach it.
"""
