"""Before and after in *… in ten minutes*: what comes out is the sample that is tested, what goes is a Docker daemon."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.support.diffs import Diff, diffs
from tests.support.markdown import blocks
from tests.support.runner_pods import CI, TOP

ARC: Final = TOP / "docs/ci/arc-in-ten-minutes.md"
GITLAB: Final = TOP / "docs/ci/gitlab-in-ten-minutes.md"
PAGES: Final = (ARC, GITLAB)
VALUES, *WORKFLOWS = diffs(ARC)
RUNNER, JOB = diffs(GITLAB)


@pytest.mark.parametrize(
    ("diff", "sample"), [(VALUES, "arc/scale-set-values.yaml"), (RUNNER, "gitlab/values.yaml")], ids=["ARC", "GitLab"]
)
def test_the_values_after_it_are_those_of_the_sample(diff: Diff, sample: str) -> None:
    assert yaml.safe_load(diff.after) == yaml.safe_load((CI / sample).read_text())


def test_the_job_after_it_is_that_of_the_sample() -> None:
    ((name, job),) = yaml.safe_load(JOB.after).items()

    assert job == yaml.safe_load((CI / "gitlab/gitlab-ci.yml").read_text())[name]


@pytest.mark.parametrize(
    ("diff", "sample"),
    [*zip(WORKFLOWS, ("docker-build.yaml", "build-push-action.yaml"), strict=True)],
    ids=["docker build", "actions"],
)
def test_the_steps_after_it_are_those_of_the_sample(diff: Diff, sample: str) -> None:
    assert diff.after in (CI / "github-actions" / sample).read_text()


def test_what_goes_is_a_docker_daemon() -> None:
    assert yaml.safe_load(VALUES.before)["containerMode"] == {"type": "dind"}
    (before,) = yaml.safe_load(JOB.before).values()
    assert before["services"] == ["docker:29.8.2-dind"]
    assert "privileged = true" in RUNNER.before
    for diff in (VALUES, RUNNER, JOB, *WORKFLOWS):
        assert yaml.safe_load(diff.before)
        assert not any(word in diff.after for word in ("dind", "privileged", "DOCKER_HOST"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_diff_is_longer_than_a_screen(page: Path) -> None:
    assert max(len(block.text.splitlines()) for block in blocks(page.read_text()) if block.language == "diff") <= 24


def test_both_sides_of_a_diff_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```diff\n a: 1\n-b: 2\n+b: 3\n```\n\n```sh\n-x\n```\n")

    assert diffs(page) == [Diff(before="a: 1\nb: 2\n", after="a: 1\nb: 3\n")]
