"""Jitter: waiting times that differ a little, so that what happened together does not happen together again."""

from __future__ import annotations

import random


def jittered(seconds: float, share: float = 0.1) -> float:
    """Return the time, longer or shorter by up to a share of it."""
    return random.uniform(1 - share, 1 + share) * seconds  # noqa: S311  a waiting time is no secret
