"""Samples that are Kubernetes objects are taken as they stand, by their own definitions, strictly."""

import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from tests.integration.admission.engines import Engine
from tests.integration.recipes.injected import assert_builds, create
from tests.support import runner_pods
from tests.support.diffs import diffs
from tests.support.runner_pods import CI, TOP

OBJECTS: Final = (
    "arc/hook-template.yaml",
    "arc/runner-deployment.yaml",
    "build-push-action/builder.yaml",
    "build-push-action/hosted-runners.yaml",
    "forgejo/runner.yaml",
    "jobs/cronjob.yaml",
    "tekton/task.yaml",
    "tekton/taskrun.yaml",
)
VALUES: Final = (
    "arc/scale-set-values.yaml",
    "arc/kubernetes-mode-values.yaml",
    "arc/kubernetes-novolume-values.yaml",
    "build-push-action/scale-set-values.yaml",
)
"""Values of ARC's chart for runner scale sets.

The chart here, 0.6.1, is older than kubernetes-novolume, and renders such values as if no mode was set: of these it is
seen that the rest is taken. That the rest is the same as with a volume, a unit test sees.
"""


@pytest.mark.usefixtures("definitions")
@pytest.mark.parametrize("sample", OBJECTS)
def test_a_sample_is_accepted(engine: Engine, sample: str) -> None:
    assert "created" in apply(engine, (CI / sample).read_text())


@pytest.mark.usefixtures("definitions")
@pytest.mark.parametrize("sample", VALUES)
def test_a_runner_scale_set_is_accepted(engine: Engine, sample: str) -> None:
    assert "created" in apply(engine, yaml.safe_dump(runner_scale_set(sample)))


def test_a_runner_of_the_rendered_scale_set_gets_the_builder(engine: Engine) -> None:
    template = runner_scale_set("arc/scale-set-values.yaml")["spec"]["template"]

    assert_builds(create(engine, "sidecar", runner_pods.pod_of_scale_set(template)), "sidecar")


def test_arc_in_ten_minutes_takes_dind_out_of_the_runner(tmp_path: Path) -> None:
    values, *_ = diffs(TOP / "docs/ci/arc-in-ten-minutes.md")

    for text, daemon in ((values.before, True), (values.after, False)):
        (tmp_path / "values.yaml").write_text(text)
        spec = runner_scale_set(f"{tmp_path}/values.yaml")["spec"]["template"]["spec"]
        containers = [*spec.get("initContainers", []), *spec["containers"]]
        assert any(one.get("securityContext", {}).get("privileged") for one in containers) is daemon


def test_a_runner_of_kubernetes_mode_finds_its_template_and_gets_no_builder(engine: Engine) -> None:
    template = runner_scale_set("arc/kubernetes-mode-values.yaml")["spec"]["template"]
    pod = create(engine, "sidecar", runner_pods.pod_of_scale_set(template))

    (runner,) = pod["spec"]["containers"]
    variables = {variable["name"]: variable.get("value") for variable in runner["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in runner["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    configured = yaml.safe_load((CI / "arc/hook-template.yaml").read_text())
    assert "initContainers" not in pod["spec"]
    assert variables["ACTIONS_RUNNER_CONTAINER_HOOKS"] == "/home/runner/k8s/index.js"
    assert variables["ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"] == f"{mounts['job-template']}/template.yaml"
    assert volumes["job-template"]["configMap"]["name"] == configured["metadata"]["name"]
    assert list(configured["data"]) == ["template.yaml"]


def apply(engine: Engine, text: str) -> str:
    """Return what kubectl says of applying objects, as a dry run."""
    flags = ("--namespace=sidecar", "--dry-run=server", "--validate=strict")
    return engine.control_plane.kubectl("apply", *flags, "--filename=-", text=text)


def runner_scale_set(sample: str) -> Manifest:
    """Return the AutoscalingRunnerSet that ARC's own chart makes of a sample's values."""
    made = artifacts.ensure("helm", "files:arc")
    command = [made["helm"] / "helm", "template", "linux-build", made["files:arc"] / "gha-runner-scale-set"]
    # Else the chart asks the cluster where the controller is.
    controller = "controllerServiceAccount.namespace=arc,controllerServiceAccount.name=arc"
    rendered = subprocess.run(
        [*map(str, command), "--namespace=sidecar", f"--values={CI / sample}", f"--set={controller}"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    (found,) = (made for made in yaml.safe_load_all(rendered) if made and made["kind"] == "AutoscalingRunnerSet")
    return found  # type: ignore[no-any-return]
