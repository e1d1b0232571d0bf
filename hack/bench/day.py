"""A recorded day of CI, replayed: daemon-hours, waits and cold caches by what sets the number of daemons. Computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from statistics import median
from typing import Final

from hack.bench.figures import Figure
from hack.bench.recorded import DAY_SECONDS, Job, day
from hack.bench.scalers import ByCPU, ByOperator, Fixed, Scaler, Seen

MOST: Final = 6
"""Daemons at most."""
PLACES: Final = 4
"""Builds that each runs at one time: spec.shared.maxBuilds."""
START_SECONDS: Final = 8
"""From when a daemon is wanted until it takes builds; the part `wake` measures it."""
IDLE_SECONDS: Final = 300
CPU_TARGET: Final = 0.5 * PLACES
"""Builds at which a daemon uses the CPU that the autoscaler wants it to: what half of its places take."""
WAITED_SECONDS: Final = 2
"""From when on a build counts as one that has waited."""


@dataclass(frozen=True)
class Strategy:
    """Something that sets the number of daemons, with or without claims for their caches."""

    what: str
    scaler: Scaler
    has_claims: bool = False
    """Whether a daemon finds its cache again that was taken away and comes back."""


@dataclass
class _Daemon:
    """A daemon, from when it is wanted until it has gone."""

    name: str
    """By which keys choose it: its ordinal's with a claim, else its own."""
    ordinal: int
    ready_at: float
    cache: set[str]
    ends: list[float] = field(default_factory=list)
    """When its builds end."""
    is_stopping: bool = False

    def has_room(self, now: float) -> bool:
        return not self.is_stopping and now >= self.ready_at and len(self.ends) < PLACES


@dataclass
class Outcome:
    """What a day came to."""

    daemon_seconds: float = 0
    waits: list[float] = field(default_factory=list)
    """Seconds that each build waited for a place."""
    cold: int = 0
    cold_seconds: float = 0
    """How much longer builds took for that."""

    def __str__(self) -> str:
        waited = [wait for wait in self.waits if wait > WAITED_SECONDS]
        how_long = f", {median(waited):.0f} s, at most {max(waited):.0f} s" if waited else ""
        return (
            f"{self.daemon_seconds / 3600:.1f} daemon-hours; {len(waited)} builds waited{how_long}; "
            f"{self.cold} found a cold cache, {self.cold_seconds / 60:.0f} min more"
        )


def measure() -> list[Figure]:
    """Replay the day with everything that may set the number of daemons."""
    jobs = day()
    return [
        Figure(
            "the recorded day", f"{len(jobs)} builds, {sum(job.warm for job in jobs) / 3600:.1f} h with warm caches"
        ),
        *(Figure(strategy.what, str(replay(jobs, strategy))) for strategy in _strategies()),
    ]


def _strategies() -> Iterator[Strategy]:
    yield Strategy(f"{MOST} daemons all day", Fixed(MOST))
    for claims in (False, True):
        how = "with claims" if claims else "without claims"
        yield Strategy(f"HPA by CPU, 1…{MOST}, {how}", ByCPU(MOST, CPU_TARGET), claims)
        for what, scaler in _by_operator():
            yield Strategy(f"operator, {what}, {how}", scaler, claims)


def _by_operator() -> Iterator[tuple[str, Scaler]]:
    """Give what spec.shared.autoscaling does with each of its measures."""
    common = {"maxReplicas": MOST, "idleSeconds": IDLE_SECONDS}
    for least in (0, 1):
        runners = common | {"minReplicas": least, "runnersPerReplica": PLACES}
        yield f"{least}…{MOST} by runner pods", ByOperator.of(PLACES, **runners)
    builds = common | {"minReplicas": 0, "buildsPerReplica": PLACES - 1}
    yield f"0…{MOST} by builds", ByOperator.of(PLACES, **builds)


def replay(jobs: Sequence[Job], strategy: Strategy, seconds: int = DAY_SECONDS) -> Outcome:
    """Return what comes of a day, second by second until its last runner pod has ended, and for so long at least."""
    replayed = _Replay(strategy)
    coming = iter([*jobs, None])
    job = next(coming)
    now = 0.0
    while job is not None or replayed.is_busy or now < seconds:
        while job is not None and job.at <= now:
            replayed.runners.append(_Runner(job))
            job = next(coming)
        replayed.tick(now)
        now += 1
    return replayed.outcome


@dataclass
class _Runner:
    """A runner pod."""

    job: Job
    started: float | None = None
    """When its build has begun."""
    ended: float = float("inf")
    """When that ends."""

    def wants(self, now: float) -> bool:
        return self.started is None and self.job.at + self.job.before <= now


@dataclass
class _Replay:
    strategy: Strategy
    runners: list[_Runner] = field(default_factory=list)
    daemons: list[_Daemon] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    _replicas: int = 0
    _made: int = 0
    _claims: dict[int, set[str]] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        return bool(self.runners)

    def tick(self, now: float) -> None:
        """Let a second pass."""
        for daemon in self.daemons:
            daemon.ends = [end for end in daemon.ends if end > now]
        self.daemons = [daemon for daemon in self.daemons if daemon.ends or not daemon.is_stopping]
        self.runners = [runner for runner in self.runners if runner.ended + runner.job.after > now]
        self._scale(now)
        for runner in self.runners:
            if runner.wants(now) and (chosen := self._choose(runner.job.project, now)):
                self._begin(runner, chosen, now)
        self.outcome.daemon_seconds += len(self.daemons)

    def _scale(self, now: float) -> None:
        staying = [daemon for daemon in self.daemons if not daemon.is_stopping]
        seen = Seen(
            now=now,
            replicas=self._replicas,
            ready=sum(now >= daemon.ready_at for daemon in staying),
            runners=len(self.runners),
            builds=sum(len(daemon.ends) for daemon in staying),
        )
        self._replicas = self.strategy.scaler.replicas(seen)
        if not self.strategy.has_claims:
            # The operator has a Deployment take those away first that have the fewest builds.
            staying.sort(key=lambda daemon: len(daemon.ends), reverse=True)
        for daemon in staying[self._replicas :]:
            daemon.is_stopping = True
        for ordinal in range(len(staying), self._replicas):
            # With a claim, not before the last one of its name has gone.
            if self.strategy.has_claims and any(daemon.ordinal == ordinal for daemon in self.daemons):
                break
            self._add(ordinal, now)

    def _add(self, ordinal: int, now: float) -> None:
        self._made += 1
        name, cache = f"daemon-{self._made}", set[str]()
        if self.strategy.has_claims:
            name, cache = f"daemon-{ordinal}", self._claims.setdefault(ordinal, cache)
        self.daemons.append(_Daemon(name, ordinal, now + START_SECONDS, cache))

    def _choose(self, project: str, now: float) -> _Daemon | None:
        """Return the first daemon of a project that has room."""
        with_room = (daemon for daemon in self.daemons if daemon.has_room(now))
        return min(with_room, key=lambda daemon: _distance(project, daemon.name), default=None)

    def _begin(self, runner: _Runner, daemon: _Daemon, now: float) -> None:
        job = runner.job
        is_cold = job.project not in daemon.cache
        runner.started, runner.ended = now, now + job.warm + (job.cold if is_cold else 0)
        daemon.ends.append(runner.ended)
        daemon.cache.add(job.project)
        self.outcome.waits.append(now - job.at - job.before)
        if is_cold:
            self.outcome.cold += 1
            self.outcome.cold_seconds += job.cold


def _distance(project: str, daemon: str) -> bytes:
    """Return how far a daemon is from a project: few of them move when daemons come and go."""
    return sha256(f"{project} {daemon}".encode()).digest()
