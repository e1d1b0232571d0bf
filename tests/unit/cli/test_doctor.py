"""What `doctor` makes of findings."""

import pytest

from buildkit_operator.cli import doctor
from buildkit_operator.cli.checks import CHECKS, examine
from buildkit_operator.cli.checks.findings import CheckFinding, CheckReport, CheckResult, failed, ok, warning
from buildkit_operator.cli.session import Scope
from tests.unit.cli.cluster_states import FORBIDDEN, cluster

OF_BUILDERS = set(CHECKS) - {
    "ServerVersion",
    "Definition",
    "Operator",
    "Leader",
    "PodCreation",
    "DaemonLabels",
    "Engine",
    "RefusedPods",
}


def test_of_a_bare_cluster_every_check_finds_something() -> None:
    reports = examine(cluster())

    assert [report.name for report in reports] == list(CHECKS)
    assert all(report.findings for report in reports)
    assert {report.name for report in reports if report.result is CheckResult.FAILED} == {
        "Definition",
        "Operator",
        "Leader",
        "Engine",
    }


def test_without_a_right_to_see_builders_no_check_goes_by_them() -> None:
    reports = examine(cluster(builders=FORBIDDEN))

    assert {report.name for report in reports if report.result is CheckResult.UNKNOWN} == OF_BUILDERS
    assert all(FORBIDDEN.sentence in report.findings[0].message for report in reports if report.name in OF_BUILDERS)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (["ok", "ok"], "ok"),
        (["ok", "unknown"], "unknown"),
        (["unknown", "warning", "ok"], "warning"),
        (["failed", "warning", "unknown"], "failed"),
    ],
)
def test_a_check_is_as_bad_as_its_worst_finding(results: list[str], expected: str) -> None:
    report = CheckReport("Check", tuple(CheckFinding(CheckResult(result), "So it is.") for result in results))

    assert report.result == expected


def test_people_get_a_line_for_each_finding_and_what_to_do() -> None:
    reports = [
        CheckReport("Good", (ok("It is well."),)),
        CheckReport("Longer", (failed("It is broken.", "Mend it.", "https://example.com/"), ok("The rest is well."))),
    ]

    assert doctor.show(reports, Scope(("ci",))).splitlines()[1:] == [
        "",
        "ok       Good    It is well.",
        "failed   Longer  It is broken.",
        "                 → Mend it.",
        "                 → https://example.com/",
        "ok       Longer  The rest is well.",
        "",
        "2 checks: 1 ok, 1 failed.",
    ]


def test_a_page_that_the_message_names_is_not_named_again() -> None:
    report = CheckReport("Check", (failed("Broken. See https://example.com/.", "", "https://example.com/"),))

    assert doctor.show([report], Scope()).count("https://example.com/") == 1


def test_of_many_findings_people_see_some_and_programs_all() -> None:
    many = CheckReport(
        "Many", (*(warning(f"Pod {number}.", "Look.") for number in range(25)), failed("Another.", "Mend."))
    )

    text = doctor.show([many], Scope())

    assert "Pod 9." in text
    assert "Pod 10." not in text
    assert "… and 15 more like this; -o json has all" in text
    assert "Another." in text
    assert len(doctor.document([many], Scope(), 37)["checks"][0]["findings"]) == 26


def test_programs_find_every_key_everywhere() -> None:
    document = doctor.document(examine(cluster()), Scope(("a", "b")), 37)

    assert list(document) == ["version", "serverVersion", "namespaces", "result", "checks"]
    assert document["namespaces"] == ["a", "b"]
    assert document["result"] == "failed"
    for check in document["checks"]:
        assert list(check) == ["check", "result", "findings"]
        for finding in check["findings"]:
            assert list(finding) == ["result", "message", "remedy", "page"]


def test_what_fails_has_a_remedy_or_names_it_itself() -> None:
    for report in examine(cluster()):
        assert all(finding.remedy for finding in report.findings if finding.result is CheckResult.FAILED)
