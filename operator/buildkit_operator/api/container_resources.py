"""What a container may ask of its node, as the API server asks it of a pod (ValidateContainerResourceRequirements).

CEL cannot ask it: to an API server of old, each key of a map may be as long as a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from buildkit_operator.api.field_types import RESOURCE_NAME, SHORT_KEYS, Amount, keys_like
from buildkit_operator.api.fields import Model, rule, rules
from buildkit_operator.kube import quantity
from buildkit_operator.kube.resources import Manifest

HUGE_PAGES: Final = "hugepages-"
_OVERCOMMITTED: Final = frozenset({"cpu", "memory", "ephemeral-storage"})
"""Of these a container may use more than what is set aside for it; others are counted out."""
ABOVE_LIMIT: Final = "a request may not be more than the limit of the same resource"

FEWEST_BYTES: Final = "1Mi"
TOO_FEW_BYTES: Final = (
    f"memory and ephemeral-storage must be at least {FEWEST_BYTES}: m is a thousandth of a byte, and a bare number "
    "counts bytes"
)

_LARGEST_COUNT: Final = 2**63 // 1000
"""The API server counts them in thousandths, in 63 bits (ValidateResourceQuantityValue)."""


def check(requests: Mapping[str, str], limits: Mapping[str, str]) -> None:
    """Raise ValueError for quantities that no container can have together."""
    names = requests.keys() | limits.keys()
    for name, amount in (*requests.items(), *limits.items()):
        if name not in _OVERCOMMITTED:
            _check_count(name, amount)
        elif name != "cpu" and 0 < quantity.value(amount) < quantity.value(FEWEST_BYTES):
            raise ValueError(TOO_FEW_BYTES)
    for name, amount in requests.items():
        if name in limits and quantity.value(amount) > quantity.value(limits[name]):
            raise ValueError(ABOVE_LIMIT)
        if name not in _OVERCOMMITTED and quantity.value(amount) != quantity.value(limits.get(name, "-1")):
            raise ValueError(f"the request of {name} needs a limit that is the same")
    if any(name.startswith(HUGE_PAGES) for name in names) and not names & {"cpu", "memory"}:
        raise ValueError("huge pages need cpu or memory beside them")


def _check_count(name: str, amount: str) -> None:
    """Raise ValueError for an amount that is not counted out in pieces."""
    count = quantity.value(amount)
    size = quantity.value(name.removeprefix(HUGE_PAGES)) if name.startswith(HUGE_PAGES) else 1
    if not size or count >= _LARGEST_COUNT or count % size:
        raise ValueError(f"{amount} of {name} is no whole number of them below {_LARGEST_COUNT}")


# No more of them: API servers of old reckon that each is as long as a request can be, and then refuse the CRD.
Amounts = Annotated[
    dict[str, Amount],
    Field(max_length=12, json_schema_extra=rules(SHORT_KEYS)),
    AfterValidator(keys_like(RESOURCE_NAME, "a resource")),
]


def _in_bytes(field: str) -> str:
    """Return what holds in CEL while the amount of k in a field is nothing or can be meant as one of bytes."""
    amount = f"string(self.{field}[k])"
    return (
        f"(!has(self.{field}) || !(k in self.{field}) || !isQuantity({amount}) "
        f"|| quantity({amount}).compareTo(quantity('0')) <= 0 "
        f"|| quantity({amount}).compareTo(quantity('{FEWEST_BYTES}')) >= 0)"
    )


class Resources(Model):
    """What a container asks of its node."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # Of others the model asks: an API server of old reckons that each is as long as a request can be.
                "!has(self.requests) || !has(self.limits) || ['cpu', 'memory', 'ephemeral-storage'].all(k, "
                "!(k in self.requests) || !(k in self.limits) || "
                "!isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || "
                "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
                ABOVE_LIMIT,
            ),
            rule(
                f"['memory', 'ephemeral-storage'].all(k, {_in_bytes('requests')} && {_in_bytes('limits')})",
                TOO_FEW_BYTES,
            ),
        )
    )

    requests: Amounts | None = None
    """What the scheduler sets aside, by resource name (cpu, memory, ephemeral-storage)."""
    limits: Amounts | None = None
    """What the container may not exceed, by resource name."""

    @model_validator(mode="after")
    def _as_a_container_has_them(self) -> Self:
        check(self.requests or {}, self.limits or {})
        return self

    @property
    def is_set(self) -> bool:
        """Whether anything is said at all."""
        return self.requests is not None or self.limits is not None

    def rendered(self) -> Manifest:
        """Return them as a container has them."""
        return self.model_dump(by_alias=True, exclude_none=True)
