"""A release from its tag to an installed chart: two architectures, signatures and all, in the cluster of the tests."""

import pytest

from hack.cluster import current
from hack.cluster.kubectl import Kubectl
from hack.cluster.pins import VERSION
from hack.release.__main__ import rehearse

pytestmark = pytest.mark.skipif(current.chosen(), reason="a release is rehearsed in a cluster of the project's own")


def test_a_release_is_made_verified_and_installed(cluster: Kubectl) -> None:
    said = list(rehearse(cluster))

    told = dict(line.split(": ", 1) for line in said)
    assert told["Git"].startswith(f"v{VERSION} at ")
    assert "/charts/buildkit-operator@sha256:" in told["Chart"]
    assert told["Verified signatures"].startswith("4, "), "of the index, both images and the chart"
    assert sorted(told["Verified provenance"].split(", ")) == ["linux/amd64", "linux/arm64"]
    assert said[-1].endswith(f"which say they are {VERSION}")
