"""What the demo applies and what installs the operator is taken by a real API server as it stands."""

from pathlib import Path

import pytest

from hack.cluster.controlplane import ControlPlane

TOP = Path(__file__).parents[2]
SAMPLES = TOP / "deploy/samples"
FILES = sorted(
    [
        *(TOP / "hack/demo").glob("*.yaml"),
        *SAMPLES.glob("*.yaml"),
        *SAMPLES.glob("guides/*.yaml"),
        *SAMPLES.glob("quickstart/*.yaml"),
    ]
)


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_sample_is_accepted(control_plane: ControlPlane, namespace: str, file: Path) -> None:
    said = control_plane.kubectl(
        "apply", f"--namespace={namespace}", "--dry-run=server", "--validate=strict", f"--filename={file}"
    )

    assert "created" in said


def test_the_installation_is_accepted(control_plane: ControlPlane) -> None:
    # For real: what is in a namespace cannot be tried out before the namespace exists.
    control_plane.kubectl("apply", "--server-side", "--validate=strict", f"--kustomize={TOP / 'deploy/kustomize/base'}")
