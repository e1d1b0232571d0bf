"""One generated builder's life at the real API server and operator, and all that must hold meanwhile."""

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Mode, Role
from buildkit_operator.api.reasons import REASONS, Reason, TerminalError
from buildkit_operator.controller.child_kinds import BY_RESOURCE
from buildkit_operator.desired import children, injection
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import GROUPS, MADE
from tests.integration.fuzz.api import BUILDERS, JSON_PATCH, Answer, Api
from tests.integration.fuzz.specs import Life
from tests.integration.fuzz.tools import Tools
from tests.unit.make import fake_certificates

STATUS_SECONDS: Final = 60.0
"""Until a builder without a status is called silent. Most have theirs in a tenth of a second."""

POD_SECONDS: Final = 10.0
"""Until a pod gets what the status says it gets: the API server's policies hear of it a moment later."""

NO_SENTENCE: Final = re.compile(
    "internal error|panic|no such overload|evaluation error|no such key|cost budget|out of bound|runtime error",
    re.IGNORECASE,
)
"""What is in a refusal that is no rule's sentence but the failure of a rule."""

BROKEN_JSON: Final = re.compile(
    "exceeded max depth|strict decoding|cannot unmarshal|unable to decode|json:|invalid JSON"
)
"""What the API server says of a body that is no object, before it looks at any schema."""


class Failure(Exception):  # noqa: N818  a finding, not an error of the test
    """What should never be; `kind` tells findings of different causes apart."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = f"{kind}: {_alike(message)}"


FIELD_ERROR: Final = re.compile(
    r"([A-Za-z][\w.]*(?:\[[^]]*\][\w.]*)*): (Invalid value|Required value|Unsupported value|Too|Forbidden|Duplicate)",
    re.DOTALL,
)
"""How the API server says which field is wrong."""


def _alike(message: str) -> str:
    """Return a message without what is different each time: the field that it is about, if there is one."""
    if wrong := FIELD_ERROR.search(message):
        path = re.sub(r"\[[^]]*\]", "[]", wrong[1])
        return f"{path}: {wrong[2]}"
    return re.sub(r"\"[^\"]*\"|'[^']*'|\{[^}]*\}|[^\x20-\x7e]+|/\S+|\d+|\bf-\w+", "…", message)[:100]


@dataclass
class Tally:
    """What became of all that was generated."""

    specs: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    pods: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    """That each status took."""


@dataclass
class OperatorLog:
    """The operator's log, read on."""

    file: Path
    errors: dict[str, str] = field(default_factory=dict)
    """By builder, or "" where it is about none, what was logged as an error."""
    warnings: Counter[str] = field(default_factory=Counter)
    _read: int = 0

    def read(self) -> None:
        with self.file.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            self.errors.setdefault("", line.decode(errors="replace"))
            return
        level = entry.get("level", "").lower()
        if level in ("error", "critical"):
            self.errors[entry.get("builder", "")] = json.dumps(entry)
        elif level == "warning":
            self.warnings[_alike(entry.get("message", ""))] += 1


_WITHOUT_WARNINGS: Final = "?fieldValidation=Ignore"
"""Each unknown field would be a header, and of so many aiohttp makes an error."""

_NUMBERS: Final = count()
"""No two builders have the same name: what is left of one would be in the way of the next."""


@dataclass
class Trial:
    """One namespace, in which one builder lives at a time."""

    api: Api
    tools: Tools
    log: OperatorLog
    tally: Tally
    namespace: str
    seconds: float = STATUS_SECONDS
    _lived: int = 0

    async def live(self, life: Life) -> None:
        """Create, change and delete a builder. Raises Failure."""
        name = life.name if life.name is not None else f"f-{next(_NUMBERS)}"
        stored: Manifest | None = None
        try:
            for spec in life.specs:
                answer = await self._send(name, life.metadata, spec, stored)
                if answer.code in (200, 201):
                    self.tally.specs["accepted"] += 1
                    stored = answer.content
                    await self._check_accepted(stored)
                else:
                    self.tally.specs["refused"] += 1
                    self.tally.refusals[_kind_of_refusal(answer)] += 1
                    _check_refusal(answer)
            self._check_log(name)
        finally:
            if stored is not None:
                await self._delete(name)

    async def _send(self, name: str, metadata: Manifest, spec: Any, stored: Manifest | None) -> Answer:
        path = BUILDERS.format(self.namespace)
        if stored is not None:
            change = [{"op": "replace", "path": "/spec", "value": spec}]
            return await self.api.ask("PATCH", f"{path}/{name}{_WITHOUT_WARNINGS}", change, JSON_PATCH)
        manifest = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {**metadata, "name": name},
            "spec": spec,
        }
        return await self.api.ask("POST", f"{path}{_WITHOUT_WARNINGS}", manifest)

    async def _check_accepted(self, stored: Manifest) -> None:
        """See that the operator says something of the builder, and that what it makes of it can be read."""
        metadata = stored["metadata"]
        name, generation = metadata["name"], metadata["generation"]
        since = time.monotonic()
        seen = await self.api.wait(self.namespace, name, lambda found: _is_told(found, generation), self.seconds)
        self.tally.seconds.append(time.monotonic() - since)
        if seen is None:
            self._check_log(name)
            raise Failure("silent", f"no status of generation {generation} in {self.seconds} seconds")
        try:
            builder = BuildKitBuilder.model_validate(stored)
        except ValidationError:
            # What no rule of the schema can ask, the models do, and the condition says it.
            self._tell(seen, Reason.INVALID_SPEC)
            return
        if builder.role is Role.SIDECAR:
            # It is tried out, until which nothing is said.
            seen = await self.api.wait(
                self.namespace, name, lambda found: _is_told(found, generation, Reason.PROGRESSING), self.seconds
            )
            if seen is None:
                raise Failure("waits", "a sidecar's builder is Progressing for ever")
        ready = self._tell(seen)
        if ready["reason"] == Reason.REJECTED:
            raise Failure("rejected", ready["message"])
        await self._check_rendered(builder, applied=ready["reason"] in _APPLIED)
        if "injection" in seen["status"]:
            await self._check_pod(builder, seen)

    def _tell(self, seen: Manifest, expected: str | None = None) -> Manifest:
        """Count what a status says, see that it is a sentence, and return the condition Ready."""
        ready = condition(seen, "Ready")
        self.tally.reasons[ready["reason"]] += 1
        if ready["reason"] not in REASONS or (expected and ready["reason"] != expected):
            raise Failure("reason", f"{ready['reason']} {ready['message']}")
        if not ready["message"].strip() or NO_SENTENCE.search(ready["message"]):
            raise Failure("no sentence", repr(ready["message"]))
        return ready

    async def _check_rendered(self, builder: BuildKitBuilder, *, applied: bool) -> None:
        if builder.role is Role.CONSUMER:
            await self._check_connector(builder)
            return
        try:
            confinement = confine(builder.spec, PodSecurity())
            objects = children(builder, Platform(), fake_certificates(builder), confinement)
            injection.render(builder, Platform(), confinement)
        except TerminalError:
            return
        except Exception as error:
            raise Failure("crash", f"rendering raises {type(error).__name__}: {error}") from error
        if said := await self.tools.complaint(objects):
            raise Failure("unreadable", said)
        if not applied:
            await self._dry_run(objects)

    async def _check_connector(self, builder: BuildKitBuilder) -> None:
        """Read what a consumer's connector gets where it is stored: it depends on the provider, too."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{names.connector(builder.metadata.name)}"
        answer = await self.api.ask("GET", path)
        if answer.code == 200 and (said := await self.tools.complaint([answer.content])):
            raise Failure("unreadable", said)

    async def _dry_run(self, objects: list[Manifest]) -> None:
        """Have the API server look at what the operator did not get to."""
        for manifest in objects:
            plural = _PLURALS[manifest["kind"]]
            path = f"{GROUPS.get(plural, '/api/v1')}/namespaces/{self.namespace}/{plural}"
            answer = await self.api.ask("POST", f"{path}?dryRun=All&fieldValidation=Strict", manifest)
            # There may be one, of an earlier spec.
            if answer.code not in (200, 201, 409):
                raise Failure("rejected", f"{manifest['kind']}: {answer.code} {answer.message}")

    async def _check_pod(self, builder: BuildKitBuilder, seen: Manifest) -> None:
        """See that a labelled pod gets what the status says, or is refused in a sentence of ours."""
        (container,) = builder.injection.containers[:1] or ["job"]
        pod = {
            "metadata": {"name": "job", "labels": {names.BUILDER_LABEL: builder.metadata.name}},
            "spec": {"containers": [{"name": container, "image": "job"}]},
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods?dryRun=All"
        deadline = time.monotonic() + POD_SECONDS
        while True:
            answer = await self.api.ask("POST", path, pod)
            injected = answer.content.get("metadata", {}).get("labels", {}).get(names.INJECTED_LABEL)
            if answer.code == 201 and injected == builder.metadata.name:
                self.tally.pods["injected"] += 1
                return
            ours = (
                answer.code in (422, 403) and "buildkit-operator" in answer.message and "cannot serve" in answer.message
            )
            if time.monotonic() > deadline or not (ours or answer.code == 201):
                break
            await asyncio.sleep(0.1)
        ready = condition(seen, "Ready")
        self.tally.pods[f"{answer.code} with {ready['reason']}"] += 1
        if builder.spec.mode is Mode.SIDECAR and ready["status"] == "False":
            return
        raise Failure("pod", f"{answer.code} {answer.message} while {ready['reason']}")

    def _check_log(self, name: str) -> None:
        self.log.read()
        for about in (f"{self.namespace}/{name}", ""):
            if said := self.log.errors.pop(about, None):
                raise Failure("crash", said)

    async def _delete(self, name: str) -> None:
        answer = await self.api.ask("DELETE", f"{BUILDERS.format(self.namespace)}/{name}")
        if answer.code not in (200, 404):
            raise Failure("stays", f"{answer.code} {answer.message}")
        self._lived += 1
        if self._lived % 10 == 0:
            await self.clear()

    async def clear(self) -> None:
        """Delete what builders left, as the garbage collector would."""
        for resource in MADE:
            path = f"{GROUPS.get(resource.plural, '/api/v1')}/namespaces/{self.namespace}/{resource.plural}"
            await self.api.ask("DELETE", f"{path}?labelSelector={names.OWNER_LABEL}")


_PLURALS: Final = {resource.kind: resource.plural for resource in BY_RESOURCE}

_APPLIED: Final = frozenset({Reason.AVAILABLE, Reason.PROGRESSING, Reason.SCALED_TO_ZERO, Reason.REJECTED})
"""With these reasons the operator has had the API server take the objects."""


def _is_told(found: Manifest, generation: int, but: str = "") -> bool:
    ready = condition(found, "Ready")
    status = found.get("status", {})
    told = min(status.get("observedGeneration", -1), ready.get("observedGeneration", -1)) >= generation
    return bool(told and ready["reason"] != but)


def _check_refusal(answer: Answer) -> None:
    """See that a builder is refused by a rule, in words."""
    if answer.code not in (400, 404, 405, 413, 422) or not answer.message or NO_SENTENCE.search(answer.message):
        raise Failure("no sentence", f"{answer.code} {answer.message}")
    if answer.code == 400 and not BROKEN_JSON.search(answer.message):
        raise Failure("no sentence", f"{answer.code} {answer.message}")


def _kind_of_refusal(answer: Answer) -> str:
    """Return what refused a builder."""
    causes = answer.content.get("details", {}).get("causes", [])
    if not causes:
        return f"{answer.code} {answer.content.get('reason', '')}"
    return f"{answer.code} {causes[0].get('reason', '')}"
