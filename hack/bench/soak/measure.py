"""Runs the soak test: all builders and what surrounds them side by side, for so many minutes."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Event
from typing import Final

from hack.bench.figures import Figure, Reach
from hack.bench.pods import own_namespace
from hack.bench.soak.builders import Lane, Scaled, Shared, Sidecars, builders
from hack.bench.soak.patient import PatientKubectl
from hack.bench.soak.surroundings import Surroundings
from hack.bench.soak.tally import Tally
from hack.cluster.kubectl import Kubectl
from hack.cluster.progress import step

TELL_SECONDS: Final = 60
"""How often it is said how far it is."""

Builders = Sequence[Shared | Scaled | Sidecars]


def measure(kubectl: Kubectl, minutes: float) -> list[Figure]:
    """Disturb everything for so many minutes, on a cluster that runs the operator and has nothing else to do."""
    patient = PatientKubectl(kubectl.program, kubectl.kubeconfig)
    with own_namespace(patient, "bench-soak") as team:
        made = builders(team)
        lanes: list[Lane] = [*made, Surroundings(patient)]
        with step("Making three builders and their clients"):
            for lane in lanes:
                lane.start()
        print(f"Building and disturbing for {minutes:g} minutes, {len(lanes)} things at the same time.", flush=True)
        _run(lanes, made, minutes)
        return _figures(lanes, made)


def _run(lanes: Sequence[Lane], made: Builders, minutes: float) -> None:
    """Have all lanes go on side by side until the time is over, or one has failed, whose exception is raised."""
    deadline = time.monotonic() + minutes * 60
    failed = Event()

    def run(lane: Lane) -> None:
        try:
            lane.go_on(lambda: time.monotonic() < deadline and not failed.is_set())
            lane.end()
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(len(lanes)) as pool:
        running = [pool.submit(run, lane) for lane in lanes]
        while not all(one.done() for one in running):
            failed.wait(TELL_SECONDS)
            print(f"{time.strftime('%H:%M:%S')} {_so_far(made)}", flush=True)
            if failed.is_set():
                break
        for one in running:
            one.result()


def _tally(made: Builders) -> Tally:
    return Tally.of(
        (build for one in made for build in one.builds()),
        [kill for one in made for kill in one.kills],
    )


def _so_far(made: Builders) -> str:
    tally = _tally(made)
    lost = "".join(f"\n  {build}" for build in tally.lost)
    return (
        f"builds begun {tally.started}, finished {tally.finished}, "
        f"failed as their daemon was killed {len(tally.killed)}, lost {len(tally.lost)}{lost}"
    )


def _figures(lanes: Sequence[Lane], made: Builders) -> list[Figure]:
    tally = _tally(made)
    done = ", ".join(f"{count} {name}" for lane in lanes for name, count in lane.done.items())
    lost = [f"{build.builder}: {build.words}" for build in tally.lost]
    killed = sorted({build.words or "nothing" for build in tally.killed})
    return [
        Figure("what was done", done),
        *(Figure(f"builds of {one.name}", str(len(one.builds()))) for one in made),
        Figure("builds begun", str(tally.started)),
        Figure("finished", str(tally.finished)),
        Figure(
            "time of one that finished, waiting for daemons and places included",
            f"{median(tally.seconds):.0f} s, at most {max(tally.seconds):.0f} s",
        ),
        Figure(
            "failed, on a daemon that was killed or not back yet",
            f"{len(tally.killed)} {'; '.join(killed)}".strip(),
        ),
        Figure("failed without words", str(tally.without_words), tally.without_words, Reach(0)),
        Figure("hang", str(tally.running), tally.running, Reach(0), is_promise=True),
        Figure("lost", f"{len(lost)} {'; '.join(lost)}".strip(), len(lost), Reach(0), is_promise=True),
    ]
