"""What people read: refusals and warnings as kubectl prints them."""

import subprocess
from typing import Final

import pytest

from hack.cluster.controlplane import program
from tests.integration.admission.engines import HERE, Engine

IN_FRONT: Final = {
    "policies": (
        "is invalid: : ValidatingAdmissionPolicy 'buildkit-operator-injected' with binding "
        "'buildkit-operator-injected' denied request: "
    ),
    "webhook": 'admission webhook "label.buildkit-operator.dev" denied the request: ',
}


OWN_HOST: Final = "container job sets BUILDKIT_HOST itself and will not use BuildKitBuilder demo"


def kubectl_create(engine: Engine, pod: str) -> list[str]:
    """Return the lines that kubectl prints for people when it creates one of the pods."""
    flags = [f"--kubeconfig={engine.control_plane.kubeconfig}", "--dry-run=server", "--output=name"]
    command = [str(program("kubectl")), "create", *flags, f"--filename={HERE / 'pods' / pod}.yaml"]
    return subprocess.run(command, text=True, capture_output=True, check=False).stderr.splitlines()


@pytest.mark.parametrize("pod", ["host-network", "no-such-builder", "shared-and-connector-of-its-own", "windows-os"])
def test_a_refusal_is_a_line_with_the_reason(engine: Engine, pod: str) -> None:
    (line,) = kubectl_create(engine, pod)

    golden = (HERE / "golden" / f"{pod}.yaml").read_text()
    sentence = golden.removeprefix("refused: |-\n  ").strip()
    assert line.endswith(IN_FRONT[engine.name] + sentence)


@pytest.mark.parametrize(
    ("pod", "warning"),
    [
        ("buildkit-host-of-its-own", OWN_HOST),
        ("buildkit-host-from-a-secret", OWN_HOST),
    ],
)
def test_the_webhook_warns_of_what_the_author_should_know(webhook: Engine, pod: str, warning: str) -> None:
    assert kubectl_create(webhook, pod) == [f"Warning: {warning}"]


def test_either_engine_warns_of_a_pod_of_which_no_container_can_use_its_builder(engine: Engine) -> None:
    (line,) = kubectl_create(engine, "chosen-containers-absent")

    assert line.startswith("Warning: ")
    assert (
        'no container of this pod can use BuildKitBuilder "chosen" of namespace "ci", as its spec.injection.containers '
        "names none of them: rename the container or change that list"
    ) in line


def test_an_ordinary_pod_is_created_without_a_word(engine: Engine) -> None:
    assert kubectl_create(engine, "bare") == []
