"""The guides of docs/migrate: what they show from before was valid, and what they end with gets the builder."""

from typing import Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from tests.integration.admission.engines import Engine
from tests.integration.recipes.injected import assert_builds, create
from tests.support import runner_pods
from tests.support.runner_pods import TOP

GUIDES: Final = sorted(file for file in (TOP / "docs/migrate").glob("*.md") if file.stem != "index")
LABEL: Final = "buildkit-operator.dev/builder"
OBJECTS: Final = [(file, document) for file in GUIDES for document in runner_pods.documents(file)]
MAKERS: Final = {"Pod", "Job", "CronJob"}


def asks(document: Manifest) -> bool:
    """Tell whether a guide's object is one of those that it ends with."""
    return document["kind"] in MAKERS and LABEL in yaml.safe_dump(document)


@pytest.mark.parametrize(("guide", "document"), OBJECTS, ids=lambda value: getattr(value, "stem", None))
def test_every_object_of_a_guide_is_accepted(engine: Engine, guide: object, document: Manifest) -> None:  # noqa: ARG001  names the test
    flags = ("--namespace=sidecar", "--dry-run=server", "--validate=strict")

    said = engine.control_plane.kubectl("apply", *flags, "--filename=-", text=yaml.safe_dump(document))

    assert "created" in said or "configured" in said


@pytest.mark.parametrize("namespace", ["sidecar", "shared"])
@pytest.mark.parametrize(
    "document", [document for _, document in OBJECTS if asks(document)], ids=lambda made: made["metadata"]["name"]
)
def test_what_a_guide_ends_with_gets_the_builder(engine: Engine, document: Manifest, namespace: str) -> None:
    pod = create(engine, namespace, runner_pods.pod_of_template(document))

    assert_builds(pod, namespace)
    assert not any(container.get("securityContext", {}).get("privileged") for container in pod["spec"]["containers"])
    assert not any("hostPath" in volume for volume in pod["spec"]["volumes"])


@pytest.mark.parametrize("guide", GUIDES, ids=lambda file: file.stem)
def test_a_guide_shows_a_pod_from_before_and_one_from_after(guide: object) -> None:
    shown = [asks(document) for file, document in OBJECTS if file == guide and document["kind"] in MAKERS]

    assert True in shown
    assert False in shown
