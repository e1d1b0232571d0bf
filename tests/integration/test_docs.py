"""What the documentation shows is what a real API server does: it takes every builder, and says what is quoted."""

import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuilderSpec
from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.support import markdown
from tests.support.markdown import TOP

# What commands print: by tests/unit/cli and tests/integration/kubectl. Builders that are refused are among it.
TRIED_ELSEWHERE = {"cli.md", "kubectl.md"}
SHOWS_A_BUILDER = re.compile(rf"^(apiVersion: {re.escape(names.GROUP)}/|spec:$)", re.MULTILINE)
FIELDS = {field.alias or name for name, field in BuilderSpec.model_fields.items()}


def builders() -> Iterator[tuple[str, Manifest]]:
    """Give each builder with its place; one of which only the spec is shown, or a part of it, is completed."""
    for file in (file for file in markdown.files() if file.name not in TRIED_ELSEWHERE):
        blocks = [block.text for block in markdown.blocks(file.read_text()) if SHOWS_A_BUILDER.search(block.text)]
        documents = [d for text in blocks for d in yaml.safe_load_all(text) if isinstance(d, dict)]
        for number, document in enumerate(documents):
            place = f"{file.relative_to(TOP)}-{number}"
            if str(document.get("apiVersion", "")).startswith(f"{names.GROUP}/"):
                yield place, document
            elif document.keys() == {"spec"} and document["spec"].keys() <= FIELDS:
                kind = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "shown"}}
                yield place, {**kind, "spec": {"mode": "Shared"} | document["spec"]}


SHOWN = dict(builders())


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("place", SHOWN)
def test_a_builder_of_the_documentation_is_accepted(control_plane: ControlPlane, namespace: str, place: str) -> None:
    # In one namespace for all: those that builders name need not exist.
    shown = SHOWN[place]
    manifest = {**shown, "metadata": {**shown["metadata"], "namespace": namespace}}

    said = control_plane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "--filename=-", text=yaml.safe_dump(manifest)
    )

    assert "created" in said


@pytest.mark.usefixtures("crds")
def test_a_bad_builder_is_refused_as_the_installation_says(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("apply", f"--namespace={namespace}", f"--filename={TOP / 'deploy/samples/sidecar.yaml'}")
    shown = (TOP / "docs/install.md").read_text()

    patch = """--patch={"spec": {"shared": {"replicas": 2}}}"""

    with pytest.raises(subprocess.CalledProcessError) as refused:
        control_plane.kubectl("patch", "bkb", "sidecar", f"--namespace={namespace}", "--type=merge", patch)

    assert f"\n{refused.value.stderr.strip()}\n" in shown
