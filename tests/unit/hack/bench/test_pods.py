"""What a benchmark reads of the processes in a container."""

import pytest

from hack.bench.pods import Usage

STAT = "{pid} ({name}) S 1 1 1 0 -1 4194560 4283 0 0 0 {user} {system} 0 0 20 0 1 0 2809349 46997504 4237 1844674407"
STATUS = "Name:\t{name}\nUmask:\t0022\nVmHWM:\t   {peak} kB\nVmRSS:\t   {resident} kB\nRssAnon:\t    {own} kB\n"
PROCESSES = "\n".join(
    [
        STAT.format(pid=1, name="sh", user=900, system=900),
        STAT.format(pid=15, name="haproxy", user=40, system=20),
        STAT.format(pid=18, name="haproxy", user=100, system=90),
        STATUS.format(name="sh", peak=1860, resident=1860, own=136)
        + STATUS.format(name="haproxy", peak=20480, resident=10240, own=2048)
        + STATUS.format(name="haproxy", peak=10240, resident=5120, own=1024),
    ]
)
V1 = "17199104\ncache 1\ninactive_file 1\ntotal_inactive_file 421888\n"
V2 = "17199104\nanon 1\ninactive_file 421888\nactive_file 7\n"


@pytest.mark.parametrize("charged", [V1, V2], ids=["cgroup-v1", "cgroup-v2"])
def test_the_processes_of_one_name_are_added_up_and_what_could_be_dropped_is_left_out(charged: str) -> None:
    used = Usage.of(PROCESSES + charged, "haproxy")

    assert used == Usage(cpu=2.5, resident=15, own=3, peak=30, working_set=16)


def test_a_process_that_is_not_there_is_no_process_that_used_nothing() -> None:
    with pytest.raises(AssertionError, match="no process haproxy"):
        Usage.of(STAT.format(pid=1, name="sh", user=1, system=1), "haproxy")
