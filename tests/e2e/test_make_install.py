"""`make install` on a kind cluster: it builds, loads and waits, and the second time no pod is replaced."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hack.cluster import current
from hack.cluster.installation import OPERATOR, operator_image, run_operator
from hack.cluster.kubectl import Kubectl

TOP: Final = Path(__file__).parents[2]
PODS: Final = f"--selector=app.kubernetes.io/name={OPERATOR}"
pytestmark = pytest.mark.exclusive("replaces the operator that other tests use")


@pytest.fixture
def installed_anew(cluster: Kubectl) -> Iterator[Kubectl]:
    if current.chosen():
        pytest.skip("make install would ask for the image of the user's own cluster")
    yield cluster
    run_operator(cluster, operator_image())


def make_install(cluster: Kubectl) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", "install"],
        cwd=TOP,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "YES": "1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Without what make says of packages that it has installed first.
    return done.stdout[done.stdout.index("The operator runs") :]


def pods(cluster: Kubectl) -> dict[str, str]:
    """Return the image of each of the operator's pods that are to stay."""
    found = cluster.within(OPERATOR).get("pods", PODS)
    images = {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in found}
    gone = {pod["metadata"]["name"] for pod in found if "deletionTimestamp" in pod["metadata"]}
    return {name: image for name, image in images.items() if name not in gone}


def test_it_runs_the_image_of_this_checkout_and_then_stays_as_it_is(installed_anew: Kubectl) -> None:
    said = make_install(installed_anew)
    first = pods(installed_anew)

    assert said.endswith("kubectl apply -f deploy/samples/sidecar.yaml\n")
    (image,) = set(first.values())
    assert image.startswith(f"{operator_image()}-")
    assert f"with image {image}" in said

    assert make_install(installed_anew) == said
    assert pods(installed_anew) == first
