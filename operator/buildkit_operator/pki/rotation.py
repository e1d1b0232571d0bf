"""CA rotation: which CA issues and which are trusted, from one to the next, as a chain of policies.

A CA and the one after it overlap, so that no client with a valid certificate is ever refused, nor refuses:

    made         the next one is trusted beside the active one, and issues nothing yet
    + one leaf   whoever has a valid certificate has read it since, and with it the trust in both: the next one issues
    + two leaves no certificate of the one before is valid any more: it is trusted no longer
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from buildkit_operator.pki.keypairs import KeyPair, Lifetimes, can_issue, made_at, parse, renewal_time


@dataclass(frozen=True)
class Authorities:
    """The CAs of one owner."""

    active: KeyPair
    """The one that issues."""
    next: KeyPair | None = None
    """The one that will; trusted already."""
    previous: bytes | None = field(default=None, repr=False)
    """Certificate, PEM, of the one that did; trusted still."""

    @property
    def trust(self) -> bytes:
        """The bundle of all that are trusted, PEM, the oldest first."""
        following = self.next.certificate if self.next is not None else None
        return b"".join(pem for pem in (self.previous, self.active.certificate, following) if pem is not None)


@dataclass(frozen=True)
class Step:
    """One policy: when it is due, None for not at all, and what it makes of the CAs."""

    name: str
    due: Callable[[Authorities, Lifetimes], datetime | None]
    take: Callable[[Authorities], Authorities]


def _promotion(authorities: Authorities, lifetimes: Lifetimes) -> datetime | None:
    if authorities.next is None:
        return None
    made = made_at(authorities.next.parsed())
    # Made late, after a long absence of the operator, it takes over half-way, while the active one is still valid.
    return min(made + lifetimes.leaf, made + (authorities.active.parsed().not_valid_after_utc - made) / 2)


def _promote(authorities: Authorities) -> Authorities:
    return Authorities(authorities.next or authorities.active, previous=authorities.active.certificate)


def _retirement(authorities: Authorities, lifetimes: Lifetimes) -> datetime | None:
    previous = parse(authorities.previous)
    if previous is None:
        return None
    return min(made_at(authorities.active.parsed()) + 2 * lifetimes.leaf, previous.not_valid_after_utc)


def _retire(authorities: Authorities) -> Authorities:
    return replace(authorities, previous=None)


PROMOTE: Final = Step("promote the next one", _promotion, _promote)
RETIRE: Final = Step("retire the previous one", _retirement, _retire)

CHAIN: Final = (PROMOTE, RETIRE)
"""The steps in their order. Neither makes anything: whoever else issues by these CAs takes them too."""


def usable(
    active: KeyPair | None, following: KeyPair | None, previous: bytes | None, now: datetime
) -> Authorities | None:
    """Return those of the stored CAs that can be worked with, None when no one of them can issue."""
    following = following if can_issue(following, now) else None
    if active is not None and can_issue(active, now):
        return Authorities(active, following, previous if parse(previous) is not None else None)
    return Authorities(following) if following is not None else None


def advanced(authorities: Authorities, lifetimes: Lifetimes, now: datetime) -> Authorities:
    """Return the CAs with every step taken that is due."""
    for step in CHAIN:
        due = step.due(authorities, lifetimes)
        if due is not None and due <= now:
            authorities = step.take(authorities)
    return authorities


def preparation(authorities: Authorities) -> datetime | None:
    """Return when a next one is to be made, the first step of all; None while there are two."""
    one_alone = authorities.next is None and authorities.previous is None
    return renewal_time(authorities.active.parsed()) if one_alone else None


def next_step(authorities: Authorities, lifetimes: Lifetimes) -> datetime:
    """Return when the next step is due."""
    dues = [preparation(authorities), *(step.due(authorities, lifetimes) for step in CHAIN)]
    return min(due for due in dues if due is not None)
