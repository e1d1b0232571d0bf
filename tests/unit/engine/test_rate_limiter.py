"""Something that may happen often passes once in an interval."""

from buildkit_operator.engine.rate_limiter import RateLimiter

KEY, OTHER = ("ci", "demo"), ("ci", "other")


def test_the_first_passes_and_the_next_waits_for_the_rest_of_the_interval() -> None:
    now = 100.0
    limiter = RateLimiter(5, lambda: now)

    assert limiter.pause(KEY) == 0
    now += 2
    assert limiter.pause(KEY) == 3
    assert limiter.pause(OTHER) == 0
    now += 3
    assert limiter.pause(KEY) == 0


def test_one_that_is_forgotten_begins_anew() -> None:
    limiter = RateLimiter(5, lambda: 100.0)
    limiter.pause(KEY)

    limiter.forget(KEY)

    assert limiter.pause(KEY) == 0
