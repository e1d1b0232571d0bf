"""Pods that asked for a builder and have none."""

from typing import Any

import pytest

from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import FORBIDDEN, asking_pod, cluster, found, live, messages, ready, result
from tests.unit.make import changed

RENDERED: Manifest = ready() | {"injection": {"initContainers": [{"name": "buildkitd"}]}}


def served(pod: Manifest) -> Manifest:
    labels = {**pod["metadata"]["labels"], "buildkit-operator.dev/injected": "demo"}
    return changed(pod, "metadata.labels", labels)


@pytest.mark.parametrize(
    ("pod", "expected", "said"),
    [
        (served(asking_pod()), CheckResult.OK, "1 pod asks for a builder that is there, and none runs without it"),
        (asking_pod(created="2026-11-24T10:00:00Z"), CheckResult.FAILED, "it is older than the builder"),
        (asking_pod(), CheckResult.FAILED, "no engine served it"),
        (asking_pod(hostNetwork=True), CheckResult.FAILED, "the pod has hostNetwork: true"),
        (
            changed(asking_pod(), "metadata.annotations", {"kubernetes.io/config.mirror": "x"}),
            CheckResult.FAILED,
            "a kubelet runs it from a file",
        ),
    ],
)
def test_why_a_pod_got_nothing_is_told_where_it_can_be_known(pod: Manifest, expected: CheckResult, said: str) -> None:
    seen = cluster(builders=[live(mode="Sidecar", status=RENDERED)], asking=[pod])

    assert result("UninjectedPods", seen) is expected
    assert said in messages("UninjectedPods", seen)


def test_a_builder_that_is_not_ready_is_why() -> None:
    ailing = live(mode="Sidecar", status=ready("False", "InvalidSpec", "spec.image: nonsense."))

    assert "it is not ready: spec.image: nonsense." in messages(
        "UninjectedPods", cluster(builders=[ailing], asking=[asking_pod()])
    )


def test_in_the_operators_namespace_nothing_is_injected() -> None:
    pod = changed(asking_pod(), "metadata.namespace", "kube-system")
    builder = changed(live(mode="Sidecar", status=RENDERED), "metadata.namespace", "kube-system")

    assert "are never looked at" in messages("UninjectedPods", cluster(builders=[builder], asking=[pod]))


def test_a_pod_that_was_picked_and_passed_over_has_its_note_quoted() -> None:
    pod = changed(asking_pod(), "metadata.annotations", {"buildkit-operator.dev/not-injected": "Because of this."})

    seen = cluster(builders=[live()], picked=[pod, asking_pod("other")])

    assert result("UninjectedPods", seen) is CheckResult.WARNING
    assert "ci/job, which a builder picks, got nothing: Because of this." in messages("UninjectedPods", seen)
    assert "ci/other, which a builder picks, got nothing: it is older" in messages("UninjectedPods", seen)


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        ({"asking": FORBIDDEN}, "UninjectedPods"),
        ({"picked": FORBIDDEN}, "UninjectedPods"),
        ({"asking": FORBIDDEN}, "UnknownBuilders"),
        ({"builders": FORBIDDEN}, "UnknownBuilders"),
        ({"refusals": FORBIDDEN}, "RefusedPods"),
    ],
)
def test_what_may_not_be_seen_is_unknown(facts: dict[str, Any], check: str) -> None:
    assert result(check, cluster(**facts)) is CheckResult.UNKNOWN
    assert FORBIDDEN.sentence in messages(check, cluster(**facts))


def test_a_label_that_names_no_builder_is_told_once() -> None:
    seen = cluster(builders=[live()], asking=[asking_pod(), asking_pod("wrong", builder="demmo")])

    (finding,) = found("UnknownBuilders", seen)

    assert finding.result is CheckResult.FAILED
    assert finding.message == 'Pod ci/wrong asks for builder "demmo", which namespace ci does not have.'
    assert "wrong" not in messages("UninjectedPods", seen)


def test_a_builder_of_another_namespace_is_none() -> None:
    elsewhere = changed(live(), "metadata.namespace", "elsewhere")

    assert result("UnknownBuilders", cluster(builders=[elsewhere], asking=[asking_pod()])) is CheckResult.FAILED


def refusal(note: str, name: str = "build") -> Manifest:
    return {"involvedObject": {"kind": "Job", "namespace": "ci", "name": name}, "message": note}


OURS = 'Error creating: admission webhook "label.buildkit-operator.dev" denied the request: there is no BuildKitBuilder'
POLICY = "Error creating: pods is forbidden: ValidatingAdmissionPolicy 'buildkit-operator-injected' with binding …"


@pytest.mark.parametrize("note", [OURS, POLICY])
def test_a_job_whose_pods_are_refused_is_told_once_in_the_last_words(note: str) -> None:
    events = [refusal("Error creating: exceeded quota: q"), refusal(f"{note}: before"), refusal(note)]

    (finding,) = found("RefusedPods", cluster(refusals=events))

    assert finding.result is CheckResult.WARNING
    assert finding.message == f"Pods of Job ci/build were refused: {note}"


def test_what_others_refuse_is_their_affair() -> None:
    assert result("RefusedPods", cluster(refusals=[refusal("Error creating: exceeded quota: q")])) is CheckResult.OK
