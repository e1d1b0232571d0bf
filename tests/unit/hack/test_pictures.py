"""The recording and the dashboard's picture: how they are made, and that those in docs/ are of what there is now."""

import base64
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from hack.pictures import chart, dashboard, prometheus, recording

TEXTS: Final = re.compile(r"<text[^>]*>([^<]*)</text>")


# The recording


def test_what_a_command_prints_in_a_terminal_is_recorded_with_its_times(capsys: pytest.CaptureFixture[str]) -> None:
    printed, status = recording.record(["sh", "-c", "test -t 1 && echo one >&2; sleep 0.2; echo two; exit 3"])

    assert status == 3
    assert [text for _, text in printed] == ["one\r\n", "two\r\n"]
    assert 0 <= printed[0][0] <= printed[1][0]
    assert printed[1][0] >= 0.2
    assert capsys.readouterr().out == "one\r\ntwo\r\n"


def test_a_recording_does_not_tell_on_whose_machine_it_was_made() -> None:
    ((_, said),) = recording.without_places([(1.0, f"cat {recording.TOP}/README.md {Path.home()}/.netrc")])

    assert said == "cat ~/buildkit-operator/README.md ~/.netrc"


def test_an_asciicast_has_a_header_and_a_line_for_each_event() -> None:
    header, event = map(json.loads, recording.cast([(0.12345, "ü\r\n")]).splitlines())

    assert header["version"] == 2
    assert (header["width"], header["height"]) == (recording.COLUMNS, recording.ROWS)
    assert event == [0.123, "o", "ü\r\n"]


def test_a_picture_is_made_of_an_asciicast(tmp_path: Path) -> None:
    (tmp_path / "cast").write_text(recording.cast([(0.0, "first\r\n"), (900.0, "second\r\n")]))

    recording.draw(tmp_path / "cast", tmp_path / "svg")

    drawn = (tmp_path / "svg").read_text()
    assert "first" in drawn
    assert "second" in drawn
    # Nobody waits for a quarter of an hour.
    assert re.findall(r"--animation-duration: (\d+)ms", drawn) == ["9000"]


# The dashboard


class Answers(prometheus.Prometheus):
    """One that was asked before."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(0)
        self.answers = answers
        self.asked: list[str] = []

    def _ask(self, what: str, **parameters: object) -> list[dict[str, Any]]:
        self.asked.append(str(parameters["query"]))
        found: list[dict[str, Any]] = self.answers.get(what, [])
        return found


def test_each_panel_of_the_dashboard_is_drawn() -> None:
    series = {"metric": {"namespace": "ci", "builder": "demo"}, "values": [[0, "1"], [30, "2"], [60, "NaN"]]}
    one = {"metric": {"mode": "Shared", "ready": "True"}, "value": [60, "3"]}
    answers = Answers(query=[one], query_range=[series])

    drawn = dashboard.picture(answers, 0, 60)

    texts = TEXTS.findall(drawn)
    titles = {panel["title"] for panel in dashboard.DASHBOARD["panels"] if not dashboard.is_absent(panel)}
    assert titles <= set(texts)
    assert "ci/demo desired" in texts
    assert "Shared, ready True" in texts
    assert not [query for query in answers.asked if "$" in query]


def test_a_panel_without_data_says_so() -> None:
    assert "No data" in TEXTS.findall(dashboard.picture(Answers(), 0, 60))


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.25, "percentunit", "25%"),
        (3 * 1024**2, "bytes", "3 MiB"),
        (512, "Bps", "512 B/s"),
        (0.0123, "s", "12.3 ms"),
        (90, "s", "90 s"),
        (864000, "s", "10 d"),
        (2, "short", "2"),
        (0.5, "reqps", "0.5/s"),
        (float("nan"), "short", "none"),
    ],
)
def test_a_number_is_shown_in_its_unit(value: float, unit: str, shown: str) -> None:
    assert chart.number(value, unit) == shown


@pytest.mark.parametrize(
    ("value", "unit", "top"), [(3, "short", "5"), (13 * 1024**2, "Bps", "20 MiB/s"), (0, "s", "1 s")]
)
def test_an_axis_ends_at_a_round_number(value: float, unit: str, top: str) -> None:
    drawn = chart.time_series(chart.Box(0, 0, 400, 200), [chart.Line("a", [(0, value)])], unit, 0, 60)

    assert top in TEXTS.findall(drawn)


def test_a_line_is_broken_where_there_is_no_value() -> None:
    line = chart.Line("a", [(0, 1), (1, 1), (100, 1)])

    drawn = chart.time_series(chart.Box(0, 0, 400, 200), [line], "short", 0, 120)

    (path,) = re.findall(r'<path d="([^"]*)" stroke="[^"]*" class="line"/>', drawn)[:1]
    assert re.sub(r"[^ML]", "", path) == "MLM"


def test_prometheus_scrapes_what_the_monitors_say(tmp_path: Path) -> None:
    data = base64.b64encode(b"secret").decode()
    found = {
        "clusters": [{"cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": data}}],
        "users": [{"user": {"client-certificate-data": data, "client-key-data": data}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(found))

    made = prometheus.configuration(tmp_path / "kubeconfig", tmp_path)

    jobs = {job["job_name"]: job for job in made["scrape_configs"]}
    assert set(jobs) == {
        "daemons/front",
        "daemons/metrics",
        "daemons/haproxy",
        "buildkit-operator",
        "buildkit-operator-webhook",
        "kubelet",
    }
    assert jobs["buildkit-operator"]["honor_labels"] is True
    front = jobs["daemons/front"]
    assert {rule.get("target_label") for rule in front["relabel_configs"]} >= {"builder", "metrics_path", "namespace"}
    assert front["metric_relabel_configs"] == [
        {"source_labels": ["__name__"], "regex": "buildkit_front_.+", "action": "keep"}
    ]
    assert (tmp_path / "key_file").stat().st_mode & 0o077 == 0


# Those in docs/


def test_the_recording_in_the_documentation_is_small_and_tells_no_places() -> None:
    events = [json.loads(line) for line in recording.CAST.read_text().splitlines()[1:]]
    said = "".join(text for _, _, text in events)

    assert said.startswith("$ make demo\r\n")
    assert {"Timings:", "Tags in the registry:"} <= {line.strip() for line in said.splitlines()}
    assert re.search(r"^ *#\d+ CACHED\r$", said, re.MULTILINE)
    assert not re.search(r"(?<![\w~])/(home|root|work|Users)/", said)
    assert recording.PICTURE.stat().st_size < 200_000


def test_the_dashboards_picture_is_of_these_panels() -> None:
    texts = TEXTS.findall(dashboard.PICTURE.read_text())

    assert {p["title"] for p in dashboard.DASHBOARD["panels"] if not dashboard.is_absent(p)} <= set(texts)
    # No builder is stalled, and volumes of kind's tell nothing of what they hold.
    assert texts.count("No data") <= 2
    assert dashboard.PICTURE.stat().st_size < 200_000
