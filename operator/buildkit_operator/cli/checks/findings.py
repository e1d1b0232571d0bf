"""Check results: findings, gathered into a report of each check. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked


class CheckResult(StrEnum):
    """How something is, worst last."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class CheckFinding:
    """One thing that was found."""

    result: CheckResult
    message: str
    """What is so, in a sentence."""
    remedy: str = ""
    """What to do about it, where something is to be done."""
    page: str = ""
    """Where to read more."""

    def document(self) -> dict[str, Any]:
        """Return it for programs; see docs/cli.md."""
        return {
            "result": self.result.value,
            "message": self.message,
            "remedy": self.remedy or None,
            "page": self.page or None,
        }


Check: TypeAlias = Callable[[ClusterState], Iterable[CheckFinding]]
"""Looks at one side of a cluster, and finds at least one thing: that all is well, if nothing else."""


@dataclass(frozen=True)
class CheckReport:
    """What one check found."""

    name: str
    """One word for programs, CamelCase. It stays the same from version to version."""
    findings: tuple[CheckFinding, ...]

    @property
    def result(self) -> CheckResult:
        """The worst of what was found."""
        return worst(finding.result for finding in self.findings)

    def document(self) -> dict[str, Any]:
        """Return it for programs; see docs/cli.md."""
        return {
            "check": self.name,
            "result": self.result.value,
            "findings": [finding.document() for finding in self.findings],
        }


def worst(results: Iterable[CheckResult]) -> CheckResult:
    """Return the worst of some results, ok where there are none."""
    order = list(CheckResult)
    return max(results, key=order.index, default=CheckResult.OK)


def ok(message: str) -> CheckFinding:
    """Find that something is as it should be."""
    return CheckFinding(CheckResult.OK, message)


def warning(message: str, remedy: str, page: str = "") -> CheckFinding:
    """Find something that works, but not as somebody will have meant it, or not for long."""
    return CheckFinding(CheckResult.WARNING, message, remedy, page)


def failed(message: str, remedy: str, page: str = "") -> CheckFinding:
    """Find something that does not work."""
    return CheckFinding(CheckResult.FAILED, message, remedy, page)


def unknown(what: str, why: Unasked) -> CheckFinding:
    """Find that something cannot be seen by whoever asked."""
    return CheckFinding(CheckResult.UNKNOWN, f"{what} cannot be seen. {why.sentence}")


def or_ok(findings: Iterable[CheckFinding], message: str) -> Iterator[CheckFinding]:
    """Yield what was found, or that all is as it should be."""
    found = tuple(findings)
    yield from found or (ok(message),)


def with_builders(what: str, check: Check) -> Check:
    """Return a check that goes by the builders; where they cannot be seen it finds just that."""

    def checked(cluster: ClusterState) -> Iterable[CheckFinding]:
        if isinstance(cluster.builders, Unasked):
            return [unknown(what, cluster.builders)]
        return check(cluster)

    return checked
