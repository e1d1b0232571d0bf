"""The threat model as data: who can do what with a builder of theirs or of others. docs/security.md has the same.

Each cell is a test of its own: `RIGHTS` by impersonation on a real API server
(tests/integration/installation/test_threat_model.py), `REACH` on a real cluster with real daemons
(tests/e2e/test_tenants.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.support.markdown import TOP

PAGE: Final[Path] = TOP / "docs" / "security.md"


class Who(StrEnum):
    """Whom the API server sees; the value is the head of the column."""

    VIEW = "`view`"
    EDIT = "`edit`"
    BUILDERS_VIEW = "builders, view"
    BUILDERS_EDIT = "builders, edit"
    JOB = "job"
    ELSEWHERE = "`edit` elsewhere"
    OPERATOR = "operator"
    WEBHOOK = "webhook"
    NOBODY = "nobody"


class Holder(StrEnum):
    """What somebody in a pod of the cluster holds; the value is the head of the column."""

    NOTHING = "nothing"
    ANOTHER_BUILDERS = "another builder's Secret"
    SECRET = "its connection Secret"
    LABEL = "its label on their pod"
    ADMITTED = "Secret of an admitted namespace"


@dataclass(frozen=True)
class Row:
    """One thing to do, and who can."""

    name: str
    """By which a test knows how to try it."""
    what: str
    """As the page says it."""
    able: frozenset[StrEnum]
    otherwise: Mapping[StrEnum, str] = field(default_factory=dict)
    """What the page says instead of yes or no: of those who can in part, or in another way."""

    def answer(self, who: StrEnum) -> str:
        """Return what stands in a cell."""
        return self.otherwise.get(who, "yes" if who in self.able else "no")


def _row(name: str, what: str, *able: StrEnum, otherwise: Mapping[StrEnum, str] | None = None) -> Row:
    return Row(name, what, frozenset(able), otherwise or {})


_PEOPLE: Final = (Who.VIEW, Who.EDIT, Who.BUILDERS_VIEW, Who.BUILDERS_EDIT)
_EDITORS: Final = (Who.EDIT, Who.BUILDERS_EDIT)

DRY_RUN: Final = "dry run"
COST: Final = "deletion cost"
OWN: Final = "its own"
BY_A_BUILDER: Final = "by a builder"

RIGHTS: Final = (
    _row("see", "read the builder and its status", *_PEOPLE, Who.OPERATOR, Who.WEBHOOK),
    _row("change", "create, change, scale or delete the builder", *_EDITORS),
    _row("status", "write its status, so decide what runs in labelled pods", Who.OPERATOR),
    _row("finalizers", "write its finalizers", Who.OPERATOR),
    _row("client-key", "read its client's key, so build with it", Who.EDIT, Who.OPERATOR),
    _row("authority-key", "read its CA's key, so admit others", Who.EDIT, Who.OPERATOR),
    _row("list-secrets", "list the Secrets of its namespace", Who.EDIT),
    _row("write-secrets", "change or delete its Secrets", Who.EDIT, Who.OPERATOR),
    _row("write-objects", "change or delete its ConfigMaps, Services, Deployments", Who.EDIT, Who.OPERATOR),
    _row("pods", "create a pod in its namespace", Who.EDIT, otherwise={Who.OPERATOR: DRY_RUN}),
    _row("change-pods", "change a pod in its namespace", Who.EDIT, otherwise={Who.OPERATOR: COST}),
    _row("daemon", "have a pod of theirs get the builds that its Service sends", Who.OPERATOR),
    _row(
        "workloads",
        "have an image of their choice run in its namespace",
        Who.EDIT,
        Who.OPERATOR,
        otherwise={Who.BUILDERS_EDIT: BY_A_BUILDER},
    ),
    _row("exec", "run commands in the daemon's pod", Who.EDIT),
    _row("log", "read the daemon's log", Who.VIEW, Who.EDIT),
    _row("inject-elsewhere", "have it injected into a pod of another namespace"),
    _row("pretend", "pass a pod off as injected that has not got the container"),
    _row("borrow", "use it by `shared.from` from a namespace that it does not admit"),
    _row(
        "certificates",
        "order certificates from cert-manager",
        Who.OPERATOR,
        otherwise={Who.BUILDERS_EDIT: BY_A_BUILDER},
    ),
    _row("engines", "change admission policies or webhooks", otherwise={Who.WEBHOOK: OWN}),
    _row("namespace", "label its namespace"),
    _row("own-secret", "read the webhook's key", Who.OPERATOR, Who.WEBHOOK),
    _row("own-deployment", "change the operator's own Deployment", Who.OPERATOR),
    _row("lease", "take the operator's Lease", Who.OPERATOR),
    _row("tokens", "get a token of the operator's ServiceAccounts"),
    _row("metrics", "read our metrics through the API server"),
    _row("rights", "give rights, or act as others"),
)
"""What is asked of the API server about a builder, its namespace and our own; the operator serves the whole cluster."""

_TENANTS: Final = (Holder.SECRET, Holder.LABEL, Holder.ADMITTED)

REACH: Final = (
    _row("speak", "speak with the daemon", *_TENANTS),
    _row("history", "see who built what there, with build arguments", *_TENANTS),
    _row("logs", "read the logs of others' builds", *_TENANTS),
    _row("layers", "use layers that others built", *_TENANTS),
    _row("mounts", "read and write cache mounts of others' builds", *_TENANTS),
    _row(
        "prune",
        "remove everybody's cache",
        Holder.SECRET,
        Holder.ADMITTED,
        otherwise={Holder.LABEL: "not by `prune`"},
    ),
    _row("forget", "remove others' builds from the history", *_TENANTS),
    _row("key", "find a client's key in the job's container", Holder.SECRET, Holder.ADMITTED),
)
"""What is tried with a shared daemon, from pods without a NetworkPolicy between."""


def cells(rows: Iterable[Row], columns: Iterable[StrEnum]) -> list[tuple[Row, StrEnum]]:
    """Return each cell of a table."""
    everyone = tuple(columns)
    return [(row, who) for row in rows for who in everyone]


def table(rows: Sequence[Row], columns: Iterable[StrEnum]) -> str:
    """Return a table in Markdown."""
    everyone = tuple(columns)
    lines = [("", *everyone), *((row.what, *(row.answer(who) for who in everyone)) for row in rows)]
    drawn = [f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines]
    return "\n".join([drawn[0], "|---" * (len(everyone) + 1) + "|", *drawn[1:]])
