"""The recipes of docs/ci and their samples, as far as a machine without a cluster can tell that they are right."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.api import names
from hack.cluster import pins
from tests.support.runner_pods import CI, TOP, blocks

SAMPLES: Final = sorted(file for file in CI.rglob("*") if file.is_file())
SHOWN: Final = [*SAMPLES, *sorted(CI.parent.glob("*.yaml"))]
PAGES: Final = sorted((TOP / "docs/ci").glob("*.md"))
EXCERPTS: Final = [
    (page, text) for page in PAGES for language, text in blocks(page) if language in {"yaml", "toml", "groovy"}
]
WORKFLOWS: Final = [file for file in SAMPLES if "runs-on:" in file.read_text() and file.parent.name != "forgejo"]
"""Those of GitHub; Forgejo's runners fetch actions from elsewhere."""
PINNED: Final = re.compile(r"uses: (?P<action>[\w-]+/[\w-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)$")


def lines(text: str) -> list[str]:
    """Return the lines of a text without indentation: what an excerpt and its sample have in common."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def stands_in(excerpt: list[str], sample: list[str]) -> bool:
    """Tell whether the excerpt's lines follow each other in the sample."""
    return any(sample[start : start + len(excerpt)] == excerpt for start in range(len(sample)))


@pytest.mark.parametrize(("page", "excerpt"), EXCERPTS, ids=lambda value: getattr(value, "stem", None))
def test_a_page_shows_what_stands_in_a_sample(page: Path, excerpt: str) -> None:
    assert any(stands_in(lines(excerpt), lines(sample.read_text())) for sample in SHOWN), page


def test_every_sample_is_named_on_a_page() -> None:
    pages = "".join(page.read_text() for page in PAGES)

    assert [sample for sample in SAMPLES if f"](../../{sample.relative_to(TOP)})" not in pages] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_is_in_the_index(page: Path) -> None:
    assert page.stem == "index" or f"]({page.name})" in (TOP / "docs/ci/index.md").read_text()


@pytest.mark.parametrize("sample", sorted((TOP / "deploy/samples/guides").iterdir()), ids=lambda file: file.stem)
def test_a_guide_names_its_sample_and_shows_some_of_it(sample: Path) -> None:
    named = [page for page in (TOP / "docs").glob("*.md") if f"](../{sample.relative_to(TOP)})" in page.read_text()]
    shown = [lines(text) for page in named for language, text in blocks(page) if language == "yaml"]

    assert any(stands_in(excerpt, lines(sample.read_text())) for excerpt in shown)


def every_label(value: Any) -> list[str]:
    """Return the names of builders that a document asks for, wherever."""
    return re.findall(rf"{names.BUILDER_LABEL}\W+([a-z0-9-]+)", str(value))


def test_samples_ask_for_the_builder_of_the_sample() -> None:
    builder = yaml.safe_load((TOP / "deploy/samples/sidecar.yaml").read_text())["metadata"]["name"]
    asked = {name for sample in SAMPLES for name in every_label(sample.read_text())}

    assert asked == {builder}


def test_images_are_those_that_the_tests_build_with() -> None:
    text = "".join(file.read_text() for file in [*SAMPLES, *PAGES, *(TOP / "docs/migrate").glob("*.md")])

    assert set(re.findall(r"docker\.io/moby/buildkit:\S*\w", text)) == {pins.BUILDKIT_IMAGE}
    assert set(re.findall(r"docker\.io/library/docker:\S*cli", text)) == {pins.DOCKER_IMAGE}


# GitHub


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_workflow_pins_its_actions_and_pushes(workflow: Path) -> None:
    parsed = yaml.safe_load(workflow.read_text())
    # YAML 1.1 takes the word `on` for a truth value.
    assert set(parsed) == {"name", True, "permissions", "jobs"}
    (job,) = parsed["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    pinned = [found["action"] for line in lines(workflow.read_text()) if (found := PINNED.search(line))]

    assert [action.partition("@")[0] for action in used] == pinned
    assert parsed["permissions"] == {"contents": "read"}
    assert any("--push" in step.get("run", "") or step.get("with", {}).get("push") for step in job["steps"])


def test_workflows_take_one_version_of_each_action() -> None:
    text = [line for workflow in WORKFLOWS for line in lines(workflow.read_text())]
    found = {match.group("action", "commit", "version") for line in text if (match := PINNED.search(line))}

    assert len(found) == len({action for action, _, _ in found})
    assert {action for action, _, _ in found} == {
        "actions/checkout",
        "docker/build-push-action",
        "docker/login-action",
        "docker/setup-buildx-action",
    }


def test_setup_buildx_never_asks_for_a_docker_daemon() -> None:
    steps = [step for file in WORKFLOWS for step in yaml.safe_load(file.read_text())["jobs"]["image"]["steps"]]
    inputs = [step["with"] for step in steps if step.get("uses", "").startswith("docker/setup-buildx-action@")]

    assert {given["driver"] for given in inputs} == {"remote"}
    assert {given["endpoint"] for given in inputs} == {
        "unix:///run/buildkit/buildkitd.sock",
        "tcp://demo-buildkitd.ci.svc:1234",
        "tcp://buildkit.example.com:1234",
    }


def test_kubernetes_mode_without_a_volume_differs_in_its_mode_alone() -> None:
    # ARC's chart in the tests does not know that mode yet; what else the values say is tried with the other one.
    with_volume = yaml.safe_load((CI / "arc/kubernetes-mode-values.yaml").read_text())
    without = yaml.safe_load((CI / "arc/kubernetes-novolume-values.yaml").read_text())

    assert with_volume["containerMode"]["type"] == "kubernetes"
    assert without == {**with_volume, "containerMode": {"type": "kubernetes-novolume"}}


# Forgejo and Gitea


def test_forgejos_workflow_runs_on_the_runner_of_the_sample_and_pushes() -> None:
    configured, deployment = yaml.safe_load_all((CI / "forgejo/runner.yaml").read_text())
    labels = yaml.safe_load(configured["data"]["config.yaml"])["runner"]["labels"]
    (job,) = yaml.safe_load((CI / "forgejo/workflow.yaml").read_text())["jobs"].values()

    assert [label.split(":") for label in labels] == [[job["runs-on"], "host"]]
    assert every_label(deployment["spec"]["template"]["metadata"]["labels"])
    # Its runner has no actions of GitHub, and a Docker daemon neither.
    assert not {"uses", "container", "services"} & {*job, *(key for step in job["steps"] for key in step)}
    assert any(step["run"].startswith("docker build ") and " --push " in step["run"] for step in job["steps"])


# GitLab


def test_gitlabs_chart_gives_the_runner_that_config_toml_does() -> None:
    written = tomllib.loads((CI / "gitlab/config.toml").read_text())["runners"][0]
    values = yaml.safe_load((CI / "gitlab/values.yaml").read_text())
    (rendered,) = tomllib.loads(values["runners"]["config"])["runners"]

    assert rendered == {key: written[key] for key in rendered}


def test_gitlabs_jobs_use_no_docker_daemon() -> None:
    pipeline = yaml.safe_load((CI / "gitlab/gitlab-ci.yml").read_text())

    for job in pipeline.values():
        assert "services" not in job
        assert not {"DOCKER_HOST", "BUILDKIT_HOST", "BUILDX_BUILDER"} & set(job.get("variables", {}))
