"""What a namespace's labels enforce, and how the daemon's container is set up for what is enforced there."""

import pytest

from buildkit_operator.api import versions
from buildkit_operator.desired.isolation import (
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
        security_context={"procMount": "Unmasked"}, process_sandbox=True, user_namespace=True
    )


@pytest.mark.parametrize(("version", "server"), [("v1.34", SERVER), ("latest", 34), ("v1.99", 34)])
def test_a_user_namespace_does_without_a_sandbox_where_older_rules_apply(version: str, server: int) -> None:
    assert confine(USER_NAMESPACE, enforced("baseline", version, server)) == Confinement(user_namespace=True)


def test_what_sets_no_profile_is_admitted_at_baseline_and_nothing_at_restricted() -> None:
    assert strictest_level(USER_NAMESPACE) is Level.BASELINE
    assert strictest_level(NODE_DEFAULT) is Level.BASELINE
    assert strictest_level(ROOTLESS) is Level.PRIVILEGED
