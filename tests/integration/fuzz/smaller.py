"""Lives with a little less in them: the smallest that still fails is what people read."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.integration.fuzz.specs import Life


def smaller(life: Life) -> Iterator[Life]:
    """Yield lives with less in them, those with much less first."""
    if life.metadata:
        yield replace(life, metadata={})
    for index in range(len(life.specs) if len(life.specs) > 1 else 0):
        yield replace(life, specs=life.specs[:index] + life.specs[index + 1 :])
    for index, spec in enumerate(life.specs):
        for less in _less(spec):
            yield replace(life, specs=[*life.specs[:index], less, *life.specs[index + 1 :]])


def _less(value: Any) -> Iterator[Any]:
    match value:
        case dict():
            yield from _less_of_object(value)
        case list():
            yield from _less_of_list(value)
        case str():
            yield from _less_of_text(value)
        case _:
            pass


def _less_of_object(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in value:
        # Without a mode no spec is taken.
        if key != "mode":
            yield {name: child for name, child in value.items() if name != key}
    for key, child in value.items():
        for less in _less(child):
            yield value | {key: less}


def _less_of_list(value: list[Any]) -> Iterator[list[Any]]:
    for index in range(len(value)):
        yield value[:index] + value[index + 1 :]
    for index, child in enumerate(value):
        for less in _less(child):
            yield [*value[:index], less, *value[index + 1 :]]


def _less_of_text(value: str) -> Iterator[str]:
    half = len(value) // 2
    if half:
        yield value[:half]
        yield value[half:]
        yield value[1:]
        yield value[:-1]
