"""A spec that no version of the definition would take is a sentence, whatever is in it, and nothing else happens."""

import math
from collections.abc import Iterator
from typing import Any, Final

import pytest
from pydantic import ValidationError

from buildkit_operator.api import crd
from buildkit_operator.api.builder import BuildKitBuilder, Role, role_of, unreadable
from buildkit_operator.kube.resources import Manifest
from tests.support.specs import REFUSED, nested
from tests.unit.make import make_resource

SPEC: Final = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": [value]}
    return value


ODD: Final[dict[str, Any]] = {
    "nothing": None,
    "a huge integer": 10**5000,
    "a negative one": -(10**5000),
    "no number": math.nan,
    "no end": math.inf,
    "a long text": "9" * 1_000_000,
    "a quantity of many digits": "9" * 1_000_000 + "Ei",
    "a quantity of a huge exponent": "1e999999999",
    "digits of another script": "\u0661\u0662Gi",
    "half a character": "\ud800",
    "a control character": "\x1b[31m\x00\n",
    "many items": [{}] * 10_000,
    "many texts": ["a"] * 10_000,
    "many keys": {f"a{number}": "b" for number in range(10_000)},
    "an odd key": {"\x1b[31m" + "k" * 1_000_000: 1},
    "half a character as key": {"\ud800": "a"},
    "deep": deep(400),
    "true": True,
    "a fraction": 0.5,
}


def paths(schema: Manifest, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each field; `[]` stands for an item of a list, `{}` for a value of a map."""
    if path:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from paths(child, (*path, name))
    if "items" in schema:
        yield from paths(schema["items"], (*path, "[]"))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from paths(schema["additionalProperties"], (*path, "{}"))


def holding(path: tuple[str, ...], value: Any) -> Any:
    for part in reversed(path):
        value = [value] if part == "[]" else {"key": value} if part == "{}" else {part: value}
    return value


def sentence(spec: Any) -> str:
    """Return what is said of a spec; empty where nothing is wrong with it for the models."""
    try:
        BuildKitBuilder.model_validate(make_resource() | {"spec": spec})
    except ValidationError as error:
        return unreadable(error).message
    return ""


@pytest.mark.parametrize("odd", ODD)
def test_whatever_is_in_a_field_it_is_a_sentence_at_most(odd: str) -> None:
    for path in paths(SPEC):
        said = sentence({"mode": "Shared", **holding(path, ODD[odd])})

        assert len(said.encode()) < 4_000, path
        assert said.isprintable(), path


@pytest.mark.parametrize("odd", ODD)
def test_whatever_a_spec_is_it_is_a_sentence(odd: str) -> None:
    assert sentence(ODD[odd])


@pytest.mark.parametrize("odd", ODD)
def test_whatever_is_shared_a_builder_has_a_role(odd: str) -> None:
    assert role_of({"mode": "Shared", "shared": ODD[odd]}) is Role.DAEMONS
    assert role_of({"mode": ODD[odd]}) is None


@pytest.mark.parametrize(
    ("spec", "path", "said"),
    [
        (nested("shared.pod.labels", {"a b": "x"}), "spec.shared.pod.labels", "'a b' is not the key of a label"),
        (nested("shared.pod.labels", {"argocd.argoproj.io/x": "x"}), "spec.shared.pod.labels", "may not begin with"),
        (nested("shared.service.annotations", {"a/b/c": "x"}), "spec.shared.service.annotations", "of an annotation"),
        (nested("shared.service.annotations", {"a": "x" * 4096, "b": "x" * 4097}), "spec.shared.service", "4096"),
        (
            nested("shared.tls", {"mode": "CertManager", "issuerRef": {"name": "a", "kind": "ClusterIssuer/x"}}),
            "spec.shared.tls.issuerRef.kind",
            "should match pattern",
        ),
        (nested("resources.limits", {"gpu": 1}), "spec.resources.limits", "'gpu' is not the key of a resource"),
        (
            {"resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"nvidia.com/gpu": 2}}},
            "spec.resources",
            "a request may not be more than the limit",
        ),
        (nested("resources.requests", {"nvidia.com/gpu": 1}), "spec.resources", "needs a limit that is the same"),
        (
            nested("shared.networkPolicy.from", [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}}]),
            "spec.shared.networkPolicy.from.0.ipBlock",
            "11.0.0.0/9 is no part of 10.0.0.0/8",
        ),
        (
            nested("shared.networkPolicy.from", [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["fd00::/9"]}}]),
            "spec.shared.networkPolicy.from.0.ipBlock",
            "fd00::/9 is no part of 10.0.0.0/8",
        ),
        (
            nested("shared.networkPolicy.from", [{"ipBlock": {"cidr": "10.1.2.3/8"}}]),
            "spec.shared.networkPolicy.from.0.ipBlock.cidr",
            "10.1.2.3/8 has host bits set",
        ),
        (nested("resources.limits", {"cpu": "-1"}), "spec.resources.limits.cpu", "may not be less than 0"),
        (nested("env", [{"name": "BUILDKITD_DEBUGADDR"}]), "spec.env.0.name", "is not the user's to set"),
        (nested("env", [{"name": f"A{n}", "value": "x" * 9000} for n in range(2)]), "spec.env", "at most 16384"),
        (nested("cache.size", "2Ei"), "spec.cache.size", "at most 1Ei"),
        (nested("cache.size", "1e99"), "spec.cache.size", "at most 1Ei"),
        (nested("daemon.registries", [{"host": "a", "caSecretName": "../b"}]), "spec.daemon.registries.0", "pattern"),
        (nested("daemon.registries", [{"host": "a", "mirrors": ["a..b"]}]), "spec.daemon.registries.0", "be a host"),
        (nested("daemon.dns", {"nameservers": ["x"]}), "spec.daemon.dns.nameservers.0", "IPv4 or IPv6"),
        (
            nested("injection.localCache", {"claimName": "a", "mountPath": "/etc"}),
            "spec.injection.localCache.mountPath",
            "may not be in a directory of the system",
        ),
        *(
            (
                nested("shared.pod.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution", [term]),
                "spec.shared.pod.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution.0",
                said,
            )
            for term, said in (
                ({"topologyKey": "a", "matchLabelKeys": ["b"]}, "only for terms with a labelSelector"),
                (
                    {"topologyKey": "a", "matchLabelKeys": ["b"], "labelSelector": {"matchLabels": {"b": ""}}},
                    "a key stands once",
                ),
                (
                    {"topologyKey": "a", "matchLabelKeys": ["b"], "mismatchLabelKeys": ["b"], "labelSelector": {}},
                    "a key stands once",
                ),
            )
        ),
        (nested("shared.pod.affinity.podAffinity", []), "spec.shared.pod.affinity.podAffinity", "valid dictionary"),
    ],
    ids=str,
)
def test_what_a_former_definition_took_is_told_with_its_place(spec: Manifest, path: str, said: str) -> None:
    message = sentence({"mode": "Shared", **spec})

    assert message.startswith(path)
    assert said in message


def test_no_bad_spec_is_more_than_a_sentence() -> None:
    for spec, _, _ in REFUSED:
        assert sentence({"mode": "Shared", **spec}).isprintable()
