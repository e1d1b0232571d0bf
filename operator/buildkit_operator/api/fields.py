"""What the resource's models are made of: their base, the schema extensions that the API server knows, common types."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from buildkit_operator.kube import quantity


class Model(BaseModel):
    """Base of all: camelCase outside, unknown fields left to the API server, values never changed in place."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


def rule(expression: str, message: str, field_path: str | None = None) -> dict[str, str]:
    """Return a CEL validation rule: what must hold and the sentence that a user reads when it does not."""
    return {"rule": expression, "message": message} | ({"fieldPath": field_path} if field_path else {})


def rules(*items: dict[str, str]) -> dict[str, Any]:
    """Return the schema extension that carries CEL rules."""
    return {"x-kubernetes-validations": list(items)}


def list_map(key: str) -> dict[str, Any]:
    """Return the schema extension of a list whose items are told apart by a key, so that managers can share it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
INT64: dict[str, Any] = {"format": "int64"}
ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
HOST_AND_PORT = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?$"
MIRROR = r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[-._~A-Za-z0-9]+)*$"

Name = Annotated[str, Field(min_length=1, max_length=253)]
Text = Annotated[str, Field(max_length=4096)]
LabelValue = Annotated[str, Field(max_length=63)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=32)]
Annotations = Annotated[dict[str, Text], Field(max_length=32)]
DNSName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME)]

Mirror = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=rules(
            rule(
                f"self.matches('{MIRROR}')",
                "must be a host, with its port and a path if there are any, such as mirror.example.com:5000/team; "
                "not https:// or http://, as plainHTTP says which",
            )
        ),
    ),
]
"""Where images of a registry are pulled from instead."""

Address = Annotated[
    str, Field(max_length=45, json_schema_extra=rules(rule("isIP(self)", "must be an IP address such as 10.0.0.10")))
]
AddressRange = Annotated[
    str,
    Field(
        min_length=1,
        max_length=43,
        json_schema_extra=rules(rule("isCIDR(self)", "must be a range of addresses such as 10.0.0.0/8")),
    ),
]

Size = Annotated[
    str,
    AfterValidator(quantity.checked),
    Field(
        min_length=1,
        max_length=32,
        json_schema_extra=rules(
            rule("isQuantity(self)", "must be a quantity such as 20Gi"),
            rule("!isQuantity(self) || quantity(self).isGreaterThan(quantity('0'))", "must be more than 0"),
        ),
    ),
]
"""An amount of disk, as a quantity of bytes."""

Amount = Annotated[
    str,
    BeforeValidator(str),
    AfterValidator(quantity.checked),
    Field(
        max_length=32,
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            **rules(rule("type(self) != string || isQuantity(self)", "must be a quantity such as 500m, 2 or 4Gi")),
        },
    ),
]
"""An amount of a resource, as a quantity; a bare integer is allowed, as in a pod."""

PodAmount = Annotated[
    str,
    BeforeValidator(str),
    Field(
        max_length=10,
        pattern=r"^([0-9]+|(100|[0-9]{1,2})%)$",
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            **rules(
                rule(
                    "type(self) == int ? self >= 0 : self.matches('^([0-9]+|(100|[0-9]{1,2})%)$')",
                    "must be a number of pods or a percentage such as 25%",
                )
            ),
        },
    ),
]
"""A number of pods, or a percentage of them."""
