"""The real kustomize-controller of Flux applies builders and waits for them, and says when that is of no use."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.flux import Artifacts, KustomizeController, Repository, apply_definitions

DOCUMENTATION: Final = Path(__file__).parents[3] / "docs" / "gitops.md"
PROMPT_SECONDS: Final = 30
"""Far less than the two minutes that the Kustomizations of these tests would wait."""


@pytest.fixture(scope="module")
def flux(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifacts]:
    """Run Flux for the shared API server, and serve artifacts."""
    apply_definitions(control_plane)
    controller = KustomizeController(control_plane.kubeconfig, tmp_path_factory.mktemp("flux") / "log")
    try:
        controller.wait_ready()
        with Artifacts() as served:
            yield served
    finally:
        controller.kill()


@pytest.fixture
def repository(builders: Builders, flux: Artifacts, policies: None) -> Repository:  # noqa: ARG001  they are in force
    return Repository(builders, flux)


def builder(name: str = "demo", **spec: Any) -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name},
        "spec": {"mode": "Sidecar", **spec},
    }


# Waiting


def test_it_is_ready_when_the_builder_is(builders: Builders, repository: Repository) -> None:
    revision = repository.push(builder(), builder("shared", mode="Shared"))
    repository.sync()
    builders.wait_reason("Available", "demo")
    builders.wait_for_deployment("shared")
    builders.play_controller("shared", readyReplicas=0, availableReplicas=0)
    # Flux looks every five seconds.
    time.sleep(6)
    assert repository.ready(revision) == {}

    builders.make_ready("shared")

    ready = repository.wait_ready(revision)
    assert (ready["status"], ready["reason"]) == ("True", "ReconciliationSucceeded")


def test_it_does_not_wait_for_daemons_that_nobody_asked_for(builders: Builders, repository: Repository) -> None:
    revision = repository.push(builder(mode="Shared", shared={"replicas": 0}))
    repository.sync()

    assert repository.wait_ready(revision)["status"] == "True"
    assert builders.condition()["reason"] == "ScaledToZero"


def test_a_builder_and_one_that_uses_it_may_come_in_one_commit(builders: Builders, repository: Repository) -> None:
    """The one that comes first may fail for want of the other, which Flux sees or not; it tries again."""
    allowed = {"names": [builders.namespace]}
    provider = builder("provider", mode="Shared", shared={"replicas": 0, "allowedNamespaces": allowed})
    using = {"from": {"namespace": builders.namespace, "name": "provider"}}
    revision = repository.push(provider, builder("consumer", mode="Shared", shared=using))

    repository.sync(retryInterval="2s")

    builders.wait("both are ready", lambda: repository.ready(revision).get("status") == "True", PROMPT_SECONDS)


def test_what_was_suspended_while_it_served_is_not_waited_for(builders: Builders, repository: Repository) -> None:
    repository.sync()
    assert repository.wait_ready(repository.push(builder()))["status"] == "True"

    revision = repository.push(builder(suspend=True, image="example.com/other:1"))

    assert repository.wait_ready(revision)["status"] == "True"
    assert builders.condition()["reason"] == "Suspended"


# Failing


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"shared": {}}, "shared is only for mode Shared; remove it or set mode to Shared"),
        ({"mode": "Sidekick"}, 'Unsupported value: "Sidekick": supported values: "Shared", "Sidecar"'),
        ({"sharde": {}}, ".spec.sharde: field not declared in schema"),
    ],
    ids=["rule", "value", "field"],
)
def test_a_spec_that_the_api_server_refuses_is_told_in_its_sentence(
    builders: Builders, repository: Repository, spec: Manifest, sentence: str
) -> None:
    revision = repository.push(builder(**spec))
    repository.sync()

    ready = repository.wait_ready(revision)

    assert (ready["status"], ready["reason"]) == ("False", "ReconciliationFailed")
    assert sentence in ready["message"]
    assert builders.get("buildkitbuilders", "demo") is None


def test_a_builder_that_needs_somebody_fails_at_once_and_says_why_itself(
    builders: Builders, repository: Repository
) -> None:
    revision = repository.push(builder(daemon={"toml": "nonsense = true"}))
    repository.sync()

    ready = repository.wait_ready(revision, PROMPT_SECONDS)

    assert (ready["status"], ready["reason"]) == ("False", "HealthCheckFailed")
    assert f"BuildKitBuilder/{builders.namespace}/demo status: 'Failed'" in ready["message"]
    assert "nonsense" in builders.condition()["message"]
    # Mended in Git, it is ready without anybody's help.
    assert repository.wait_ready(repository.push(builder()))["status"] == "True"


def test_one_that_git_holds_suspended_from_the_start_can_be_taken_for_good(
    builders: Builders, repository: Repository
) -> None:
    """By the expressions of the documentation, which judge all others as before."""
    (documented,) = re.findall(r"```yaml\n(spec:\n  healthCheckExprs:.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    revision = repository.push(builder(suspend=True), builder("other"))

    repository.sync(**yaml.safe_load(documented)["spec"])

    assert repository.wait_ready(revision)["status"] == "True"
    assert builders.condition("Stalled")["reason"] == "Suspended"
    failing = repository.push(builder("other", daemon={"toml": "nonsense = true"}))
    assert repository.wait_ready(failing, PROMPT_SECONDS)["reason"] == "HealthCheckFailed"


# Pruning and drift


def test_what_is_taken_from_git_is_deleted(builders: Builders, repository: Repository) -> None:
    repository.sync()
    repository.wait_ready(repository.push(builder(), builder("other")))

    revision = repository.push(builder())

    assert repository.wait_ready(revision)["status"] == "True"
    assert builders.get("buildkitbuilders", "other") is None
    assert builders.get("buildkitbuilders", "demo") is not None
    assert "configmaps/demo-buildkitd-sidecar" in builders.children()


def test_at_rest_flux_and_the_operator_write_nothing(builders: Builders, repository: Repository) -> None:
    repository.sync()
    repository.wait_ready(repository.push(builder()))
    before, children = builders.get("buildkitbuilders", "demo"), builders.versions()

    # Another commit has it apply everything again.
    revision = repository.push(builder(), README="changed")

    assert repository.wait_ready(revision)["status"] == "True"
    assert builders.get("buildkitbuilders", "demo") == before
    assert builders.versions() == children


def test_it_leaves_an_autoscalers_replicas_where_git_names_none(builders: Builders, repository: Repository) -> None:
    manifest = builder(mode="Shared", shared={"drainTimeoutSeconds": 60})
    revision = repository.push(manifest)
    repository.sync()
    builders.make_ready()
    repository.wait_ready(revision)
    builders.kubectl("scale", "bkb/demo", "--replicas=4")
    builders.make_ready()

    revision = repository.push(manifest, README="changed")

    assert repository.wait_ready(revision)["status"] == "True"
    found: Any = builders.get("buildkitbuilders", "demo")
    assert found["spec"]["shared"]["replicas"] == 4
