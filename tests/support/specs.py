"""Specs of builders that the API server refuses, each with the place and the sentence, and others that it takes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from buildkit_operator.kube.resources import Manifest

MANY_LABELS: Final = {f"label-{number}": "x" for number in range(33)}
PROVIDER: Final = {"namespace": "builds", "name": "demo"}


def pod(**overlay: Any) -> Manifest:
    return {"shared": {"pod": overlay}}


def registry(**fields: Any) -> Manifest:
    return {"daemon": {"registries": [{"host": "example.com", **fields}]}}


def peer(content: Manifest) -> Manifest:
    return {"shared": {"networkPolicy": {"from": [content]}}}


def budget(unavailable: object) -> Manifest:
    return {"shared": {"disruptionBudget": {"maxUnavailable": unavailable}}}


def toleration(**fields: Any) -> Manifest:
    return pod(tolerations=[{"operator": "Exists", **fields}])


def affinity(path: str, value: Any) -> Manifest:
    return pod(affinity=nested(path, value))


def volume(**fields: Any) -> Manifest:
    return {"daemon": {"volumes": [{"name": "further", "mountPath": "/mnt/further", **fields}]}}


def authority(**fields: Any) -> Manifest:
    return {"daemon": {"certificateAuthorities": [fields]}}


def mounted(path: str) -> Manifest:
    return {"injection": {"localCache": {"claimName": "cache", "mountPath": path}}}


def open_without_tls(**shared: Any) -> Manifest:
    return {"shared": {"tls": {"mode": "Disabled"}, **shared}}


BESIDE_FROM: Final = ("mode", "suspend", "injection", "shared.from")
"""The only fields, with what is in them, that a builder may set that uses another namespace's."""


def settings(spec: Manifest, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each field of a spec that holds no object of ours; a list is one."""
    for name, value in spec.items():
        here = f"{path}.{name}".lstrip(".")
        if isinstance(value, dict) and here not in MAPS:
            yield from settings(value, here)
        else:
            yield here, value


def nested(path: str, value: Any) -> Manifest:
    """Return a spec in which this field alone is set."""
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


MAPS: Final = {
    "resources.requests",
    "resources.limits",
    "injection.connector.resources.requests",
    "injection.connector.resources.limits",
    "shared.service.annotations",
    "shared.pod.labels",
    "shared.pod.annotations",
    "shared.pod.nodeSelector",
    "shared.pod.serviceAccountAnnotations",
    "shared.allowedNamespaces.selector.matchLabels",
}
"""Fields that hold objects whose keys are the user's."""

_EVERYTHING: Final = Path(__file__).parents[1] / "unit" / "golden" / "everything" / "builder.yaml"

NOT_BESIDE_FROM: Final[dict[str, Manifest]] = {
    **{
        path: nested(path, value)
        for path, value in settings(yaml.safe_load(_EVERYTHING.read_text()))
        if not path.startswith(BESIDE_FROM)
    },
    # What that builder has as by default, or not at all.
    **{
        path: nested(path, value)
        for path, value in (
            ("isolation", "UserNamespace"),
            ("securityProfiles", "NodeDefault"),
            ("shared.pod.serviceAccountAnnotations", {"eks.amazonaws.com/role-arn": "arn"}),
            ("cache.medium", "Memory"),
            ("cache.ephemeralVolume.storageClassName", "fast"),
            ("shared.architectures", ["arm64"]),
            ("shared.tls.mode", "Disabled"),
            ("shared.allowedNamespaces.names", ["a"]),
            ("shared.autoscaling.maxReplicas", 2),
            ("shared.allowedNamespaces.selector.matchLabels", {"team": "a"}),
            ("shared.allowedNamespaces.selector.matchExpressions", [{"key": "team", "operator": "Exists"}]),
        )
    },
    **{
        f"shared.autoscaling.{field}": {"shared": {"autoscaling": {"maxReplicas": 2, field: 2}}}
        for field in ("minReplicas", "runnersPerReplica", "buildsPerReplica", "idleSeconds")
    },
    **{
        f"cache.ephemeralVolume.dataSource.{field}": nested(
            "cache.ephemeralVolume.dataSource", {"kind": "VolumeSnapshot", "name": "warm"}
        )
        for field in ("kind", "name")
    },
    **{
        f"shared.tls.issuerRef.{field}": nested(
            "shared.tls", {"mode": "CertManager", "issuerRef": {"name": "issuer", field: value}}
        )
        for field, value in (("name", "issuer"), ("kind", "ClusterIssuer"), ("group", "example.com"))
    },
}
"""By the path of each other field, a spec that sets it, and of others only those that it cannot be without."""

_NOT_NAMES: Final = ("..", "../../kube-system/secrets/x", "a/b", "a?", "a#", "%2e%2e", "A", "a b", "a\nb", "-a", "a..b")


def _named(name: str) -> Iterator[tuple[str, Manifest]]:
    """Yield path and spec of each field that names an object, with this name."""
    reference = {"name": name, "key": "k"}
    yield "imagePullSecrets[0].name", {"imagePullSecrets": [{"name": name}]}
    yield "env[0].valueFrom.secretKeyRef.name", {"env": [{"name": "A", "valueFrom": {"secretKeyRef": reference}}]}
    yield "env[0].valueFrom.configMapKeyRef.name", {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": reference}}]}
    yield "daemon.registries[0].caSecretName", registry(caSecretName=name)
    yield "daemon.registries[0].clientCertificateSecretName", registry(clientCertificateSecretName=name)
    yield "daemon.certificateAuthorities[0].secretName", authority(secretName=name)
    yield "daemon.certificateAuthorities[0].configMapName", authority(configMapName=name)
    yield "daemon.volumes[0].secretName", volume(secretName=name)
    yield "daemon.volumes[0].configMapName", volume(configMapName=name)
    yield "daemon.volumes[0].claimName", volume(claimName=name)
    yield "shared.pod.runtimeClassName", pod(runtimeClassName=name)
    yield "cache.persistentVolumeClaim.storageClassName", nested("cache.persistentVolumeClaim.storageClassName", name)
    yield (
        "shared.tls.issuerRef.name",
        {"shared": {"tls": {"mode": "CertManager", "issuerRef": {"name": name}}}},
    )
    yield "shared.pod.priorityClassName", pod(priorityClassName=name)
    yield "shared.pod.serviceAccountName", pod(serviceAccountName=name)
    yield "shared.from.namespace", {"shared": {"from": {"namespace": name, "name": "demo"}}}
    yield "shared.from.name", {"shared": {"from": {"namespace": "builds", "name": name}}}
    yield "shared.allowedNamespaces.names[0]", {"shared": {"allowedNamespaces": {"names": [name]}}}
    yield "injection.localCache.claimName", {"injection": {"localCache": {"claimName": name}}}
    yield "injection.containers[0]", {"injection": {"containers": [name]}}


def _at(path: str, value: Any) -> Manifest:
    """Return a spec with a value at a path such as `a.b[0].c`, and nothing else in its lists."""
    for part in reversed(path.split(".")):
        name, is_list, _ = part.partition("[")
        value = {name: [value] if is_list else value}
    return dict(value)


_SIDES: Final = tuple(
    f"shared.pod.affinity.{kind}.{when}"
    for kind in ("podAffinity", "podAntiAffinity")
    for when in (
        "requiredDuringSchedulingIgnoredDuringExecution[0]",
        "preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm",
    )
)
_SELECTORS: Final = (
    "shared.networkPolicy.from[0].podSelector",
    "shared.networkPolicy.from[0].namespaceSelector",
    "shared.allowedNamespaces.selector",
    *(f"{side}.{field}" for side in _SIDES for field in ("labelSelector", "namespaceSelector")),
)
_NODE_TERMS: Final = (
    "shared.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]",
    "shared.pod.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference",
)
_REQUIREMENTS: Final = tuple(f"{place}.matchExpressions" for place in (*_SELECTORS, *_NODE_TERMS))
_KIND: Final = "spec.shared.pod.affinity."
_MANY_ENTRIES: Final = "all terms together may have at most 128 labels, requirements and values"


def _requirement(values: int) -> Manifest:
    return {"key": "a/b", "operator": "In", "values": ["x"] * values}


def _selector(entries: int) -> Manifest:
    """Return a selector with so many labels, requirements and values: two labels, and requirements of 32 values."""
    whole, rest = divmod(entries - 2, 33)
    requirements = [_requirement(32)] * whole + ([_requirement(rest - 1)] if rest else [])
    return {"matchLabels": {"a": "", "b": ""}, "matchExpressions": requirements}


_MAPS_WITH_KEYS: Final = {
    **{f"{place}.matchLabels": "" for place in _SELECTORS},
    "shared.pod.labels": "",
    "shared.pod.annotations": "",
    "shared.service.annotations": "",
    "shared.pod.serviceAccountAnnotations": "",
    "shared.pod.nodeSelector": "",
    "injection.podSelector.matchLabels": "",
    "resources.requests": 1,
    "resources.limits": 1,
    "injection.connector.resources.requests": 1,
    "injection.connector.resources.limits": 1,
}
"""Paths of maps whose keys are the user's, with a value that is good there."""


def _whole(path: str, value: Any) -> Manifest:
    """Return a spec with a value at a path, and what else an affinity cannot be without."""
    spec = _at(path, value)
    return dict(_completed(spec)) if "affinity" in path else spec


def _completed(value: Any) -> Any:
    if isinstance(value, list):
        return [_completed(item) for item in value]
    if not isinstance(value, dict):
        return value
    whole = {key: _completed(child) for key, child in value.items()}
    if "podAffinityTerm" in whole or "preference" in whole:
        whole["weight"] = 1
    if {"labelSelector", "namespaceSelector"} & whole.keys():
        whole["topologyKey"] = "zone"
    return whole


EMPTY_BESIDE_FROM: Final[list[Manifest]] = [
    {"shared": {"pod": {}}},
    {"shared": {"disruptionBudget": {"maxUnavailable": 1}}},
    registry(),
    {"resources": {}},
    {"env": []},
]
"""What sets nothing, or what is there by default in other words; the API server cannot tell that."""

REFUSED: Final[list[tuple[Manifest, str, str]]] = [
    ({"mode": "Both"}, "spec.mode", 'supported values: "Shared", "Sidecar"'),
    ({"mode": None}, "spec.mode", "Required value"),
    ({"mode": "Sidecar", "shared": {}}, "spec.shared", "shared is only for mode Shared; remove it or set mode"),
    ({"isolation": "None"}, "spec.isolation", 'supported values: "Rootless"'),
    ({"image": "two words"}, "spec.image", "should match"),
    (
        registry(plainHTTP=True, clientCertificateSecretName="client"),
        "spec.daemon.registries[0]",
        "plainHTTP excludes clientCertificateSecretName",
    ),
    *(
        (authority(**fields), "spec.daemon.certificateAuthorities[0]", "exactly one of secretName and configMapName")
        for fields in ({}, {"secretName": "a", "configMapName": "b"}, {"key": "ca.crt"})
    ),
    (
        authority(secretName="a", key="tls.key"),
        "spec.daemon.certificateAuthorities[0].key",
        "a key that ends in .key holds no certificates",
    ),
    *(
        (spec, f"spec.daemon.{path}", "may not be a Secret with the keys of a builder")
        for end in ("ca", "tls", "client-tls")
        for path, spec in (
            ("certificateAuthorities[0].secretName", authority(secretName=f"demo-buildkitd-{end}")),
            ("volumes[0].secretName", volume(secretName=f"demo-buildkitd-{end}")),
            (
                "registries[0].clientCertificateSecretName",
                registry(clientCertificateSecretName=f"demo-buildkitd-{end}"),
            ),
        )
    ),
    *(
        (volume(**fields), "spec.daemon.volumes[0]", "exactly one of secretName, configMapName and claimName must be")
        for fields in ({}, {"secretName": "a", "claimName": "b"})
    ),
    (volume(secretName="a", readOnly=True), "spec.daemon.volumes[0].readOnly", "readOnly is for claimName"),
    *(
        (volume(secretName="a", mountPath=path), "spec.daemon.volumes[0].mountPath", said)
        for path, said in (
            ("/tmp/bin", "may not be in /tmp, where the daemon's scripts keep their notes"),
            *((path, "may not be in a directory of the system") for path in ("/etc/buildkit-ca", "/home/user", "/tmp")),
            ("/run/buildkit", "may not be in /run/buildkit"),
        )
    ),
    (
        {"daemon": {"volumes": [{"name": n, "mountPath": "/mnt/a", "secretName": "a"} for n in ("a", "b")]}},
        "spec.daemon.volumes",
        "no two volumes may have the same mountPath",
    ),
    *(
        (
            pod(hostAliases=[{"ip": ip, "hostnames": ["a"]}]),
            "spec.shared.pod.hostAliases[0].ip",
            "must be an IP address",
        )
        for ip in ("localhost", "10.0.0.300")
    ),
    (pod(hostAliases=[{"ip": "10.0.0.1", "hostnames": []}]), "spec.shared.pod.hostAliases[0].hostnames", "at least 1"),
    *(
        (
            pod(dnsPolicy="None", dnsConfig=config),
            "spec.shared.pod.dnsPolicy",
            "dnsPolicy None needs dnsConfig.nameservers",
        )
        for config in ({}, {"searches": ["a"]})
    ),
    *(
        (
            pod(dnsConfig={"options": [option]}),
            "spec.shared.pod.dnsConfig.options[0]",
            "must be an option of resolv.conf",
        )
        for option in (
            {"name": "ndots"},
            {"name": "ndots", "value": "16"},
            {"name": "timeout", "value": "soon"},
            {"name": "edns0", "value": "1"},
            {"name": "search"},
        )
    ),
    (pod(dnsPolicy="ClusterFirstWithHostNet"), "spec.shared.pod.dnsPolicy", "Unsupported value"),
    (
        pod(serviceAccountName="a", serviceAccountAnnotations={"eks.amazonaws.com/role-arn": "arn"}),
        "spec.shared.pod.serviceAccountAnnotations",
        "serviceAccountAnnotations are for the builder's own ServiceAccount",
    ),
    ({"imagePullPolicy": "Sometimes"}, "spec.imagePullPolicy", "Unsupported value"),
    ({"imagePullSecrets": [{"name": ""}]}, "spec.imagePullSecrets[0].name", "at least 1 chars"),
    ({"resources": {"limits": {"cpu": "much"}}}, "spec.resources.limits[cpu]", "must be a quantity such as 500m"),
    ({"resources": {"requests": {"memory": 1.5}}}, "spec.resources.requests.memory", "integer,string"),
    ({"resources": {"limits": MANY_LABELS}}, "spec.resources.limits", "at most 12 items"),
    ({"env": [{"name": "BUILDKIT_HOST", "value": "x"}]}, "spec.env[0].name", "are set by the operator"),
    ({"env": [{"name": "1A"}]}, "spec.env[0].name", "should match"),
    ({"env": [{"name": "A"}, {"name": "A"}]}, "spec.env[1]", "Duplicate value"),
    (
        {"env": [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
        "spec.env[0]",
        "value and valueFrom exclude each other",
    ),
    (
        {"env": [{"name": "A", "valueFrom": {}}]},
        "spec.env[0].valueFrom",
        "exactly one of secretKeyRef and configMapKeyRef must be set",
    ),
    (
        {
            "env": [
                {
                    "name": "A",
                    "valueFrom": {
                        "secretKeyRef": {"name": "s", "key": "k"},
                        "configMapKeyRef": {"name": "c", "key": "k"},
                    },
                }
            ]
        },
        "spec.env[0].valueFrom",
        "exactly one of secretKeyRef and configMapKeyRef must be set",
    ),
    ({"daemon": {"logLevel": "loud"}}, "spec.daemon.logLevel", "Unsupported value"),
    ({"daemon": {"maxParallelism": 0}}, "spec.daemon.maxParallelism", "greater than or equal to 1"),
    ({"daemon": {"toml": "#" * 65537}}, "spec.daemon.toml", "may not be more than 65536 bytes"),
    (registry(plainHTTP=True, caSecretName="ca"), "spec.daemon.registries[0]", "plainHTTP excludes"),
    (registry(plainHTTP=True, insecureSkipVerify=True), "spec.daemon.registries[0]", "plainHTTP excludes"),
    (
        registry(insecureSkipVerify=True, caSecretName="ca"),
        "spec.daemon.registries[0]",
        "the certificate is checked or it is not",
    ),
    *(
        (registry(host=host), "spec.daemon.registries[0].host", "must be a host as it stands in image names")
        for host in ("https://example.com", "example.com/team", "docker.io/library", "Example.com", "Docker.IO")
    ),
    *(
        (registry(host=host), "spec.daemon.registries[0].host", "must be docker.io for Docker Hub")
        for host in (
            "registry-1.docker.io",
            "index.docker.io",
            "index.docker.io:443",
            "docker.io:443",
            "hub.docker.com",
            "registry.hub.docker.com",
            "docker.com",
        )
    ),
    *(
        (registry(mirrors=[mirror]), "spec.daemon.registries[0].mirrors[0]", "is no host of a registry: Docker Hub")
        for mirror in ("docker.io", "docker.io/library", "index.docker.io", "hub.docker.com:443")
    ),
    *(
        (registry(mirrors=[mirror]), "spec.daemon.registries[0].mirrors[0]", "may not begin with /v2 after the host")
        for mirror in ("mirror.example.com/v2", "mirror.example.com:5000/v2/hub")
    ),
    (
        registry(host="example.com", mirrors=["mirror.example.com", "example.com"]),
        "spec.daemon.registries[0].mirrors",
        "mirrors may not name the host itself",
    ),
    (
        {"mode": "Sidecar", "injection": {"podSelector": {"matchLabels": {"buildkit-operator.dev/builder": "demo"}}}},
        "spec.injection.podSelector.matchLabels",
        "gets the builder that this names, and is picked by none",
    ),
    (
        registry(host="docker.io", plainHTTP=True),
        "spec.daemon.registries[0].plainHTTP",
        "plainHTTP of docker.io is for its mirrors, of which there are none",
    ),
    (registry(mirrors=["a"] * 17), "spec.daemon.registries[0].mirrors", "at most 16 items"),
    (
        {"daemon": {"registries": [{"host": "a"}, {"host": "a"}]}},
        "spec.daemon.registries[1]",
        "Duplicate value",
    ),
    *(
        (
            registry(mirrors=[mirror]),
            "spec.daemon.registries[0].mirrors[0]",
            "must be a host in lower case, with its port and a path",
        )
        for mirror in ("https://mirror.example.com", "mirror.example.com/", "mirror:port", "/team", "a b", "Mirror/a")
    ),
    ({"daemon": {"dns": {"nameservers": ["10.0.0.10"] * 4}}}, "spec.daemon.dns.nameservers", "at most 3 items"),
    *(
        ({"daemon": {"dns": {"nameservers": [server]}}}, "spec.daemon.dns.nameservers[0]", "must be an IP address")
        for server in ("dns.example.com", "10.0.0.10:53", "10.0.0", "")
    ),
    (peer({}), "spec.shared.networkPolicy.from[0]", "either ipBlock or podSelector and namespaceSelector must be"),
    (
        peer({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}),
        "spec.shared.networkPolicy.from[0]",
        "either ipBlock or podSelector and namespaceSelector must be",
    ),
    (
        peer({"ipBlock": {"cidr": "10.0.0.1"}}),
        "spec.shared.networkPolicy.from[0].ipBlock.cidr",
        "must be a range of addresses such as 10.0.0.0/8",
    ),
    (
        peer({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/33"]}}),
        "spec.shared.networkPolicy.from[0].ipBlock.except[0]",
        "must be a range of addresses such as 10.0.0.0/8",
    ),
    ({"shared": {"networkPolicy": {"from": []}}}, "spec.shared.networkPolicy.from", "at least 1 items"),
    (budget("half"), "spec.shared.disruptionBudget.maxUnavailable", "must be a number of pods or a percentage"),
    (budget("101%"), "spec.shared.disruptionBudget.maxUnavailable", "must be a number of pods or a percentage"),
    (budget(-1), "spec.shared.disruptionBudget.maxUnavailable", "must be a number of pods or a percentage"),
    (
        {"daemon": {"garbageCollection": {"maxUsedSpace": "all"}}},
        "spec.daemon.garbageCollection.maxUsedSpace",
        "must be a quantity such as 20Gi",
    ),
    (
        {"daemon": {"garbageCollection": {"reservedSpace": "0"}}},
        "spec.daemon.garbageCollection.reservedSpace",
        "must be at least 1Mi",
    ),
    *(
        (
            {"daemon": {"garbageCollection": {field: size}}},
            f"spec.daemon.garbageCollection.{field}",
            "must be at least 1Mi; m is a thousandth of a byte, and a bare number counts bytes",
        )
        for field in ("maxUsedSpace", "reservedSpace", "minFreeSpace")
        for size in ("500m", "20", "1000k", "0.5", "1e-400")
    ),
    (
        {"daemon": {"garbageCollection": {"maxUsedSpace": "21Gi"}}},
        "spec.daemon.garbageCollection.maxUsedSpace",
        "may not be more than cache.size: the cache would be full before",
    ),
    (
        {"daemon": {"garbageCollection": {"reservedSpace": "51Gi"}}, "cache": {"size": "50Gi"}},
        "spec.daemon.garbageCollection.reservedSpace",
        "may not be more than cache.size: nothing would ever be deleted",
    ),
    (
        {"daemon": {"garbageCollection": {"reservedSpace": "5Gi", "maxUsedSpace": "5G"}}},
        "spec.daemon.garbageCollection.reservedSpace",
        "reservedSpace may not be more than maxUsedSpace",
    ),
    (
        {
            "daemon": {"garbageCollection": {"minFreeSpace": "60Gi"}},
            "cache": {"size": "50Gi", "persistentVolumeClaim": {}},
        },
        "spec.daemon.garbageCollection.minFreeSpace",
        "its volume never has so much free",
    ),
    (
        {"cache": {"ephemeralVolume": {}}},
        "spec.cache.ephemeralVolume",
        "only for mode Sidecar: a shared daemon keeps its cache on a persistentVolumeClaim",
    ),
    *(
        (
            {"mode": mode, "cache": {"size": "2Gi", "medium": "Memory"}, **resources},
            "spec.cache.medium",
            "needs resources.limits.memory of more than cache.size",
        )
        for mode in ("Shared", "Sidecar")
        for resources in (
            {},
            {"resources": {"limits": {"cpu": "1"}}},
            {"resources": {"requests": {"memory": "4Gi"}}},
            {"resources": {"limits": {"memory": "2Gi"}}},
            {"resources": {"limits": {"memory": 2_000_000_000}}},
        )
    ),
    ({"cache": {"medium": "Disk"}}, "spec.cache.medium", 'supported values: "Memory"'),
    *(
        (
            {
                "mode": mode,
                "resources": {"limits": {"memory": "4Gi"}},
                "cache": {"size": "1Gi", "medium": "Memory", field: {}},
            },
            "spec.cache.medium",
            "medium is where the cache is without persistentVolumeClaim and ephemeralVolume",
        )
        for mode, field in (("Shared", "persistentVolumeClaim"), ("Sidecar", "ephemeralVolume"))
    ),
    (
        {"mode": "Sidecar", "cache": {"ephemeralVolume": {"dataSource": {"kind": "Secret", "name": "a"}}}},
        "spec.cache.ephemeralVolume.dataSource.kind",
        'supported values: "PersistentVolumeClaim", "VolumeSnapshot"',
    ),
    *(
        (
            {
                "mode": "Sidecar",
                "daemon": {"garbageCollection": {"minFreeSpace": "60Gi"}},
                "resources": {"limits": {"memory": "90Gi"}},
                "cache": {"size": "50Gi", field: value},
            },
            "spec.daemon.garbageCollection.minFreeSpace",
            "its volume never has so much free",
        )
        for field, value in (("ephemeralVolume", {}), ("medium", "Memory"))
    ),
    *(
        ({"resources": {"limits": {"ephemeral-storage": limit}}}, "spec.resources.limits", "the pod would be evicted")
        for limit in ("10Gi", 10_000_000)
    ),
    *(
        (
            {"resources": {field: {resource: amount}}},
            "spec.resources",
            "memory and ephemeral-storage must be at least 1Mi",
        )
        for field in ("requests", "limits")
        for resource, amount in (("memory", "500m"), ("memory", 4), ("ephemeral-storage", "512k"))
        if (field, resource) != ("limits", "ephemeral-storage")
    ),
    *(
        ({"env": [{"name": name, "value": value}]}, "spec.env[0].value", "buildkitd passes over anything else")
        for name in ("BUILDKIT_STEP_LOG_MAX_SIZE", "BUILDKIT_STEP_LOG_MAX_SPEED")
        for value in ("10MB", "", "unlimited", "-2", "10000000000")
    ),
    (
        {"shared": {"tls": {"mode": "Disabled", "dnsNames": ["builds.example.com"]}}},
        "spec.shared.tls.dnsNames",
        "dnsNames stand in the certificate, of which there is none in mode Disabled",
    ),
    ({"shared": {"allowedNamespaces": {}}}, "spec.shared.allowedNamespaces", "admits nobody: give names"),
    ({"shared": {"allowedNamespaces": {"names": []}}}, "spec.shared.allowedNamespaces", "admits nobody: give names"),
    (
        pod(nodeSelector={"kubernetes.io/os": "windows"}),
        "spec.shared.pod.nodeSelector",
        "kubernetes.io/os must be linux",
    ),
    (
        {"daemon": {"garbageCollection": {"keepSeconds": 59}}},
        "spec.daemon.garbageCollection.keepSeconds",
        "greater than or equal to 60",
    ),
    ({"cache": {"size": "big"}}, "spec.cache.size", "must be a quantity such as 20Gi"),
    ({"cache": {"size": "one"}}, "spec.cache.size", "must be a quantity such as 20Gi"),
    ({"cache": {"size": "1000Mi"}}, "spec.cache.size", "must be at least 1Gi"),
    ({"cache": {"size": 20}}, "spec.cache.size", "must be of type string"),
    ({"shared": {"replicas": -1}}, "spec.shared.replicas", "greater than or equal to 0"),
    ({"shared": {"replicas": 101}}, "spec.shared.replicas", "less than or equal to 100"),
    *(
        ({"shared": {**beside, "autoscaling": fields}}, f"spec.shared.{path}", said)
        for beside, fields, path, said in (
            ({}, {}, "autoscaling.maxReplicas", "Required value"),
            ({}, {"maxReplicas": 0}, "autoscaling.maxReplicas", "greater than or equal to 1"),
            ({}, {"maxReplicas": 101}, "autoscaling.maxReplicas", "less than or equal to 100"),
            ({}, {"maxReplicas": 1, "minReplicas": -1}, "autoscaling.minReplicas", "greater than or equal to 0"),
            ({}, {"maxReplicas": 2, "minReplicas": 3}, "autoscaling.minReplicas", "minReplicas may not be larger than"),
            ({}, {"maxReplicas": 2, "runnersPerReplica": 0}, "autoscaling.runnersPerReplica", "or equal to 1"),
            ({}, {"maxReplicas": 2, "idleSeconds": 86401}, "autoscaling.idleSeconds", "less than or equal to 86400"),
            (
                {},
                {"maxReplicas": 2, "runnersPerReplica": 1, "buildsPerReplica": 1},
                "autoscaling.buildsPerReplica",
                "either runnersPerReplica or buildsPerReplica",
            ),
            (
                {"maxBuilds": 2},
                {"maxReplicas": 2, "buildsPerReplica": 2},
                "autoscaling.buildsPerReplica",
                "buildsPerReplica must be less than maxBuilds",
            ),
            ({"replicas": 0}, {"maxReplicas": 2}, "replicas", "autoscaling sets the number of daemons"),
            ({"replicas": 3}, {"maxReplicas": 2}, "replicas", "autoscaling sets the number of daemons"),
        )
    ),
    ({"shared": {"port": 80}}, "spec.shared.port", "greater than or equal to 1024"),
    *(
        ({"shared": {"port": port}}, "spec.shared.port", "the pods have other things on the ports 1233 and 9150")
        for port in (1233, 9150)
    ),
    ({"shared": {"maxBuilds": 0}}, "spec.shared.maxBuilds", "greater than or equal to 1"),
    ({"shared": {"maxBuilds": 1001}}, "spec.shared.maxBuilds", "less than or equal to 1000"),
    (
        {"shared": {"maxBuilds": 1, "queueTimeoutSeconds": 0}},
        "spec.shared.queueTimeoutSeconds",
        "greater than or equal to 1",
    ),
    (
        {"shared": {"architectures": ["arm64"], "pod": {"nodeSelector": {"kubernetes.io/arch": "arm64"}}}},
        "spec.shared.pod.nodeSelector",
        "architectures has the nodes chosen by kubernetes.io/arch: remove it from pod.nodeSelector",
    ),
    ({"shared": {"architectures": ["x86_64"]}}, "spec.shared.architectures[0]", "supported values"),
    ({"shared": {"architectures": ["arm64", "arm64"]}}, "spec.shared.architectures[1]", "Duplicate value"),
    (
        {"shared": {"queueTimeoutSeconds": 60}},
        "spec.shared.queueTimeoutSeconds",
        "queueTimeoutSeconds needs maxBuilds: without it no build waits for a place",
    ),
    ({"shared": {"tls": {"mode": "Mutual"}}}, "spec.shared.tls.mode", "Unsupported value"),
    ({"shared": {"tls": {"dnsNames": ["a b"]}}}, "spec.shared.tls.dnsNames[0]", "should match"),
    ({"shared": {"tls": {"dnsNames": ["a", "a"]}}}, "spec.shared.tls.dnsNames[1]", "Duplicate value"),
    ({"shared": {"service": {"type": "ExternalName"}}}, "spec.shared.service.type", "Unsupported value"),
    ({"shared": {"drainTimeoutSeconds": 86401}}, "spec.shared.drainTimeoutSeconds", "less than or equal to 86400"),
    (pod(labels={"app.kubernetes.io/name": "x"}), "spec.shared.pod.labels", "label keys may not begin with"),
    (
        pod(serviceAccountAnnotations={"argocd.argoproj.io/tracking-id": "x"}),
        "spec.shared.pod.serviceAccountAnnotations",
        "annotation keys may not begin with",
    ),
    (
        pod(dnsConfig={"nameservers": ["dns.example.com"]}),
        "spec.shared.pod.dnsConfig.nameservers[0]",
        "must be an IP address",
    ),
    (
        pod(annotations={"buildkit-operator.dev/config-hash": "x"}),
        "spec.shared.pod.annotations",
        "annotation keys may not begin with",
    ),
    (pod(labels=MANY_LABELS), "spec.shared.pod.labels", "at most 32 items"),
    (pod(labels={"team": "x" * 64}), "spec.shared.pod.labels.team", "may not be more than 63 bytes"),
    (pod(tolerations=[{"effect": "Never"}]), "spec.shared.pod.tolerations[0].effect", "Unsupported value"),
    (pod(topologySpreadConstraints=[{}]), "spec.shared.pod.topologySpreadConstraints[0].topologyKey", "Required"),
    (
        {"mode": "Sidecar", "cache": {"persistentVolumeClaim": {}}},
        "spec.cache.persistentVolumeClaim",
        "a sidecar's cache goes with its pod",
    ),
    (
        {"mode": "Sidecar", "imagePullSecrets": [{"name": "pull"}]},
        "spec.imagePullSecrets",
        "imagePullSecrets is only for mode Shared",
    ),
    (
        {"mode": "Sidecar", "injection": {"connector": {}}},
        "spec.injection.connector",
        "injection.connector is only for mode Shared",
    ),
    *(
        (nested("injection.connector.resources", resources), "spec.injection.connector.resources", refusal)
        for resources, refusal in (
            ({"limits": {"memory": "64m"}}, "memory and ephemeral-storage must be at least 1Mi"),
            ({"requests": {"cpu": 2}, "limits": {"cpu": "1999m"}}, "a request may not be more than the limit"),
        )
    ),
    (
        {"isolation": "UserNamespace", "securityProfiles": "NodeDefault"},
        "spec.securityProfiles",
        "securityProfiles is only for isolation Rootless",
    ),
    (
        {"resources": {"requests": {"cpu": "2 cores"}}},
        "spec.resources.requests[cpu]",
        "must be a quantity such as 500m",
    ),
    *(
        ({"daemon": {"garbageCollection": {field: size}}}, f"spec.daemon.garbageCollection.{field}", sentence)
        for field in ("maxUsedSpace", "reservedSpace", "minFreeSpace")
        for size, sentence in (("-1Gi", "must be at least 1Mi"), ("1 Gi", "must be a quantity such as 20Gi"))
    ),
    *(
        (
            {"injection": {"localCache": {"claimName": "cache", "mountPath": path}}},
            "spec.injection.localCache.mountPath",
            sentence,
        )
        for path, sentence in (
            ("/run/buildkit", "may not be in /run/buildkit, where the daemon's socket is"),
            ("/run/buildkit/cache", "may not be in /run/buildkit, where the daemon's socket is"),
            ("cache", "should match"),
            ("/cache/", "should match"),
        )
    ),
    (
        {"shared": {"allowedNamespaces": {"names": ["a"]}, "tls": {"mode": "Disabled"}}},
        "spec.shared.allowedNamespaces",
        "allowedNamespaces needs tls.mode SelfSigned",
    ),
    (
        {"shared": {"allowedNamespaces": {"selector": {"matchLabels": {}}}}},
        "spec.shared.allowedNamespaces.selector",
        "an empty selector would admit every namespace",
    ),
    *(
        (
            spec | {"shared": {**spec.get("shared", {}), "from": PROVIDER}},
            "spec.shared.from",
            "from excludes everything else of shared" if "shared" in spec else "which decides everything of the daemon",
        )
        for spec in (*NOT_BESIDE_FROM.values(), *EMPTY_BESIDE_FROM)
    ),
    ({"shared": {"tls": {"mode": "CertManager"}}}, "spec.shared.tls", "issuerRef is for mode CertManager"),
    (
        {"shared": {"tls": {"issuerRef": {"name": "issuer"}}}},
        "spec.shared.tls",
        "issuerRef is for mode CertManager, which needs it",
    ),
    ({"shared": []}, "spec.shared", "must be of type object"),
    ({"shared": {"replicas": "3"}}, "spec.shared.replicas", "must be of type integer"),
    ({"shared": {"replicas": 1.5}}, "spec.shared.replicas", "must be of type int32"),
    ({"shared": {"replicas": 2**31}}, "spec.shared.replicas", "less than or equal to 100"),
    ({"highestID": 65535}, "spec.highestID", "greater than or equal to 65536"),
    ({"highestID": 2**32}, "spec.highestID", "less than or equal to 4294000000"),
    ({"suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    ({"env": [None]}, "spec.env[0]", "must be of type object"),
    ({"image": 'a<b>&"c"\t\u200b'}, "spec.image", "should match"),
    *((spec, f"spec.{path}", "should match") for name in _NOT_NAMES[:3] for path, spec in _named(name)),
    *((registry(caSecretName=name), "spec.daemon.registries[0].caSecretName", "should match") for name in _NOT_NAMES),
    *((spec, f"spec.{path}", "may not be more than") for path, spec in _named("a" * 254)),
    (registry(caSecretName="a" * 252), "spec.daemon.registries[0].caSecretName", "may not be more than 251 bytes"),
    *(
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": key}}}]},
            "spec.env[0].valueFrom.secretKeyRef.key",
            "should match",
        )
        for key in (".", "..", "..data", "a/b", "a b")
    ),
    *(({"env": [{"name": name}]}, "spec.env[0].name", "should match") for name in (".", "..", "..a", "A=B", "A\nB")),
    *(
        ({"env": [{"name": name}]}, "spec.env[0].name", "are options of buildkitd: use spec.daemon")
        for name in ("BUILDKITD_DEBUGADDR", "BUILDKITD_CONFIG")
    ),
    ({"env": [{"name": "A", "value": "a\x00b"}]}, "spec.env[0].value", "should match"),
    (
        {"env": [{"name": f"A{number}", "value": "x" * 4097} for number in range(4)]},
        "spec.env",
        "the values of all variables together may have at most 16384 characters",
    ),
    *(({"image": image}, "spec.image", "should match") for image in ("a\nb", "\x1b[31m", "ä", "-a")),
    *(
        ({"resources": {"limits": {"memory": amount}}}, "spec.resources.limits[memory]", "may not be less than 0")
        for amount in ("-1", -1)
    ),
    *(
        (
            nested(f"injection.connector.resources.{bound}", {"cpu": amount}),
            f"spec.injection.connector.resources.{bound}[cpu]",
            refusal,
        )
        for bound in ("requests", "limits")
        for amount, refusal in (("-1", "may not be less than 0"), ("much", "must be a quantity such as 500m"))
    ),
    *(
        ({"resources": {"requests": {"memory": amount}}}, "spec.resources.requests[memory]", "may not be less than 0")
        for amount in ("-1Gi", -(2**31))
    ),
    *(
        (
            {"resources": {"requests": {resource: more}, "limits": {resource: less}}},
            "spec.resources",
            "a request may not be more than the limit of the same resource",
        )
        for resource, more, less in (("cpu", "1001m", 1), ("memory", "2Gi", "2G"), ("ephemeral-storage", 2, "1"))
    ),
    *(
        (nested(path, size), f"spec.{path}", "must be at most 1Ei")
        for path in (
            "cache.size",
            "daemon.garbageCollection.maxUsedSpace",
            "daemon.garbageCollection.reservedSpace",
            "daemon.garbageCollection.minFreeSpace",
        )
        for size in ("1e400", "2Ei")
    ),
    *(
        (registry(host=host), "spec.daemon.registries[0].host", "must be a host as it stands in image names")
        for host in ("a..b", "a:0", "a:65536", "a:99999", "fd00::1", "a.", "-a", "a\nb", "[a]]", "a" * 64 + ".b")
    ),
    *(
        (registry(mirrors=[mirror]), "spec.daemon.registries[0].mirrors[0]", "must be a host in lower case, with its")
        for mirror in ("a..b", "a:99999/b", "[fd00::1", "a/../b c", "a\nb")
    ),
    (
        {"daemon": {"registries": [{"host": f"h{n}", "mirrors": ["m"] * 16} for n in range(17)]}},
        "spec.daemon.registries",
        "all registries together may have at most 256 mirrors",
    ),
    *(
        ({"daemon": {"dns": {"searchDomains": [domain]}}}, "spec.daemon.dns.searchDomains[0]", "should match")
        for domain in ("*.example.com", "a b", "a\nnameserver 1.2.3.4", "a..b", "A")
    ),
    *(
        ({"daemon": {"dns": {"options": [option]}}}, "spec.daemon.dns.options[0]", "must be an option of resolv.conf")
        for option in (
            "ndots:2\nnameserver 1.2.3.4",
            "a b",
            "",
            "ndots:x",
            "ndots",
            "ndots=2",
            "usevc",
            "rotate:1",
            "ndots:16",
            "timeout:60",
        )
    ),
    *(
        (budget(pods), "spec.shared.disruptionBudget.maxUnavailable", "and no more than 9999")
        for pods in (10000, "10000", "9999999999")
    ),
    *(
        (mounted(path), "spec.injection.localCache.mountPath", "should match")
        for path in ("/mnt//x", "/mnt/./x", "/mnt/../etc", "/mnt/x/", "/mnt/a b", "/mnt/a\nb", "//mnt", "/mnt/a:b")
    ),
    *(
        (mounted(path), "spec.injection.localCache.mountPath", "may not be in a directory of the system or of runners")
        for path in (
            "/etc",
            "/etc/ssl/certs",
            "/usr/bin",
            "/lib64",
            "/proc/1",
            "/dev/shm",
            "/run/x",
            "/var/run/buildkit",
            "/var/lib/x",
            "/var",
            "/home/runner",
            "/opt/hostedtoolcache",
            "/root",
            "/tmp",
            "/__e/node",
            "/tekton/bin",
        )
    ),
    *(
        (
            open_without_tls(service={"type": kind}),
            "spec.shared.service.type",
            "type LoadBalancer or NodePort with tls.mode Disabled would let everybody outside build",
        )
        for kind in ("LoadBalancer", "NodePort")
    ),
    *(
        (
            open_without_tls(service={"type": kind}, networkPolicy={"from": [{"ipBlock": {"cidr": cidr}}]}),
            "spec.shared.networkPolicy",
            "with tls.mode Disabled an ipBlock may not be wider than /8",
        )
        for kind in ("LoadBalancer", "ClusterIP")
        for cidr in ("0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3")
    ),
    *(
        ({"shared": {"service": {"annotations": {key: "x"}}}}, "spec.shared.service.annotations", "keys may not begin")
        for key in (
            "argocd.argoproj.io/tracking-id",
            "kustomize.toolkit.fluxcd.io/name",
            "helm.toolkit.fluxcd.io/name",
            "meta.helm.sh/release-name",
            "kubectl.kubernetes.io/last-applied-configuration",
            "buildkit-operator.dev/applied-hash",
            "config.k8s.io/owning-inventory",
        )
    ),
    *(
        (pod(labels={key: "x"}), "spec.shared.pod.labels", "label keys may not begin with")
        for key in ("app.kubernetes.io/managed-by", "argocd.argoproj.io/instance", "pod-template-hash")
    ),
    *(
        (nested(path, {"a": "x" * 4096, "b": "x" * 4096, "c": "x"}), f"spec.{path}", "the values together may have at")
        for path in ("shared.service.annotations", "shared.pod.annotations")
    ),
    *(
        (nested(path, {"team": value}), f"spec.{path}.team", "should match")
        for path in ("shared.pod.labels", "shared.pod.nodeSelector", "injection.podSelector.matchLabels")
        for value in ("a b", "a\nb", "-a", "a/b")
    ),
    *((toleration(key=key), "spec.shared.pod.tolerations[0].key", "should match") for key in ("a b", "a/b/c", "/a")),
    (toleration(value="a b"), "spec.shared.pod.tolerations[0].value", "should match"),
    (
        pod(topologySpreadConstraints=[{"topologyKey": "a\nb"}]),
        "spec.shared.pod.topologySpreadConstraints[0].topologyKey",
        "should match",
    ),
    *(
        (
            {"shared": {"tls": {"mode": "CertManager", "issuerRef": {"name": "i", **fields}}}},
            f"spec.shared.tls.issuerRef.{next(iter(fields))}",
            "should match",
        )
        for fields in ({"kind": "Cluster Issuer"}, {"kind": "a/b"}, {"group": "*.example.com"}, {"group": "a..b"})
    ),
    *(
        ({"shared": {"tls": {"dnsNames": [name]}}}, "spec.shared.tls.dnsNames[0]", "should match")
        for name in ("a..b", "*")
    ),
    *(
        (_whole(path, {"k" * 318: value}), f"spec.{path}", "keys may have at most 317 characters")
        for path, value in _MAPS_WITH_KEYS.items()
    ),
    *(
        (_whole(path, [_requirement(32), _requirement(32), _requirement(32), _requirement(30)]), place, sentence)
        for path, place, sentence in (
            *((f"{term}.matchExpressions", _KIND + "nodeAffinity", _MANY_ENTRIES) for term in _NODE_TERMS),
            *(
                (f"{side}.{field}.matchExpressions", _KIND + side.split(".")[3], _MANY_ENTRIES)
                for side in _SIDES
                for field in ("labelSelector", "namespaceSelector")
            ),
        )
    ),
    (
        {
            "shared": {
                "networkPolicy": {"from": [{"podSelector": _selector(127)}, {"namespaceSelector": _selector(130)}]}
            }
        },
        "spec.shared.networkPolicy.from",
        "all peers together may have at most 256 labels, requirements and values",
    ),
    *(
        (_whole(path, [{"key": key, "operator": "Exists"}]), f"spec.{path}[0].key", "should match")
        for path in _REQUIREMENTS
        for key in ("a b", "../a")
    ),
    *(
        (
            _whole(path, [{"key": "a", "operator": operator, "values": values}]),
            f"spec.{path}[0].values",
            "Exists and DoesNotExist have none",
        )
        for path in _REQUIREMENTS
        for operator, values in (("In", []), ("Exists", ["x"]))
    ),
    *(
        (
            _whole(f"{term}.matchExpressions", [{"key": "a", "operator": "Gt", "values": values}]),
            f"spec.{term}.matchExpressions[0].values",
            "Gt and Lt compare with one whole number",
        )
        for term in _NODE_TERMS
        for values in (["x"], ["1", "2"])
    ),
    *(
        (toleration(**fields), f"spec.shared.pod.tolerations[0].{field}", sentence)
        for fields, field, sentence in (
            ({"operator": "Equal"}, "operator", "without a key, which means every taint, operator must be Exists"),
            ({"key": "a", "operator": "Exists", "value": "x"}, "value", "operator Exists compares no value"),
            ({"key": "a", "tolerationSeconds": 1}, "tolerationSeconds", "only for effect NoExecute"),
        )
    ),
    *(
        (_whole(f"{side}.{field}", ["a/b/c"]), f"spec.{side}.{field}[0]", "should match")
        for side in _SIDES
        for field in ("matchLabelKeys", "mismatchLabelKeys", "namespaces")
    ),
    (
        affinity("nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", [{}] * 9),
        "spec.shared.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
        "must have at most 8 items",
    ),
    (
        affinity("nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", [{"weight": 101, "preference": {}}]),
        "spec.shared.pod.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight",
        "less than or equal to 100",
    ),
    (affinity("podAffinity", [[[]]]), "spec.shared.pod.affinity.podAffinity", "must be of type object"),
    ({"injection": {"podSelector": {"matchLabels": {}}}}, "spec.injection.podSelector.matchLabels", "at least 1"),
]
"""Spec, path of the field, and a part of what is said about it. Mode is Shared unless a spec says otherwise."""

TAKEN: Final[list[Manifest]] = [
    {},
    {"mode": "Sidecar"},
    {"suspend": True},
    {"highestID": 65536},
    {"highestID": 4294000000, "isolation": "UserNamespace"},
    {"shared": {}},
    {"shared": {"replicas": 0}},
    {"shared": {"port": 1024}},
    {"shared": {"port": 65535}},
    {"shared": {"maxBuilds": 1000, "queueTimeoutSeconds": 86400}},
    {
        "shared": {
            "architectures": ["arm64", "amd64", "ppc64le", "s390x"],
            "pod": {"nodeSelector": {"a": "b"}},
        }
    },
    {"shared": {"architectures": [], "pod": {"nodeSelector": {"kubernetes.io/arch": "arm64"}}}},
    {"cache": {"size": "1Gi"}},
    {"cache": {"size": "1.5Ti"}},
    {"resources": {"limits": {"cpu": 2, "memory": "4Gi"}, "requests": {"cpu": "500m", "example.com/disk": "1"}}},
    {"env": [{"name": "EMPTY", "value": ""}, {"name": "UNSET"}]},
    {"daemon": {"toml": "this is for the operator to refuse"}},
    {"daemon": {"garbageCollection": {"maxUsedSpace": "20Gi", "reservedSpace": "20Gi", "minFreeSpace": "1Mi"}}},
    # Of a disk that the cache shares with its whole node.
    {"daemon": {"garbageCollection": {"minFreeSpace": "500Gi"}}},
    {"resources": {"limits": {"ephemeral-storage": "20Gi", "memory": 0}, "requests": {"ephemeral-storage": "1Gi"}}},
    {
        "resources": {"limits": {"ephemeral-storage": "1Gi"}},
        "cache": {"persistentVolumeClaim": {"storageClassName": "fast"}},
    },
    {
        "env": [
            {"name": "BUILDKIT_STEP_LOG_MAX_SIZE", "value": "-1"},
            {"name": "BUILDKIT_STEP_LOG_MAX_SPEED", "value": "999999999"},
        ]
    },
    registry(host="docker.io", mirrors=["registry-1.docker.io", "mirror.example.com/v2x"], plainHTTP=True),
    registry(host="example.com", mirrors=["example.com/proxy"]),
    registry(host="docker.elastic.co", mirrors=["mirror.example.com/hub/v2"]),
    pod(nodeSelector={"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}),
    {"shared": {"tls": {"mode": "Disabled", "dnsNames": []}}},
    registry(host="registry.example.com:5000", mirrors=["mirror.example.com/team"]),
    registry(mirrors=["mirror", "mirror:5000", "mirror.example.com/a/b_c-d.e", "10.0.0.1:80"]),
    {"daemon": {"dns": {"nameservers": ["10.0.0.10", "fd00::10", "169.254.20.10"]}}},
    peer({"podSelector": {}}),
    peer({"namespaceSelector": {"matchLabels": {"team": "a"}}, "podSelector": {}}),
    peer({"ipBlock": {"cidr": "fd00::/8", "except": ["fd00:1::/32"]}}),
    *(budget(unavailable) for unavailable in (0, 3, "2", "0%", "34%", "100%")),
    registry(host="localhost"),
    registry(plainHTTP=True),
    registry(insecureSkipVerify=True),
    registry(caSecretName="company-ca"),
    {"shared": {"tls": {"mode": "Disabled"}}},
    {"shared": {"tls": {"dnsNames": ["*.example.com", "builds"]}}},
    pod(labels={"team": "builds"}, annotations={"example.com/note": "x" * 4096}),
    pod(tolerations=[{"operator": "Exists"}]),
    pod(affinity={}),
    *(_whole(f"{path}.matchLabels", {"example.com/team": "a"}) for path in _SELECTORS),
    *(_whole(path, [_requirement(32)] * 3) for path in _REQUIREMENTS),
    *(spec for _, spec in _named("a-1")),
    *(mounted(path) for path in ("/cache", "/mnt/build.cache", "/var/cache/x", "/data/..x", "/tmp/cache", "/builds")),
    *(registry(host=host) for host in ("[fd00::1]:5000", "[::1]", "10.0.0.1:65535", "registry.example.com:1")),
    registry(mirrors=["[fd00::1]:5000/team"]),
    {"daemon": {"dns": {"searchDomains": ["a.example.com", "svc"], "options": ["ndots:2", "edns0", "use-vc"]}}},
    pod(
        dnsConfig={
            "options": [{"name": "ndots", "value": "15"}, {"name": "edns0"}],
        }
    ),
    {"env": [{"name": f"A{number}", "value": "x" * 4096} for number in range(4)]},
    {"env": [{"name": name, "value": "<\n\t>"} for name in ("a.b", "-a", "_", ".a")]},
    {"resources": {"requests": {"cpu": 1, "nvidia.com/gpu": 2}, "limits": {"cpu": "1000m", "nvidia.com/gpu": 1}}},
    {"shared": {"service": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-internal": "true"}}}},
    pod(annotations={"kubectl.kubernetes.io/default-container": "buildkitd"}),
    open_without_tls(service={"type": "LoadBalancer"}, networkPolicy={"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}),
    open_without_tls(service={"type": "NodePort"}, networkPolicy={"from": [{"podSelector": {}}]}),
    {"cache": {"size": "1Ei"}},
    {"shared": {"networkPolicy": {"from": [{"podSelector": _selector(126)}, {"namespaceSelector": _selector(130)}]}}},
    pod(topologySpreadConstraints=[{"topologyKey": "topology.kubernetes.io/zone"}]),
    {"shared": {"from": PROVIDER}},
    {"shared": {"from": PROVIDER, "replicas": 1, "service": None}, "injection": {"buildx": False}, "suspend": True},
    {"shared": {"allowedNamespaces": {"selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}}},
    {"shared": {"tls": {"mode": "CertManager", "issuerRef": {"name": "issuer"}}}},
    {"mode": "Sidecar", "injection": {"localCache": {"claimName": "cache"}, "podSelector": {"matchLabels": {"a": ""}}}},
    {"isolation": "UserNamespace", "cache": {"size": "1e12", "persistentVolumeClaim": {"storageClassName": None}}},
    {"image": None, "env": None, "resources": {"limits": {"cpu": None}}, "daemon": None},
    {"daemon": {"garbageCollection": {"maxUsedSpace": "+1E", "reservedSpace": "1e18"}}, "cache": {"size": "1E"}},
    {"daemon": {"dns": {"nameservers": ["::", "::1"], "searchDomains": ["example.com"]}}},
]
