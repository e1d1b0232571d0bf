"""Builder summary: what a live object says, as people ask about it: how it is, since when, and what to do. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import replicas_of
from buildkit_operator.api.conditions import ConditionType
from buildkit_operator.api.reasons import row
from buildkit_operator.kube.manifests import condition, timestamp
from buildkit_operator.kube.resources import Manifest

NOT_LOOKED_AT: Final = "The operator has not looked at it yet."
OUTDATED: Final = "The operator has not looked at the last change yet. Before it: "
NO_OPERATOR: Final = "If it stays so, the operator does not run or does not serve this namespace: doctor tells."


@dataclass(frozen=True)
class BuilderSummary:
    """One builder, as `status` and `doctor` show it."""

    namespace: str
    name: str
    mode: str
    ready: str
    """True, False, or Unknown before the operator has looked at it."""
    reason: str
    """Of the condition Ready; empty while there is none."""
    message: str
    since: datetime | None
    """When `ready` last changed."""
    endpoint: str
    daemons: tuple[int, int] | None
    """Daemons that answer, and daemons that are wanted; None where it has none of its own."""
    pods: int
    """Runner pods that have it."""
    is_current: bool
    """Whether all this is said of the spec as it is now."""

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be done: it is ready, or left as it is on purpose."""
        return self.is_current and (self.ready == "True" or row(self.reason).is_intentional)

    @property
    def title(self) -> str:
        """The builder, as sentences name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def remedy(self) -> str:
        """What to do; empty where it is well."""
        if self.is_well:
            return ""
        return row(self.reason).remedy if self.is_current else NO_OPERATOR

    @property
    def page(self) -> str:
        """The page of the reason, where one is to be read."""
        return names.reason_page(self.reason) if self.is_current and not self.is_well else ""

    def document(self) -> dict[str, Any]:
        """Return it for programs; see docs/cli.md."""
        ready, wanted = self.daemons or (None, None)
        return {
            "namespace": self.namespace,
            "name": self.name,
            "mode": self.mode,
            "well": self.is_well,
            "ready": self.ready,
            "reason": self.reason or None,
            "since": timestamp(self.since) if self.since else None,
            "endpoint": self.endpoint or None,
            "readyReplicas": ready,
            "replicas": wanted,
            "pods": self.pods,
            "message": self.message,
            "remedy": self.remedy or None,
            "page": self.page or None,
        }


def summarize(builder: Manifest) -> BuilderSummary:
    """Read a builder as the API server has it, also one whose spec this version does not understand."""
    metadata, spec, status = builder["metadata"], builder.get("spec") or {}, builder.get("status") or {}
    ready = condition(builder, ConditionType.READY)
    is_current = bool(ready) and status.get("observedGeneration") == metadata.get("generation")
    before = "" if is_current else OUTDATED
    return BuilderSummary(
        namespace=metadata["namespace"],
        name=metadata["name"],
        mode=str(spec.get("mode", "")),
        ready=str(ready.get("status", "Unknown")),
        reason=str(ready.get("reason", "")),
        message=before + ready["message"] if ready else NOT_LOOKED_AT,
        since=datetime.fromisoformat(ready["lastTransitionTime"]) if ready else None,
        endpoint=str(status.get("endpoint") or ""),
        daemons=_daemons(builder),
        pods=int((status.get("pods") or {}).get("injected") or 0),
        is_current=is_current,
    )


def _daemons(builder: Manifest) -> tuple[int, int] | None:
    wanted = replicas_of(builder)
    return None if wanted is None else (int((builder.get("status") or {}).get("readyReplicas") or 0), wanted)
