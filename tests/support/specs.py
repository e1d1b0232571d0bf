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
    "shared.service.annotations",
    "shared.pod.labels",
    "shared.pod.annotations",
    "shared.pod.nodeSelector",
    "shared.pod.affinity",
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
            ("shared.tls.mode", "Disabled"),
            ("shared.allowedNamespaces.names", ["a"]),
            ("shared.allowedNamespaces.selector.matchLabels", {"team": "a"}),
            ("shared.allowedNamespaces.selector.matchExpressions", [{"key": "team", "operator": "Exists"}]),
        )
    },
    **{
        f"shared.tls.issuerRef.{field}": nested(
            "shared.tls", {"mode": "CertManager", "issuerRef": {"name": "issuer", field: value}}
        )
        for field, value in (("name", "issuer"), ("kind", "ClusterIssuer"), ("group", "example.com"))
    },
}
"""By the path of each other field, a spec that sets it, and of others only those that it cannot be without."""

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
    (registry(host="https://example.com"), "spec.daemon.registries[0].host", "should match"),
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
            "must be a host, with its port and a path",
        )
        for mirror in ("https://mirror.example.com", "mirror.example.com/", "mirror:port", "/team", "a b")
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
        "must be more than 0",
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
    ({"shared": {"port": 80}}, "spec.shared.port", "greater than or equal to 1024"),
    ({"shared": {"tls": {"mode": "Mutual"}}}, "spec.shared.tls.mode", "Unsupported value"),
    ({"shared": {"tls": {"dnsNames": ["a b"]}}}, "spec.shared.tls.dnsNames[0]", "should match"),
    ({"shared": {"tls": {"dnsNames": ["a", "a"]}}}, "spec.shared.tls.dnsNames[1]", "Duplicate value"),
    ({"shared": {"service": {"type": "ExternalName"}}}, "spec.shared.service.type", "Unsupported value"),
    ({"shared": {"drainTimeoutSeconds": 86401}}, "spec.shared.drainTimeoutSeconds", "less than or equal to 86400"),
    (pod(labels={"app.kubernetes.io/name": "x"}), "spec.shared.pod.labels", "label keys may not begin with"),
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
        for size, sentence in (("-1Gi", "must be more than 0"), ("1 Gi", "must be a quantity such as 20Gi"))
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
    ({"suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    ({"env": [None]}, "spec.env[0]", "must be of type object"),
    ({"image": 'a<b>&"c"\t\u200b'}, "spec.image", "should match"),
    ({"injection": {"podSelector": {"matchLabels": {}}}}, "spec.injection.podSelector.matchLabels", "at least 1"),
]
"""Spec, path of the field, and a part of what is said about it. Mode is Shared unless a spec says otherwise."""

TAKEN: Final[list[Manifest]] = [
    {},
    {"mode": "Sidecar"},
    {"suspend": True},
    {"shared": {}},
    {"shared": {"replicas": 0}},
    {"shared": {"port": 1024}},
    {"shared": {"port": 65535}},
    {"cache": {"size": "1Gi"}},
    {"cache": {"size": "1.5Ti"}},
    {"resources": {"limits": {"cpu": 2, "memory": "4Gi"}, "requests": {"cpu": "500m", "example.com/disk": "1"}}},
    {"env": [{"name": "EMPTY", "value": ""}, {"name": "UNSET"}]},
    {"daemon": {"toml": "this is for the operator to refuse"}},
    {"daemon": {"garbageCollection": {"maxUsedSpace": "12Gi", "minFreeSpace": "1"}}},
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
    pod(affinity={"podAntiAffinity": {"anything": ["goes", 1]}}),
    pod(topologySpreadConstraints=[{"topologyKey": "topology.kubernetes.io/zone"}]),
    {"shared": {"from": PROVIDER}},
    {"shared": {"from": PROVIDER, "replicas": 1, "service": None}, "injection": {"buildx": False}, "suspend": True},
    {"shared": {"allowedNamespaces": {"selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}}},
    {"shared": {"tls": {"mode": "CertManager", "issuerRef": {"name": "issuer"}}}},
    {"mode": "Sidecar", "injection": {"localCache": {"claimName": "cache"}, "podSelector": {"matchLabels": {"a": ""}}}},
    {"isolation": "UserNamespace", "cache": {"size": "1e12", "persistentVolumeClaim": {"storageClassName": None}}},
    {"image": None, "env": None, "resources": {"limits": {"cpu": None}}, "daemon": None},
    {"daemon": {"garbageCollection": {"maxUsedSpace": "0.5", "reservedSpace": "+1E", "minFreeSpace": "1n"}}},
    {"cache": {"size": "1e400"}, "daemon": {"garbageCollection": {"minFreeSpace": "1e-400"}}},
    {"daemon": {"dns": {"nameservers": ["::", "::1"], "searchDomains": ["*.example.com"]}}},
]
