"""The largest spec that the definition takes: every field, each text, list and map as long as it may be."""

import re
from collections.abc import Callable
from typing import Any, Final

from buildkit_operator.api import crd
from buildkit_operator.kube.resources import Manifest

SPEC: Final = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

WIDE: Final = "<"
"""A character that etcd keeps as six: `\\u003c`."""


def _domain(number: int, length: int) -> str:
    """Return a domain of this length, of labels of 63."""
    text = f"n{number}-".ljust(length, "a")
    parts = [text[at : at + 63] for at in range(0, length, 64)]
    return ".".join(part.rstrip("-") for part in parts)


_SHAPES: Final[tuple[Callable[[int, int], str], ...]] = (
    lambda number, length: f"{number}".ljust(length, WIDE),
    lambda number, length: f"n{number}-".ljust(length, "a"),
    lambda number, length: f"a{number}".ljust(length, "a"),
    _domain,
    lambda number, length: f"{_domain(number, length - 64)}/{'a' * 63}",
    lambda number, length: f"{_domain(number, min(length, 247))}:65535",
    lambda number, length: f"/n{number}-".ljust(length, "a"),
    lambda number, _: f"1{number % 10}Gi".rjust(32, "0"),
    lambda number, _: f"10.{number // 256}.{number % 256}.0/24",
    lambda number, _: f"fd00::{number + 1:x}",
    lambda number, _: f"n{number}:12345",
)


class Largest:
    """Makes values that differ from each other."""

    def __init__(self) -> None:
        self._made = 0

    def value(self, schema: Manifest, path: str = "") -> Any:
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "object" if "properties" in schema:
                fields = schema["properties"].items()
                return {name: self.value(child, f"{path}.{name}") for name, child in fields}
            case "object":
                pairs = range(schema["maxProperties"])
                return {self._key(path): self.value(schema["additionalProperties"], f"{path}{{}}") for _ in pairs}
            case "array" if "enum" in schema["items"]:
                return schema["items"]["enum"]
            case "array":
                return [self.value(schema["items"], f"{path}[]") for _ in range(schema["maxItems"])]
            case "boolean":
                return False
            case "integer":
                return schema["maximum"]
            case _:
                return self._text(schema, path)

    def _key(self, path: str) -> str:
        self._made += 1
        return f"{_domain(self._made, 253)}/{'a' * 63}" if path else ""

    def _text(self, schema: Manifest, path: str) -> str:
        self._made += 1
        asked = [rule["rule"] for rule in schema.get("x-kubernetes-validations", ())]
        wanted = schema.get("pattern", ".*")
        for rule in asked:
            wanted = {"isIP(self)": "^fd00::[0-9a-f]+$", "isCIDR(self)": "^10.*/24$"}.get(rule, wanted)
            wanted = "^0*1[0-9]Gi$" if "uantity(self)" in rule else wanted
            wanted = (
                "^[a-z].*:65535$"
                if "must be a host" in rule or rule.startswith(("self.matches('^([A-Z", "self.matches('^([a-z"))
                else wanted
            )
        if "x-kubernetes-int-or-string" in schema and "uantity" not in wanted and "Gi" not in wanted:
            return "100%"
        for shape in _SHAPES:
            text = shape(self._made, schema["maxLength"])[: schema["maxLength"]]
            if re.search(wanted, text):
                return text
        raise ValueError(f"no text is known for {path}: {schema}")


def _without_requirements(value: Any) -> Any:
    """Leave the requirements of all selectors out: labels are longer, and there may be so many of both together."""
    if isinstance(value, list):
        return [_without_requirements(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_requirements(child) for key, child in value.items() if key != "matchExpressions"}


def _mount_config_maps(daemon: Manifest) -> None:
    """Leave one source to each thing that is mounted."""
    for source in daemon["certificateAuthorities"]:
        del source["secretName"]
    for number, volume in enumerate(daemon["volumes"]):
        del volume["secretName"], volume["claimName"]
        volume["mountPath"] = f"/mnt/{number:02}".ljust(255, "a")


def _of_both_modes() -> Manifest:
    """Return the largest spec of mode Shared, with what only mode Sidecar has beside it."""
    spec: Manifest = _without_requirements(Largest().value(SPEC))
    spec |= {"mode": "Shared", "isolation": "Rootless"}
    spec["daemon"]["toml"] = "#".ljust(65536, WIDE)
    for registry, number in zip(spec["daemon"]["registries"], range(64), strict=True):
        registry["mirrors"] = registry["mirrors"][: 16 if number < 16 else 0]
    for number, variable in enumerate(spec["env"]):
        if number == 0:
            variable["value"] = WIDE * 16384
            del variable["valueFrom"]
        else:
            del variable["value"]
            del variable["valueFrom"]["configMapKeyRef"]
    _mount_config_maps(spec["daemon"])
    spec["daemon"]["dns"]["options"] = ["ndots:15"] * 32
    spec["daemon"]["garbageCollection"]["reservedSpace"] = spec["daemon"]["garbageCollection"]["maxUsedSpace"]
    in_shared = spec["shared"]
    in_shared["pod"]["dnsConfig"]["options"] = [{"name": "ndots", "value": "15"}] * 16
    del in_shared["from"], in_shared["tls"]["issuerRef"], in_shared["pod"]["serviceAccountName"]
    in_shared["tls"]["mode"] = "SelfSigned"
    # As many as autoscaling has at least.
    in_shared["replicas"] = 1
    del in_shared["autoscaling"]["buildsPerReplica"]
    for number, peer in enumerate(in_shared["networkPolicy"]["from"]):
        del peer["ipBlock"]
        if number >= 16:
            del peer["podSelector"]["matchLabels"], peer["namespaceSelector"]["matchLabels"]
    for annotations in (
        in_shared["service"]["annotations"],
        in_shared["pod"]["annotations"],
    ):
        annotations.update(dict.fromkeys(annotations, WIDE * 256))
    for toleration in in_shared["pod"]["tolerations"]:
        toleration |= {"operator": "Equal", "effect": "NoExecute"}
    for resources in (spec["resources"], spec["injection"]["connector"]["resources"]):
        resources["requests"] = resources["limits"]
    spec["cache"]["size"] = "20Gi"
    del spec["cache"]["medium"]
    spec["injection"]["localCache"]["mountPath"] = "/mnt/".ljust(255, "a")
    return spec


def shared() -> Manifest:
    """Return the largest spec of mode Shared."""
    spec = _of_both_modes()
    del spec["cache"]["ephemeralVolume"]
    return spec


def sidecar() -> Manifest:
    """Return the largest spec of mode Sidecar, whose variables are in its status too."""
    spec = _of_both_modes() | {"mode": "Sidecar"}
    del spec["shared"], spec["imagePullSecrets"], spec["cache"]["persistentVolumeClaim"]
    spec["injection"] = {name: value for name, value in spec["injection"].items() if name != "connector"}
    return spec
