"""Generated builders: specs that the schema allows, the same with something wrong in them, and one after another.

All comes from the CRD as it is: a new field is generated with the others.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

import tomli_w
from hypothesis import strategies as st

from buildkit_operator.api.crd import definition
from buildkit_operator.desired import buildkitd_keys as keys
from buildkit_operator.kube.resources import Manifest
from tests.integration.fuzz import texts

Strategy = st.SearchStrategy[Any]

SCHEMA: Final[Manifest] = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

PROVIDER: Final = {"namespace": "fuzz-provider", "name": "provider"}
"""A builder that admits every namespace of the generated ones."""

SECRET: Final = "ca"
CLAIM: Final = "cache"
"""Objects that are in each namespace of a generated builder, for specs to name."""


@dataclass(frozen=True)
class Life:
    """One builder, from its creation through the changes of its spec to its deletion."""

    specs: list[Any]
    """What is sent, one after the other."""
    name: str | None = None
    """None for one of the test's own."""
    metadata: Manifest = field(default_factory=dict)
    """What else stands there."""


def lives() -> st.SearchStrategy[Life]:
    """Return builders, of which two in three have only what the schema allows."""
    spec = st.one_of(valid_specs(), valid_specs(), valid_specs().flatmap(mutated))
    specs = st.integers(0, 9).flatmap(
        lambda n: st.lists(spec, min_size=1 + (n > 5) + (n > 8), max_size=1 + (n > 5) + (n > 8))
    )
    name = st.integers(0, 30).flatmap(lambda n: texts.hostile(260) if n == 0 else st.none())
    return st.builds(Life, specs, name, _metadata())


def _metadata() -> Strategy:
    """Return what users may write beside the spec; mostly they write nothing."""
    keys_of_annotations = st.sampled_from(["a", "example.com/x", "kubectl.kubernetes.io/x"])
    annotations = st.dictionaries(keys_of_annotations, texts.hostile(3000), min_size=1)
    depth = st.sampled_from([3, 100, 990, 1500, 9000])
    some = st.fixed_dictionaries({"annotations": annotations}) | st.builds(_managed_fields, depth)
    return st.integers(0, 9).flatmap(lambda n: some if n == 0 else st.just({}))


def _managed_fields(depth: int) -> Manifest:
    """Return the bookkeeping of a manager as deep as that: the API server stores what looks like it."""
    entry = {
        "manager": "fuzz",
        "operation": "Update",
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": f"@fields@{depth}@",
    }
    return {"managedFields": [entry]}


# What the schema allows


def valid_specs() -> Strategy:
    """Return specs that the schema allows, and of most of those what the rules between fields do, too."""
    return st.builds(_obeying, _VALID, st.integers(0, 19))


def allowed(schema: Manifest, path: str = "") -> Strategy:
    """Return what a schema allows, leaving the rules in CEL out where they are about more than one value."""
    if path in _SPECIAL:
        return _SPECIAL[path](schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return _amounts(schema)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return _anything()
    match schema.get("type"):
        case "object":
            return _objects(schema, path)
        case "array":
            return _arrays(schema, path)
        case "string":
            return _strings(schema)
        case "integer":
            return _integers(schema)
        case "boolean":
            return st.booleans()
        case _:
            raise ValueError(f"{path}: no idea what {schema} allows")


def _objects(schema: Manifest, path: str) -> Strategy:
    if "properties" in schema:
        fields = {name: allowed(child, f"{path}.{name}") for name, child in schema["properties"].items()}
        required = schema.get("required", ())
        return _some_of(
            {name: fields[name] for name in fields if name in required},
            {name: fields[name] for name in fields if name not in required},
        )
    most = min(schema.get("maxProperties", 3), 3)
    return st.dictionaries(
        _keys(path),
        allowed(schema["additionalProperties"], f"{path}[]"),
        min_size=schema.get("minProperties", 0),
        max_size=most,
    )


def _some_of(required: dict[str, Strategy], optional: dict[str, Strategy]) -> Strategy:
    """Return objects with few of many fields: with half of each, all would be alike and large."""
    few: Strategy = st.just([])
    if optional:
        few = st.lists(st.sampled_from(sorted(optional)), unique=True, min_size=1, max_size=min(len(optional), 6))
    return few.flatmap(lambda chosen: st.fixed_dictionaries({**required, **{name: optional[name] for name in chosen}}))


def _arrays(schema: Manifest, path: str) -> Strategy:
    items = allowed(schema["items"], f"{path}[]")
    most = min(schema.get("maxItems", 3), 3)
    least = schema.get("minItems", 0)
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        (key,) = schema["x-kubernetes-list-map-keys"]
        return st.lists(items, min_size=least, max_size=most, unique_by=lambda item: item.get(key))
    if kind == "set":
        return st.lists(items, min_size=least, max_size=most, unique=True)
    return st.lists(items, min_size=least, max_size=most)


def _rules(schema: Manifest) -> str:
    return " ".join(rule["rule"] for rule in schema.get("x-kubernetes-validations", ()))


_MATCHES: Final = re.compile(r"(?<!!)self\.matches\('([^']*)'\)")
"""A pattern as a rule in CEL asks for it, where the reckoned cost of one in the schema would be too much."""


def _strings(schema: Manifest) -> Strategy:
    rules, longest = _rules(schema), schema.get("maxLength", 70)
    least = schema.get("minLength", 0)
    if "isQuantity(self)" in rules:
        return texts.sizes()
    if "isIP(self)" in rules:
        return st.ip_addresses().map(str)
    if "isCIDR(self)" in rules:
        return _ranges()
    pattern = schema.get("pattern") or next(iter(_MATCHES.findall(rules)), "").replace("\\\\", "\\") or None
    if pattern is not None:
        found = st.from_regex(pattern, fullmatch=True).filter(lambda text: least <= len(text) <= longest)
        return found | found | _from_words(pattern, least, longest)
    return texts.hostile(longest).filter(lambda text: len(text) >= least) | _from_words("", least, longest)


def _from_words(pattern: str, least: int, longest: int) -> Strategy:
    """Return ordinary words that a pattern matches, if there are any."""
    words = [
        "a",
        "job",
        "builds",
        "example.com",
        "registry.example.com:5000",
        "/mnt/cache",
        "ndots:2",
        "A_B",
        SECRET,
        "10.0.0.1",
    ]
    fitting = [word for word in words if re.search(pattern, word) and least <= len(word) <= longest]
    return st.sampled_from(fitting) if fitting else st.nothing()


def _ranges() -> Strategy:
    return st.builds(
        lambda address, bits: f"{address}/{bits if address.version == 6 else bits % 33}",
        st.ip_addresses(),
        st.integers(0, 128),
    ) | st.sampled_from(["10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "::/0", "192.0.2.1/32"])


def _integers(schema: Manifest) -> Strategy:
    least, most = schema.get("minimum", -(2**31)), schema.get("maximum", 2**31 - 1)
    return st.sampled_from([least, most]) | st.integers(least, most) | st.integers(least, min(most, least + 3))


def _amounts(schema: Manifest) -> Strategy:
    if "isQuantity(self)" in _rules(schema):
        return texts.quantities() | st.integers(0, 5) | st.sampled_from([2**31, 2**63 - 1])
    return st.integers(0, 3) | st.sampled_from(["0", "2", "0%", "34%", "100%", 2**31 - 1, "4294967296", 2**31])


def _anything() -> Strategy:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | texts.hostile(30),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.hostile(20), inner, max_size=3),
        max_leaves=8,
    ).map(lambda found: found if isinstance(found, dict) else {"nodeAffinity": found})


def _keys(path: str) -> Strategy:
    if path.endswith((".resources.requests", ".resources.limits")):
        usual = ["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "example.com/gpu"]
    else:
        usual = ["team", "example.com/x", "a", "kubernetes.io/arch", "topology.kubernetes.io/zone"]
    # One that is no key spoils the whole spec, and there are many maps.
    return st.integers(0, 9).flatmap(lambda n: texts.hostile(40) if n == 0 else st.sampled_from(usual))


# What the rules between fields say


def _obeying(spec: Manifest, dice: int) -> Manifest:
    """Return a spec without what contradicts something else of it; one in twenty is left as it is."""
    if dice == 0:
        return spec
    shared = spec.get("shared", {})
    if spec["mode"] == "Sidecar":
        spec = {name: value for name, value in spec.items() if name not in ("shared", "imagePullSecrets")}
        spec.get("cache", {}).pop("persistentVolumeClaim", None)
        spec.get("injection", {}).pop("connector", None)
    elif "from" in shared and dice > 14:
        beside = {name: value for name, value in spec.items() if name in ("mode", "suspend", "injection")}
        return {**beside, "shared": {"from": shared["from"]}}
    else:
        shared.pop("from", None)
        spec.get("cache", {}).pop("ephemeralVolume", None)
        if "maxBuilds" not in shared:
            shared.pop("queueTimeoutSeconds", None)
        if shared.get("architectures"):
            shared.get("pod", {}).get("nodeSelector", {}).pop("kubernetes.io/arch", None)
        _choose_tls(shared, dice)
        _choose_names(shared.get("pod", {}), dice)
    if spec.get("isolation") == "UserNamespace":
        spec.pop("securityProfiles", None)
    for registry in spec.get("daemon", {}).get("registries", ()):
        _choose_transport(registry, dice)
    for variable in spec.get("env", ()):
        _choose_source(variable, dice)
    _choose_files(spec.get("daemon", {}), dice)
    _choose_values(spec)
    _choose_amounts(spec)
    return spec


def _choose_amounts(spec: Manifest) -> None:
    """Give a cache room for what is to be kept of it, and memory and disk more than a few bytes."""
    collection = spec.get("daemon", {}).get("garbageCollection", {})
    if {"maxUsedSpace", "reservedSpace", "minFreeSpace"} & collection.keys():
        spec.setdefault("cache", {})["size"] = "1Ei"
    if "maxUsedSpace" in collection:
        collection.pop("reservedSpace", None)
    cache = spec.get("cache", {})
    if {"persistentVolumeClaim", "ephemeralVolume"} & cache.keys():
        cache.pop("medium", None)
    if "medium" in cache:
        cache["size"] = "1Gi"
        collection.clear()
        spec.setdefault("resources", {}).setdefault("limits", {})["memory"] = "1Ei"
    for kind, amounts in spec.get("resources", {}).items():
        for name in {"memory", "ephemeral-storage"} & amounts.keys():
            amounts[name] = "1Gi" if kind == "requests" else "1Ei"


def _choose_source(variable: Manifest, dice: int) -> None:
    if "valueFrom" not in variable:
        return
    if dice % 2:
        variable.pop("value", None)
        kind = ("secretKeyRef", "configMapKeyRef")[dice // 2 % 2]
        variable["valueFrom"] = {kind: variable["valueFrom"].get(kind, {"name": "a", "key": "a"})}
    else:
        del variable["valueFrom"]


def _choose_files(daemon: Manifest, dice: int) -> None:
    """Have each mounted thing come from one object, and to a place of its own."""
    for source in daemon.get("certificateAuthorities", ()):
        _choose_one(source, ("secretName", "configMapName"), dice)
    for number, volume in enumerate(daemon.get("volumes", ())):
        chosen = _choose_one(volume, ("secretName", "configMapName", "claimName"), dice)
        if chosen != "claimName":
            volume.pop("readOnly", None)
        if dice % 3:
            volume["mountPath"] = f"/mnt/{number}"


def _choose_one(holder: Manifest, names: tuple[str, ...], dice: int) -> str:
    """Leave one of some fields, with what the namespace has where none is there; return its name."""
    there = [name for name in names if name in holder]
    chosen = there[dice % len(there)] if there else names[dice % len(names)]
    for name in there:
        if name != chosen:
            del holder[name]
    holder.setdefault(chosen, CLAIM if chosen == "claimName" else SECRET)
    return chosen


def _choose_names(pod: Manifest, dice: int) -> None:
    """Give a pod a way to resolve names, and its ServiceAccount one author."""
    if "serviceAccountName" in pod and pod.get("serviceAccountAnnotations"):
        del pod[("serviceAccountName", "serviceAccountAnnotations")[dice % 2]]
    if pod.get("dnsPolicy") == "None":
        config = pod.setdefault("dnsConfig", {})
        config["nameservers"] = config.get("nameservers") or ["10.0.0.10"]
    if pod.get("dnsConfig", {}).get("options"):
        pod["dnsConfig"]["options"] = [{"name": "ndots", "value": str(dice % 16)}, {"name": "edns0"}]


def _choose_values(value: Any) -> None:
    """Give each requirement on labels in a spec the values that its operator compares with."""
    for holder, key in _places(value):
        match holder[key]:
            case {"key": _, "operator": "Exists" | "DoesNotExist"} as requirement:
                requirement.pop("values", None)
            case {"key": _, "operator": "In" | "NotIn"} as requirement:
                requirement["values"] = requirement.get("values") or ["a"]
            case {"key": _, "operator": "Gt" | "Lt"} as requirement:
                requirement["values"] = ["1"]
            case _:
                pass


def _choose_transport(registry: Manifest, dice: int) -> None:
    ways = [name for name in ("plainHTTP", "insecureSkipVerify", "caSecretName") if registry.get(name)]
    for name in ways:
        if name != ways[dice % len(ways)]:
            del registry[name]
    if registry.get("plainHTTP"):
        registry.pop("clientCertificateSecretName", None)
    if "mirrors" in registry:
        registry["mirrors"] = [mirror for mirror in registry["mirrors"] if mirror != registry["host"]]


def _choose_tls(shared: Manifest, dice: int) -> None:
    tls = shared.get("tls", {})
    if tls.get("mode") != "CertManager":
        tls.pop("issuerRef", None)
    else:
        tls.setdefault("issuerRef", {"name": "issuer"})
    if tls.get("mode", "SelfSigned") != "SelfSigned":
        shared.pop("allowedNamespaces", None)
    if "allowedNamespaces" in shared and "selector" not in shared["allowedNamespaces"]:
        shared["allowedNamespaces"]["names"] = shared["allowedNamespaces"].get("names") or ["a"]
    if tls.get("mode") == "Disabled":
        tls.pop("dnsNames", None)
    if tls.get("mode") == "Disabled" and dice < 18:
        shared.setdefault("service", {})["type"] = "ClusterIP"


# Fields whose values the schema does not tell


def _toml(schema: Manifest) -> Strategy:
    longest = schema.get("maxLength", 65536)
    written = _table(keys.KEYS, (), keys.OWNED).map(_written)
    dotted = st.builds(
        lambda n, end: ".".join("a" * n) + end, st.sampled_from([2, 40, 400]), st.sampled_from([" = 1", "", " ="])
    )
    nested = st.builds(
        lambda n, way: way[0] * n + way[1] * n, st.sampled_from([3, 90, 2000]), st.sampled_from(["[]", "{}"])
    )
    ugly = st.one_of(
        texts.hostile(longest),
        dotted,
        nested.map(lambda value: f"insecure-entitlements = {value}"),
        nested.map(lambda value: f"[worker.oci.labels]\na = {value}"),
        _table(keys.KEYS, (), ()).map(_written),
        st.lists(st.sampled_from(texts.TOML) | texts.hostile(20), max_size=6).map("\n".join),
        st.builds(lambda text, more: text + more, written, texts.hostile(40)),
    )
    return st.integers(0, 9).flatmap(lambda n: ugly if n < 3 else written).map(lambda text: text[:longest])


def _written(config: Manifest) -> str:
    try:
        return tomli_w.dumps(config)
    except (ValueError, TypeError, UnicodeError):
        return ""


def _table(known: keys.Table, path: tuple[str, ...], without: Collection[tuple[str, ...]]) -> Strategy:
    fields: dict[str, Strategy] = {}
    for key, wanted in known.items():
        here = (*path, key)
        if here not in without:
            fields["example.com" if key == keys.ANY_KEY else key] = _toml_value(wanted, here, without)
    return _some_of({}, fields)


def _toml_value(wanted: Any, path: tuple[str, ...], without: Collection[tuple[str, ...]]) -> Strategy:
    if isinstance(wanted, dict):
        return _table(wanted, path, without)
    if isinstance(wanted, list):
        return st.lists(_table(wanted[0], path, without), max_size=2)
    whole = st.integers(0, 10) | st.sampled_from([-1, 2**31, 2**63 - 1, -(2**63), 2**63, 2**64])
    simple: dict[Any, Strategy] = {
        keys.STRING: texts.hostile(40) | st.sampled_from(["info", "overlayfs", "10.0.0.0/8", "json"]),
        keys.BOOLEAN: st.booleans(),
        keys.INTEGER: whole,
        keys.COUNT: whole,
        keys.STRINGS: st.lists(texts.hostile(20) | st.sampled_from(["linux/amd64", "network.host"]), max_size=3),
        keys.LABELS: st.dictionaries(texts.hostile(20), texts.hostile(20), max_size=3),
        keys.DURATION: whole | st.sampled_from(["48h", "1m30s", "10", "-1h", "1x", "", "1d", "9" * 30 + "h"]),
        keys.DISK_SPACE: whole | st.sampled_from(["10GB", "10%", "1.5GB", "-1GB", "101%", "x", "", "9" * 30]),
    }
    usual = simple.get(
        wanted, texts.hostile(20) | st.integers(0, 3) | st.dictionaries(texts.hostile(8), st.booleans(), max_size=2)
    )
    return st.integers(0, 19).flatmap(lambda n: st.sampled_from(["x", 1.5, True, [1], {"a": 1}]) if n == 0 else usual)


def _reference(known: str) -> Callable[[Manifest], Strategy]:
    return lambda schema: st.just(known) | _strings(schema)


_SPECIAL: Final[dict[str, Callable[[Manifest], Strategy]]] = {
    ".daemon.toml": _toml,
    ".daemon.registries[].caSecretName": _reference(SECRET),
    ".injection.localCache.claimName": _reference(CLAIM),
    ".shared.from": lambda schema: st.just(PROVIDER) | _objects(schema, "from"),
    ".shared.replicas": lambda schema: st.integers(0, 3) | _integers(schema),
    ".suspend": lambda _: st.integers(0, 7).map(lambda n: n == 0),
}
"""What is likelier to lead anywhere than what the schema allows, by the path of a field."""

_VALID: Final = allowed(SCHEMA)


# Something wrong in it


def mutated(spec: Manifest) -> Strategy:
    """Return a spec with one to three wrong things in it."""
    return st.lists(
        st.tuples(st.integers(0, 10**6), st.sampled_from(_CHANGES), texts.wrong()), min_size=1, max_size=3
    ).map(lambda changes: _changed(spec, changes))


_CHANGES: Final = ("replace", "replace", "remove", "add", "wrap", "double", "null", "type")


def _changed(spec: Manifest, changes: list[tuple[int, str, Any]]) -> Any:
    result: Any = {"spec": _copy(spec)}
    for where, how, given in changes:
        value = _copy(given)  # What is put in twice would else come to lie in itself.
        places = list(_places(result))
        holder, key = places[where % len(places)]
        old = holder[key]
        match how:
            case "replace":
                holder[key] = value
            case "remove" if isinstance(holder, dict) and holder is not result:
                del holder[key]
            case "add" if isinstance(old, dict):
                old[value if isinstance(value, str) and not value.startswith("@") else "unknownField"] = value
            case "wrap":
                holder[key] = [old]
            case "double" if isinstance(old, list):
                holder[key] = old * 2 if old else [value] * 300
            case "double" if isinstance(old, str):
                holder[key] = old * 100
            case "type":
                holder[key] = str(old) if not isinstance(old, str) else {"a": old}
            case _:
                holder[key] = None
    return result["spec"]


def _places(value: Any) -> Any:
    """Yield each holder with each of its keys, deeply."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(items):
        yield value, key
        yield from _places(child)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(child) for key, child in value.items()}
    return [_copy(child) for child in value] if isinstance(value, list) else value
