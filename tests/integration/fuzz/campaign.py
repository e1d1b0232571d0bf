"""Many generated lives side by side, what was found, and the smallest that still shows it."""

import asyncio
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Final

from tests.integration.fuzz.generated import generate
from tests.integration.fuzz.smaller import smaller
from tests.integration.fuzz.specs import Life
from tests.integration.fuzz.trial import Failure, Trial

CHUNK: Final = 40
PROGRESS: Final = 1000
"""After so many specs a long run says how far it is."""
SHOWN: Final = 8
"""How many kinds of failures are made small."""
SHRINK_SECONDS: Final = 40.0
"""How long that is tried for each."""
SILENT_SECONDS: Final = 4.0
"""Until a builder counts as silent of which another like it was."""


@dataclass
class Campaign:
    """Goes on after a failure: a run tells all that is wrong, each kind once."""

    trials: list[Trial]
    seed: int
    specs: int
    """How many are to be sent."""
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    _shown: int = 0
    _first: dict[str, tuple[Life, Failure]] = field(default_factory=dict)

    async def run(self) -> None:
        started = time.monotonic()
        try:
            async with _generated(self.seed) as lives, asyncio.TaskGroup() as group:
                for trial in self.trials:
                    group.create_task(self._work(trial, lives))
        finally:
            self.seconds = time.monotonic() - started

    async def found(self) -> list[str]:
        """Return what was found, each kind with the smallest life that shows it."""
        return [await self._shrunk(*case) for case in list(self._first.values())[:SHOWN]]

    async def _work(self, trial: Trial, lives: "asyncio.Queue[Life]") -> None:
        while trial.tally.specs.total() < self.specs:
            life = await lives.get()
            self._show_progress(trial.tally.specs.total())
            try:
                await trial.live(life)
            except Failure as failure:
                self.failures[failure.kind] += 1
                self._first.setdefault(failure.kind, (life, failure))

    def _show_progress(self, sent: int) -> None:
        if sent // PROGRESS > self._shown:
            self._shown = sent // PROGRESS
            print(f"{sent} of {self.specs} specs, {self.failures.total()} failures", flush=True)

    async def _shrunk(self, life: Life, failure: Failure) -> str:
        trial = self.trials[0]
        trial.seconds = SILENT_SECONDS
        deadline = time.monotonic() + SHRINK_SECONDS
        while (less := await self._smaller(trial, life, failure.kind, deadline)) is not None:
            life, failure = less
        return f"{failure}\n{json.dumps(asdict(life))}"

    async def _smaller(self, trial: Trial, life: Life, kind: str, deadline: float) -> tuple[Life, Failure] | None:
        for candidate in smaller(life):
            if time.monotonic() > deadline:
                return None
            try:
                await trial.live(candidate)
            except Failure as failure:
                if failure.kind == kind:
                    return candidate, failure
        return None


@asynccontextmanager
async def _generated(seed: int) -> AsyncIterator["asyncio.Queue[Life]"]:
    """Generate lives in a process of their own: it takes as much time as living them."""
    lives: asyncio.Queue[Life] = asyncio.Queue(CHUNK)
    # Not forked: gRPC and other threads of this process would be, too.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        producing = asyncio.create_task(_produce(pool, seed, lives))
        try:
            yield lives
        finally:
            producing.cancel()
            await asyncio.gather(producing, return_exceptions=True)


async def _produce(pool: ProcessPoolExecutor, seed: int, lives: "asyncio.Queue[Life]") -> None:
    loop, number = asyncio.get_running_loop(), 0
    ahead = loop.run_in_executor(pool, generate, seed, number, CHUNK)
    while True:
        number += 1
        chunk, ahead = await ahead, loop.run_in_executor(pool, generate, seed, number, CHUNK)
        for life in chunk:
            await lives.put(life)
