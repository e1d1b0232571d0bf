"""The pods that CI systems make of the samples get the builder, in either mode and without a word of refusal."""

import tomllib
from collections.abc import Callable
from typing import Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from tests.integration.admission.engines import Engine
from tests.integration.recipes.injected import KEY, assert_builds, create
from tests.support import runner_pods
from tests.support.runner_pods import CI, read

GITLAB: Final = {
    "CI_PROJECT_PATH_SLUG": "group-app",
    "CI_REGISTRY": "registry.example.com",
    "CI_REGISTRY_IMAGE": "registry.example.com/group/app",
    "CI_REGISTRY_USER": "ci",
    "CI_COMMIT_SHORT_SHA": "3d3c42e5",
}
"""Some of the variables that GitLab sets for every job."""


def gitlab(job: str, runner: int) -> Manifest:
    """Return the pod of a job of gitlab-ci.yml with one of config.toml's runners."""
    runners = tomllib.loads((CI / "gitlab/config.toml").read_text())["runners"]
    return runner_pods.pod_of_gitlab(runners[runner], read("gitlab/gitlab-ci.yml")[job], GITLAB)


def gitlab_by_chart() -> Manifest:
    (runner,) = tomllib.loads(read("gitlab/values.yaml")["runners"]["config"])["runners"]
    return runner_pods.pod_of_gitlab(runner, read("gitlab/gitlab-ci.yml")["image:docker"], GITLAB)


def jenkins_by_code() -> Manifest:
    (cloud,) = read("jenkins/casc.yaml")["jenkins"]["clouds"]
    (template,) = cloud["kubernetes"]["templates"]
    return runner_pods.pod_of_jenkins(template["yaml"])


def jenkins() -> Manifest:
    return runner_pods.pod_of_jenkins(runner_pods.yaml_of_jenkinsfile((CI / "jenkins/Jenkinsfile").read_text()))


def kubernetes_mode(*, has_volume: bool) -> Manifest:
    template = read("arc/hook-template.yaml")["data"]["template.yaml"]
    image = read("github-actions/job-container.yaml")["jobs"]["image"]["container"]
    return runner_pods.pod_of_hook(template, image, has_volume=has_volume)


def buildkite(sample: str) -> Manifest:
    (step,) = read("buildkite/pipeline.yaml")["steps"]
    if sample == "values.yaml":
        return runner_pods.pod_of_buildkite(read("buildkite/values.yaml")["config"]["default-metadata"], step)
    (plugin,) = step["plugins"]
    return runner_pods.pod_of_buildkite(plugin["kubernetes"]["metadata"], step)


def woodpecker() -> Manifest:
    lines = (CI / "woodpecker/agent.env").read_text().splitlines()
    agent = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    return runner_pods.pod_of_woodpecker(read("woodpecker/pipeline.yaml"), agent)


def forgejo() -> Manifest:
    _, deployment = yaml.safe_load_all((CI / "forgejo/runner.yaml").read_text())
    return runner_pods.pod_of_deployment(deployment)


def job() -> Manifest:
    (found,) = (
        document
        for document in yaml.safe_load_all((CI.parent / "sidecar-job.yaml").read_text())
        if document["kind"] == "Job"
    )
    return runner_pods.pod_of_template(found)


PODS: Final[dict[str, tuple[Callable[[], Manifest], str]]] = {
    "arc": (
        lambda: runner_pods.pod_of_scale_set(read("arc/scale-set-values.yaml")["template"]),
        "shared/linux-build-x7k2p-runner",
    ),
    "arc-kubernetes-mode": (lambda: kubernetes_mode(has_volume=True), "example-org"),
    "arc-kubernetes-mode-without-a-volume": (lambda: kubernetes_mode(has_volume=False), "example-org"),
    "arc-runner-deployment": (
        lambda: runner_pods.pod_of_runner_deployment(read("arc/runner-deployment.yaml")),
        "shared/linux-build-x7k2p",
    ),
    "argo-workflows": (lambda: runner_pods.pod_of_argo(read("argo-workflows/workflow.yaml")), "org/image"),
    "buildkite": (lambda: buildkite("pipeline.yaml"), "org/app"),
    "buildkite-by-its-chart": (
        lambda: buildkite("values.yaml"),
        "shared/buildkite-0190c3f2-5d0e-7c1b-9d8f-2f6f0f5b7a11",
    ),
    "evryfs": (lambda: runner_pods.pod_of_evryfs(read("evryfs/runner-pool.yaml")), "shared/build-pool"),
    "forgejo": (forgejo, "shared/forgejo-runner-6d5c7b9f84"),
    "gitlab": (lambda: gitlab("image:docker", 0), "group-app"),
    "gitlab-by-its-chart": (gitlab_by_chart, "group-app"),
    "gitlab-of-a-job-that-asks": (lambda: gitlab("image:buildctl", 1), "group-app"),
    "jenkins": (jenkins, "example-org/app"),
    "jenkins-by-code": (jenkins_by_code, "example-org"),
    "tekton": (
        lambda: runner_pods.pod_of_tekton(read("tekton/task.yaml"), read("tekton/taskrun.yaml")),
        "org/image",
    ),
    "woodpecker": (woodpecker, "org/app"),
    "cronjob": (lambda: runner_pods.pod_of_template(read("jobs/cronjob.yaml")), "org/image"),
    "job": (job, "shared/sidecar-build"),
}
"""The pod of each recipe, and the key by which it finds a daemon of a builder of mode Shared."""


@pytest.mark.parametrize("namespace", ["sidecar", "shared"])
@pytest.mark.parametrize("recipe", PODS)
def test_a_recipes_pod_gets_the_builder(engine: Engine, recipe: str, namespace: str) -> None:
    pod = create(engine, namespace, PODS[recipe][0]())

    assert_builds(pod, namespace)


@pytest.mark.parametrize("recipe", PODS)
def test_pods_of_one_repository_meet_one_daemon(engine: Engine, recipe: str) -> None:
    make, key = PODS[recipe]

    assert create(engine, "shared", make())["metadata"]["annotations"][KEY] == key


def test_a_woodpecker_step_gets_nothing_unless_its_agent_allows_labels(engine: Engine) -> None:
    pod = create(engine, "sidecar", runner_pods.pod_of_woodpecker(read("woodpecker/pipeline.yaml"), {}))

    assert "initContainers" not in pod["spec"]


def test_a_gitlab_job_that_does_not_ask_gets_nothing(engine: Engine) -> None:
    pod = create(engine, "sidecar", gitlab("image:docker", 1))

    assert [container["name"] for container in pod["spec"]["initContainers"]] == ["init-permissions"]


@pytest.mark.parametrize(
    "label", ["team=other", "x-buildkit-operator.dev/builder=sidecar", "buildkit-operator.dev/builder=A"]
)
def test_the_gitlab_runner_allows_jobs_no_other_label(label: str) -> None:
    runner = tomllib.loads((CI / "gitlab/config.toml").read_text())["runners"][1]
    job = {"script": ["true"], "variables": {"KUBERNETES_POD_LABELS_1": label}}

    with pytest.raises(ValueError, match="does not match"):
        runner_pods.pod_of_gitlab(runner, job, GITLAB)
