"""What a namespace's labels enforce, and how the daemon's container is set up for what is enforced there."""

from itertools import pairwise

import pytest

from buildkit_operator.api import versions
from buildkit_operator.api.builder import HIGHEST_ID
from buildkit_operator.desired.isolation import (
    DAEMON_ID,
    ENFORCE_LABEL,
    ENFORCE_VERSION_LABEL,
    Confinement,
    Level,
    PodSecurity,
    confine,
    strictest_level,
)
from tests.unit.make import make_builder

SERVER = 37
UNCONFINED = {"type": "Unconfined"}

ROOTLESS = make_builder().spec
NODE_DEFAULT = make_builder(securityProfiles="NodeDefault").spec
USER_NAMESPACE = make_builder(isolation="UserNamespace").spec
IDS_OF_POD = "user:1:999\nuser:1001:64535\n"


def enforced(level: str | None = None, version: str | None = None, server: int = SERVER) -> PodSecurity:
    labels = {ENFORCE_LABEL: level, ENFORCE_VERSION_LABEL: version}
    return PodSecurity.of({name: value for name, value in labels.items() if value is not None}, server)


# What labels enforce


@pytest.mark.parametrize(
    ("label", "level"),
    [
        (None, Level.PRIVILEGED),
        ("privileged", Level.PRIVILEGED),
        ("baseline", Level.BASELINE),
        ("restricted", Level.RESTRICTED),
        # As the API server has it: what it cannot read it takes for the strictest.
        ("Baseline", Level.RESTRICTED),
        ("", Level.RESTRICTED),
    ],
)
def test_the_level_is_read_off_its_label(label: str | None, level: Level) -> None:
    assert enforced(label).level is level


@pytest.mark.parametrize(
    ("label", "minor"),
    [
        (None, SERVER),
        ("latest", SERVER),
        ("v1.34", 34),
        ("v1.9", 9),
        # There are no rules yet of a version newer than the server.
        ("v1.99", SERVER),
        ("1.34", SERVER),
        ("v1.34.1", SERVER),
        ("v2.0", SERVER),
        ("garbage", SERVER),
    ],
)
def test_the_version_is_read_off_its_label_and_counts_as_the_servers_if_it_is_none(
    label: str | None, minor: int
) -> None:
    assert enforced("baseline", label).minor == minor


def test_other_labels_of_pod_security_enforce_nothing() -> None:
    labels = {"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/audit": "baseline"}

    assert PodSecurity.of(labels, SERVER) == PodSecurity(Level.PRIVILEGED, SERVER)


def test_levels_are_named_as_in_labels_and_ordered() -> None:
    assert [str(level) for level in sorted(Level)] == ["privileged", "baseline", "restricted"]


# The set-up for what is enforced


@pytest.mark.parametrize("level", ["privileged", "baseline", "restricted"])
def test_rootless_is_the_same_everywhere(level: str) -> None:
    assert confine(ROOTLESS, enforced(level)) == Confinement(
        security_context={"seccompProfile": UNCONFINED, "appArmorProfile": UNCONFINED}
    )


@pytest.mark.parametrize("level", ["privileged", "baseline", "restricted"])
def test_profiles_left_to_the_node_are_not_mentioned(level: str) -> None:
    assert confine(NODE_DEFAULT, enforced(level)) == Confinement()


@pytest.mark.parametrize(
    ("level", "version", "server"),
    [
        ("baseline", "latest", versions.UNMASKED_PROC.minor),
        ("baseline", f"v{versions.UNMASKED_PROC}", SERVER),
        # Whatever the version: level privileged has no rules.
        ("privileged", "v1.34", SERVER),
        (None, None, 34),
    ],
)
def test_a_user_namespace_gives_build_steps_a_sandbox_where_an_unmasked_proc_is_admitted(
    level: str | None, version: str | None, server: int
) -> None:
    assert confine(USER_NAMESPACE, enforced(level, version, server)) == Confinement(
        security_context={"procMount": "Unmasked"},
        process_sandbox=True,
        user_namespace=True,
        subordinate_ids=IDS_OF_POD,
    )


@pytest.mark.parametrize(("version", "server"), [("v1.34", SERVER), ("latest", 34), ("v1.99", 34)])
def test_a_user_namespace_does_without_a_sandbox_where_older_rules_apply(version: str, server: int) -> None:
    assert confine(USER_NAMESPACE, enforced("baseline", version, server)) == Confinement(
        user_namespace=True, subordinate_ids=IDS_OF_POD
    )


def test_what_sets_no_profile_is_admitted_at_baseline_and_nothing_at_restricted() -> None:
    assert strictest_level(USER_NAMESPACE) is Level.BASELINE
    assert strictest_level(NODE_DEFAULT) is Level.BASELINE
    assert strictest_level(ROOTLESS) is Level.PRIVILEGED


# The ids of builds


def mapped(subordinate_ids: str | None) -> dict[range, range]:
    """Return which ids of the pod stand behind which of a build, as rootlesskit has newuidmap map them."""
    ids = {range(1): range(DAEMON_ID, DAEMON_ID + 1)}
    for line in (subordinate_ids or "").splitlines():
        user, first, count = line.split(":")
        assert user == "user"
        begin = max(build.stop for build in ids)
        ids[range(begin, begin + int(count))] = range(int(first), int(first) + int(count))
    return ids


@pytest.mark.parametrize(
    ("highest", "ids_of_pod"), [(None, 65_536), (65_536, 2 * 65_536), (200_000, 4 * 65_536), (HIGHEST_ID, 2**32 - 1)]
)
def test_in_a_user_namespace_a_build_has_each_id_of_the_pod_once(highest: int | None, ids_of_pod: int) -> None:
    spec = make_builder(isolation="UserNamespace", highestID=highest).spec
    ids = mapped(confine(spec, enforced()).subordinate_ids)

    assert max(build.stop for build in ids) - 1 == (highest or 65_534)
    behind = sorted(ids.values(), key=lambda pod: pod.start)
    assert behind[0].start == 1
    assert all(one.stop == other.start for one, other in pairwise(behind))
    assert behind[-1].stop <= ids_of_pod


def test_rootless_a_build_has_the_ids_of_the_image_or_as_many_as_are_asked_for() -> None:
    assert confine(ROOTLESS, enforced()).subordinate_ids is None
    for highest in (65_536, 4_000_000, HIGHEST_ID):
        for profiles in ("Unconfined", "NodeDefault"):
            spec = make_builder(highestID=highest, securityProfiles=profiles).spec
            ids = mapped(confine(spec, enforced()).subordinate_ids)

            assert ids == {range(1): range(1000, 1001), range(1, highest + 1): range(100_000, 100_000 + highest)}
            assert max(node.stop for node in ids.values()) < 2**32


def test_more_ids_leave_those_that_a_cache_was_written_with() -> None:
    for isolation in ("Rootless", "UserNamespace"):
        few, more = (
            mapped(confine(make_builder(isolation=isolation, highestID=highest).spec, enforced()).subordinate_ids)
            for highest in (65_536, 200_000)
        )
        assert all(node.start == more_node.start for node, more_node in zip(few.values(), more.values(), strict=True))
