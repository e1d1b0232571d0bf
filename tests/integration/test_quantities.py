"""The table of quantities that the unit tests go by, read back from a real API server."""

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.support.quantities import SPELLINGS


@pytest.mark.parametrize(("spelling", "stored"), SPELLINGS)
def test_the_server_stores_a_quantity_in_its_own_way(control_plane: ControlPlane, spelling: str, stored: str) -> None:
    labels = {"app": "quantities"}
    volume = {"name": "cache", "emptyDir": {"sizeLimit": spelling}}
    pod = {"containers": [{"name": "main", "image": "none"}], "volumes": [volume]}
    answer = control_plane.request(
        "POST",
        "/apis/apps/v1/namespaces/default/deployments?dryRun=All",
        {
            "metadata": {"name": "quantities"},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
    )

    assert answer["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] == stored
