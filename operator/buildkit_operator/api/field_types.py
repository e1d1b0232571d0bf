"""Types of fields: names, hosts, labels, paths and amounts, each with its pattern, its bounds and its sentence.

A text is bounded where it ends in a path, a file or a header. What the API server cannot be told to ask, such as a
pattern of a map's keys, the models ask, so that it becomes a condition.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from buildkit_operator.api import names
from buildkit_operator.api.fields import Rule, rule, rules
from buildkit_operator.kube import quantity

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SHORT_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_PORT: Final = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST: Final = rf"({_SHORT_LABEL}(\.{_SHORT_LABEL})*|\[[0-9a-f:.]+\])(:{_PORT})?"

DNS_LABEL: Final = f"^{_LABEL}$"
DNS_SUBDOMAIN: Final = rf"^{_LABEL}(\.{_LABEL})*$"
"""Names of most objects (apimachinery, pkg/util/validation, IsDNS1123Subdomain)."""

DOMAIN: Final = rf"^{_SHORT_LABEL}(\.{_SHORT_LABEL})*$"
DOMAIN_OR_WILDCARD: Final = rf"^(\*\.)?{_SHORT_LABEL}(\.{_SHORT_LABEL})*$"

HOST_AND_PORT: Final = f"^{_HOST}$"
"""As in image names (distribution/reference, regexp.go): IPv6 addresses in brackets. BuildKit looks it up as it stands
there, and writes host names in lower case nowhere.
"""

MIRROR: Final = f"^{_HOST}(/[-._~A-Za-z0-9]+)*$"

NOT_DOCKER_IO: Final = (
    "^(docker[.]io:[0-9]+|(index|registry|registry-1|auth)[.]docker[.]io(:[0-9]+)?"
    "|(www[.]|hub[.]|registry[.]hub[.]|registry[.])?docker[.]com(:[0-9]+)?)$"
)
"""Other names of Docker Hub, which error messages, `docker login` and daemon.json have. BuildKit looks up docker.io."""

NO_MIRROR_OF_HUB: Final = "^(docker[.]io|index[.]docker[.]io|(www[.]|hub[.])?docker[.]com)(:[0-9]+)?(/|$)"
"""Names of Docker Hub at which no registry answers. That docker.io is at registry-1.docker.io BuildKit knows of a
registry, and not of a mirror (util/resolver/resolver.go).
"""

API_PATH: Final = "^[^/]+/v2(/|$)"
"""A mirror with the path of the registry's API, which BuildKit puts before every path by itself."""

LABEL_KEY: Final = rf"^({_LABEL}(\.{_LABEL})*/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]$"
LABEL_VALUE: Final = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
RESOURCE_NAME: Final = (
    r"^(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMGTPE]i"
    rf"|{_LABEL}(\.{_LABEL})*/([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9])$"
)
"""What a container may ask of its node: what every node has, or what the name of a domain stands before."""


DATA_KEY: Final = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"
"""Keys of Secrets and ConfigMaps, which are names of files too (IsConfigMapKey): not `.`, `..` or `..data`."""

VARIABLE: Final = r"^([-_a-zA-Z]|\.[-_a-zA-Z0-9])[-._a-zA-Z0-9]*$"
"""Names of environment variables as every Kubernetes takes them (IsEnvVarName)."""

IMAGE: Final = r"^[A-Za-z0-9\[][-A-Za-z0-9._/:@+\[\]]*$"
"""What an image's name consists of; the kubelet knows more of it."""

RESOLVER_OPTION: Final = (
    "^(ndots:([0-9]|1[0-5])|timeout:([1-9]|[12][0-9]|30)|attempts:[1-5]|debug|rotate|no-aaaa|no-check-names|inet6|ip6-bytestring|ip6-dotint"
    "|no-ip6-dotint|edns0|single-request|single-request-reopen|no-tld-query|use-vc|no-reload|trust-ad)$"
)
"""What resolv.conf(5) has; a resolver passes over anything else, and takes less for numbers above these."""

PATH: Final = r"^(/\.{0,2}[-_+@~A-Za-z0-9][-_.+@~A-Za-z0-9]*)+$"
"""An absolute path as the kernel would write it: without //, /./, /../ and a slash at its end."""

LONGEST_KEY: Final = 317
"""Characters of the key of a label or an annotation: a DNS subdomain, a slash and 63 more."""

LONGEST_ANNOTATIONS: Final = 8192
"""Characters of all values of a map of annotations together: they are copied, and an object has an end in etcd."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
"""Name of an object: it stands in the API's paths."""

_OF_A_BUILDER: Final = "-buildkitd-(ca|tls|client-tls)$"
"""How the names of Secrets end that hold keys of a builder: see names.py. Its connection's is told by its label."""

SecretName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=249,
        pattern=DNS_SUBDOMAIN,
        json_schema_extra=rules(
            rule(
                f"!self.matches('{_OF_A_BUILDER}')",
                "may not be a Secret with the keys of a builder, which builds could read",
            )
        ),
    ),
]
"""Name of a Secret of the user's that is mounted in a daemon; with an ending, still the name of a file."""

ShortName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
"""Name of a namespace, of a container, of another builder."""

Domain = Annotated[str, Field(min_length=1, max_length=253, pattern=DOMAIN)]
DomainOrWildcard = Annotated[str, Field(min_length=1, max_length=253, pattern=DOMAIN_OR_WILDCARD)]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=DATA_KEY)]
LabelKey = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY, pattern=LABEL_KEY)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE)]
Text = Annotated[str, Field(max_length=4096)]

_Map = TypeVar("_Map", bound=Mapping[str, Any])


def keys_like(pattern: str, what: str) -> Callable[[_Map], _Map]:
    """Return a check of a map's keys. A rule in CEL cannot make it: of keys, each may be as long as a request."""

    def check(found: _Map) -> _Map:
        for key in found:
            if len(key) > LONGEST_KEY or not re.fullmatch(pattern, key):
                raise ValueError(f"{key[:100]!r} is not the key of {what}")
        return found

    return check


def _unreserved(what: str) -> Callable[[_Map], _Map]:
    def check(found: _Map) -> _Map:
        if any(key.startswith(names.RESERVED_PREFIXES) for key in found):
            raise ValueError(_reserved(what))
        return found

    return check


def _reserved(what: str) -> str:
    return f"{what} may not begin with {', '.join(names.RESERVED_PREFIXES)}"


def _bounded(annotations: dict[str, str]) -> dict[str, str]:
    if sum(map(len, annotations.values())) > LONGEST_ANNOTATIONS:
        raise ValueError(_TOO_LONG)
    return annotations


_TOO_LONG: Final = f"the values together may have at most {LONGEST_ANNOTATIONS} characters"
SHORT_KEYS: Final = rule(f"self.all(k, size(k) <= {LONGEST_KEY})", f"keys may have at most {LONGEST_KEY} characters")


def _own(what: str) -> Rule:
    """Return the rule on keys that end on our objects: none by which somebody else would claim, change or prune them.

    Ours and those of Kubernetes' controllers, of GitOps tools and of package managers.
    """
    reserved = " || ".join(f"k.startsWith('{prefix}')" for prefix in names.RESERVED_PREFIXES)
    return rule(f"!self.exists(k, {reserved})", _reserved(what))


LARGEST_SIZE: Final = "1Ei"
"""More than any disk has; buildkitd counts bytes in 63 bits."""

SMALLEST_SIZE: Final = "1Mi"
"""Less than any cache or memory is of use with: whoever writes less has written another unit than was meant. To
buildkitd half a byte, which `500m` is, means no limit at all.
"""

TOO_SMALL: Final = f"must be at least {SMALLEST_SIZE}; m is a thousandth of a byte, and a bare number counts bytes"

_TAKEN: Final = (
    "^/(bin|boot|dev|etc|home|lib[^/]*|opt|proc|root|run|sbin|sys|tekton|usr|var|__[^/]*)(/|$)|^/(mnt|srv|tmp)$"
)
"""Directories of the system, of runners and of CI systems: what is in them would be hidden from those who need it."""

_PATH_TAKEN: Final = (
    "may not be in a directory of the system or of runners, such as /etc, /usr, /run, /var, /home or /opt, whose "
    "content it would hide: use one of its own, such as one in /mnt or /var/cache"
)


def _as_text(value: object) -> object:
    """Return a number as text: an integer of any length that the API server can have."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return str(value) if is_number else value


def _size(text: str) -> str:
    if not quantity.value(SMALLEST_SIZE) <= quantity.value(text) <= quantity.value(LARGEST_SIZE):
        raise ValueError(f"must be at least {SMALLEST_SIZE} and at most {LARGEST_SIZE}")
    return text


def _amount(text: str) -> str:
    quantity.value(text)
    if text.startswith("-"):
        raise ValueError("may not be less than 0")
    return text


def _address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


def _address_range(text: str) -> str:
    # Bits beyond the prefix, which CEL takes, newer API servers refuse in a NetworkPolicy (KEP-4858).
    ipaddress.ip_network(text)
    return text


_NO_HOST: Final = (
    "must be a host as it stands in image names, in lower case and with its port if it has one, such as "
    "registry.example.com:5000; not https:// or http://, as plainHTTP says which, and without a path"
)
_OTHER_NAME_OF_HUB: Final = (
    "must be docker.io for Docker Hub, as image names have it: by another name BuildKit would not find this entry"
)
_NO_MIRROR: Final = (
    "must be a host in lower case, with its port and a path if there are any, such as mirror.example.com:5000/team; "
    "not https:// or http://, as plainHTTP says which"
)
_HUB_AS_MIRROR: Final = "is no host of a registry: Docker Hub serves images at registry-1.docker.io"
_WITH_API_PATH: Final = "may not begin with /v2 after the host: BuildKit adds that itself, before the path"

REGISTRY_HOST_CHECKS: Final = ((HOST_AND_PORT, True, _NO_HOST), (NOT_DOCKER_IO, False, _OTHER_NAME_OF_HUB))
"""What a registry's host must match, or may not, and the sentence for one that does not do so."""

MIRROR_CHECKS: Final = (
    (MIRROR, True, _NO_MIRROR),
    (NO_MIRROR_OF_HUB, False, _HUB_AS_MIRROR),
    (API_PATH, False, _WITH_API_PATH),
)
"""The same of a mirror."""

RESOLVER_OPTION_CHECKS: Final = (
    (RESOLVER_OPTION, True, "must be an option of resolv.conf, such as ndots:2 or use-vc: resolvers pass over others"),
)
"""The same of an option of name resolution."""


def problem(text: str, checks: Sequence[tuple[str, bool, str]]) -> str | None:
    """Return the sentence of the first check that a text does not pass, or None."""
    return next((said for pattern, wanted, said in checks if not _is_as(text, pattern, wanted=wanted)), None)


def _is_as(text: str, pattern: str, *, wanted: bool) -> bool:
    return bool(re.fullmatch(pattern, text)) if wanted else not re.search(pattern, text)


def _passing(checks: Sequence[tuple[str, bool, str]]) -> AfterValidator:
    def check(text: str) -> str:
        if said := problem(text, checks):
            raise ValueError(said)
        return text

    return AfterValidator(check)


def _in_cel_rules(checks: Sequence[tuple[str, bool, str]]) -> dict[str, Any]:
    return rules(
        *(rule(f"{'' if wanted else '!'}self.matches({in_cel(pattern)})", said) for pattern, wanted, said in checks)
    )


def _mount_path(path: str) -> str:
    if re.search(_TAKEN, path) and not path.startswith("/var/cache/"):
        raise ValueError(_PATH_TAKEN)
    return path


def in_cel(pattern: str) -> str:
    """Return a pattern as CEL writes it."""
    return "'" + pattern.replace("\\", "\\\\") + "'"


NodeLabels = Annotated[
    dict[str, LabelValue],
    Field(
        max_length=16,
        json_schema_extra=rules(
            SHORT_KEYS,
            rule(
                "!('kubernetes.io/os' in self) || self['kubernetes.io/os'] == 'linux'",
                "kubernetes.io/os must be linux: BuildKit's rootless daemon runs nowhere else",
            ),
        ),
    ),
    AfterValidator(keys_like(LABEL_KEY, "a label")),
]
"""Labels by which nodes are chosen."""

FewLabels = Annotated[
    dict[str, LabelValue],
    Field(max_length=8, json_schema_extra=rules(SHORT_KEYS)),
    AfterValidator(keys_like(LABEL_KEY, "a label")),
]
"""The same where there are many such maps."""

SomeLabels = Annotated[
    dict[str, LabelValue],
    Field(min_length=1, max_length=16, json_schema_extra=rules(SHORT_KEYS)),
    AfterValidator(keys_like(LABEL_KEY, "a label")),
]
"""The same where none would choose everything."""

OwnLabels = Annotated[
    dict[str, LabelValue],
    Field(max_length=32, json_schema_extra=rules(SHORT_KEYS, _own("label keys"))),
    AfterValidator(keys_like(LABEL_KEY, "a label")),
    AfterValidator(_unreserved("label keys")),
]
"""Labels that objects of ours get."""

OwnAnnotations = Annotated[
    dict[str, Text],
    Field(
        max_length=32,
        json_schema_extra=rules(
            SHORT_KEYS,
            _own("annotation keys"),
            rule(f"self.map(k, size(self[k])).sum() <= {LONGEST_ANNOTATIONS}", _TOO_LONG),
        ),
    ),
    AfterValidator(keys_like(LABEL_KEY, "an annotation")),
    AfterValidator(_unreserved("annotation keys")),
    AfterValidator(_bounded),
]
"""Annotations that objects of ours get."""

RegistryHost = Annotated[
    str,
    Field(min_length=1, max_length=253, json_schema_extra=_in_cel_rules(REGISTRY_HOST_CHECKS)),
    _passing(REGISTRY_HOST_CHECKS),
]
"""A registry by the host in image names."""

FewOwnAnnotations = Annotated[
    dict[str, Annotated[str, Field(max_length=512, pattern="^[-_.,:/@=+A-Za-z0-9]*$")]],
    Field(max_length=8, json_schema_extra=rules(SHORT_KEYS, _own("annotation keys"))),
    AfterValidator(keys_like(LABEL_KEY, "an annotation")),
    AfterValidator(_unreserved("annotation keys")),
]
"""The same by which a cloud gives an identity: a few, of the letters of its names."""

Mirror = Annotated[
    str,
    Field(min_length=1, max_length=253, json_schema_extra=_in_cel_rules(MIRROR_CHECKS)),
    _passing(MIRROR_CHECKS),
]
"""Where images of a registry are pulled from instead."""

ResolverOption = Annotated[
    str,
    Field(max_length=63, json_schema_extra=_in_cel_rules(RESOLVER_OPTION_CHECKS)),
    _passing(RESOLVER_OPTION_CHECKS),
]

Address = Annotated[
    str,
    Field(max_length=45, json_schema_extra=rules(rule("isIP(self)", "must be an IP address such as 10.0.0.10"))),
    AfterValidator(_address),
]
AddressRange = Annotated[
    str,
    Field(
        min_length=1,
        max_length=43,
        json_schema_extra=rules(rule("isCIDR(self)", "must be a range of addresses such as 10.0.0.0/8")),
    ),
    AfterValidator(_address_range),
]

NOT_TOO_LARGE: Final = rule(
    f"!isQuantity(self) || quantity(self).compareTo(quantity('{LARGEST_SIZE}')) <= 0", f"must be at most {LARGEST_SIZE}"
)

Size = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        json_schema_extra=rules(
            rule("isQuantity(self)", "must be a quantity such as 20Gi"),
            rule(f"!isQuantity(self) || quantity(self).compareTo(quantity('{SMALLEST_SIZE}')) >= 0", TOO_SMALL),
            NOT_TOO_LARGE,
        ),
    ),
    AfterValidator(_size),
]
"""An amount of disk, as a quantity of bytes."""

MountPath = Annotated[
    str,
    Field(
        min_length=2,
        max_length=255,
        pattern=PATH,
        json_schema_extra=rules(
            rule(
                "self != '/run/buildkit' && !self.startsWith('/run/buildkit/')",
                "may not be in /run/buildkit, where the daemon's socket is",
            ),
            rule(f"self.startsWith('/var/cache/') || !self.matches('{_TAKEN}')", _PATH_TAKEN),
        ),
    ),
    AfterValidator(_mount_path),
]
"""Where a volume of ours may be in containers of others."""

Amount = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(
        max_length=32,
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            **rules(
                rule("type(self) != string || isQuantity(self)", "must be a quantity such as 500m, 2 or 4Gi"),
                rule("type(self) == int ? self >= 0 : !self.startsWith('-')", "may not be less than 0"),
            ),
        },
    ),
    AfterValidator(_amount),
]
"""An amount of a resource, as a quantity; a bare integer is allowed, as in a pod."""

_PODS: Final = "^([0-9]{1,4}|(100|[0-9]{1,2})%)$"

PodAmount = Annotated[
    str,
    BeforeValidator(_as_text),
    Field(
        max_length=10,
        pattern=_PODS,
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            **rules(
                rule(
                    f"type(self) == int ? self >= 0 && self <= 9999 : self.matches('{_PODS}')",
                    "must be a number of pods or a percentage such as 25%, and no more than 9999",
                )
            ),
        },
    ),
]
"""A number of pods, or a percentage of them."""
