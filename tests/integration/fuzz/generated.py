"""The same lives for the same seed, drawn one by one."""

from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.integration.fuzz.specs import Life, lives

_LIVES: Final = lives()


def generate(number: int, chunk: int, count: int) -> list[Life]:
    """Return the lives of one chunk of a seed."""
    return [_draw(number, chunk * count + index) for index in range(count)]


def _draw(number: int, index: int) -> Life:
    """Return one life. The first that Hypothesis draws is always the simplest one, so it is the second."""
    drawn: list[Life] = []

    @seed(f"{number}/{index}")
    @settings(
        max_examples=2, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(_LIVES)
    def draw(life: Life) -> None:
        drawn.append(life)

    draw()
    return drawn[-1]
