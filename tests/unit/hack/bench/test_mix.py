"""The day's mix in small."""

from collections import Counter

from hack.bench import mix
from hack.bench.timed import Built


def built(name: str, log: str) -> Built:
    return Built(name, 0, 1, 2, f"{log}\nstatus 0\n")


def test_the_mix_is_the_same_each_time_and_comes_in_bursts() -> None:
    arrivals = mix.arrivals()

    assert arrivals == mix.arrivals()
    assert Counter(arrival.project for arrival in arrivals) == mix.PROJECTS
    assert {int(arrival.at // mix.EVERY_SECONDS) for arrival in arrivals} == set(range(mix.BURSTS))
    assert all(arrival.at % mix.EVERY_SECONDS <= mix.WITHIN_SECONDS for arrival in arrivals)


def test_builds_that_shared_one_run_of_a_step_count_it_once() -> None:
    ran = "#5 0.123 dependencies anvil 11-22"

    assert mix.cold([built("a", ran), built("b", ran), built("c", "#5 CACHED"), built("d", f"{ran}3")]) == 2


def test_a_step_that_is_only_named_was_not_run() -> None:
    named = '#5 [2/3] RUN echo "dependencies $PROJECT $(cat /proc/sys/kernel/random/uuid)"\n#5 CACHED'

    assert mix.cold([built("a", named)]) == 0
