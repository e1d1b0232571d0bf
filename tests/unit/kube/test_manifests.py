"""What is asked of a plain object, also of one that says nothing."""

import pytest

from buildkit_operator.kube.manifests import condition, controller_of, has_ended, owned_by
from buildkit_operator.kube.resources import DEPLOYMENT, Manifest

READY: Manifest = {"type": "Ready", "status": "True"}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({}, {}),
        ({"status": None}, {}),
        ({"status": {"conditions": None}}, {}),
        ({"status": {"conditions": [{"type": "Stalled", "status": "True"}]}}, {}),
        ({"status": {"conditions": [{"type": "Stalled", "status": "True"}, READY]}}, READY),
    ],
)
def test_a_condition_is_found_by_its_type(manifest: Manifest, expected: Manifest) -> None:
    assert condition(manifest, "Ready") == expected


def test_the_controller_is_one_of_the_owners() -> None:
    controller = {"uid": "1", "kind": "Job", "controller": True}

    assert controller_of({"metadata": {"ownerReferences": [{"uid": "2", "kind": "Team"}, controller]}}) == controller
    assert controller_of({"metadata": {"ownerReferences": [{"uid": "2", "kind": "Team"}]}}) is None


OURS: Manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo", "uid": "owner", "controller": True}


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        (None, False),
        ([], False),
        ([OURS], True),
        ([OURS | {"apiVersion": "apps/v2"}], True),
        ([OURS | {"uid": "other"}], False),
        pytest.param([OURS | {"controller": False}], False, id="an owner that does not control"),
        pytest.param([OURS | {"kind": "DaemonSet"}], False, id="another kind"),
        pytest.param([OURS | {"apiVersion": "example.com/v1"}], False, id="another group"),
        pytest.param([OURS | {"apiVersion": "v1"}], False, id="the core group"),
        ([OURS | {"uid": "other", "controller": False}, OURS], True),
    ],
)
def test_the_controller_owns(references: list[Manifest] | None, expected: bool) -> None:  # noqa: FBT001
    metadata = {} if references is None else {"ownerReferences": references}

    assert owned_by({"metadata": metadata}, DEPLOYMENT, "owner") is expected


@pytest.mark.parametrize(
    ("phase", "expected"), [("Pending", False), ("Running", False), ("Succeeded", True), ("Failed", True)]
)
def test_a_pod_has_ended_by_its_phase(phase: str, expected: bool) -> None:  # noqa: FBT001
    assert has_ended({"status": {"phase": phase}}) is expected


def test_a_pod_that_nobody_has_looked_at_has_not_ended() -> None:
    assert not has_ended({})
