"""What the fuzz test has found, each as the smallest that showed it: tried again every time."""

from typing import Final

from tests.integration.fuzz.specs import Life


def _toml(text: str) -> Life:
    return Life([{"mode": "Sidecar", "daemon": {"toml": text}}])


FOUND: Final = {
    # The API server reads an applied object as YAML, in which \ud83d\ude00 is no character: no status was ever written.
    "unicode-beyond-16-bits": Life([{"mode": "Sidecar", "resources": {"requests": {"\U0001f600": "1e400"}}}]),
    # Ready while every pod was refused.
    "resource-that-no-container-has": Life([{"mode": "Sidecar", "resources": {"limits": {"example.com": "5"}}}]),
    "name-of-a-resource-that-is-none": Life([{"mode": "Sidecar", "resources": {"limits": {"server x 192.0.2": 2}}}]),
    "key-of-a-configmap-that-is-none": Life(
        [{"mode": "Sidecar", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "\0"}}}]}]
    ),
    "name-of-a-secret-that-is-none": Life(
        [{"mode": "Sidecar", "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "a%00b$(V)", "key": "a"}}}]}]
    ),
    "huge-pages-in-pieces": Life([{"mode": "Sidecar", "resources": {"limits": {"hugepages-2Mi": "5Ki", "cpu": "1"}}}]),
    "huge-pages-alone": Life([{"mode": "Shared", "resources": {"limits": {"hugepages-2Mi": "2Mi"}}}]),
    "request-without-a-limit": Life([{"mode": "Sidecar", "resources": {"requests": {"example.com/gpu": "1"}}}]),
    # The operator tried again for ever: the path was another one's.
    "claim-in-another-path": Life([{"mode": "Sidecar", "injection": {"localCache": {"claimName": "[a]\n"}}}]),
    "secret-in-another-path": Life(
        [{"mode": "Shared", "daemon": {"registries": [{"host": "a", "caSecretName": "õ\x89D¶"}]}}]
    ),
    # buildkitd would not have started.
    "more-bytes-than-63-bits": Life([{"mode": "Sidecar", "daemon": {"garbageCollection": {"reservedSpace": "8Ei"}}}]),
    "more-cache-than-63-bits": Life([{"mode": "Sidecar", "cache": {"size": "20Ei"}}]),
    "number-of-more-than-63-bits": _toml("[worker.oci]\ncniPoolSize = 9223372036854775808"),
    "duration-of-days": _toml('[system]\nplatformsCacheMaxAge = "1d"'),
    "negative-disk-space": _toml("[worker.oci]\ngckeepstorage = -1"),
    "text-for-a-table": _toml('[cache.gha]\nverify = "x"'),
    # The API server took what the operator could not read.
    "quantity-without-digits": Life([{"mode": "Sidecar", "resources": {"limits": {"cpu": "e4"}}}]),
    "quantity-out-of-range": Life([{"mode": "Shared", "cache": {"size": "1e400"}}]),
    # What the scheduler, the network and the API server ask of each other's fields.
    "toleration-of-nothing": Life([{"mode": "Shared", "shared": {"pod": {"tolerations": [{}]}}}]),
    "range-with-host-bits": Life(
        [{"mode": "Shared", "shared": {"networkPolicy": {"from": [{"ipBlock": {"cidr": "3.1.2.3/5"}}]}}}]
    ),
    "values-for-exists": Life(
        [
            {
                "mode": "Shared",
                "shared": {
                    "networkPolicy": {
                        "from": [
                            {
                                "namespaceSelector": {
                                    "matchExpressions": [{"key": "U", "operator": "Exists", "values": ["j"]}]
                                }
                            }
                        ]
                    }
                },
            }
        ]
    ),
    "table-of-another-type": _toml('[worker.oci]\nstargzSnapshotter = "x"'),
    "count-below-0": _toml("[compaction]\nwritesPerCheck = -1"),
    "label-keys-without-a-selector": Life(
        [
            {
                "mode": "Shared",
                "shared": {
                    "pod": {
                        "affinity": {
                            "podAntiAffinity": {
                                "requiredDuringSchedulingIgnoredDuringExecution": [
                                    {"mismatchLabelKeys": ["e"], "topologyKey": "b"}
                                ]
                            }
                        }
                    }
                },
            }
        ]
    ),
}
