import pytest

from buildkit_operator.kube.resources import DEPLOYMENT, POD


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (POD.path(), "/api/v1/pods"),
        (POD.path("ns"), "/api/v1/namespaces/ns/pods"),
        (DEPLOYMENT.path("ns", "n"), "/apis/apps/v1/namespaces/ns/deployments/n"),
        (DEPLOYMENT.path("ns", "n", "status"), "/apis/apps/v1/namespaces/ns/deployments/n/status"),
    ],
)
def test_addresses(path: str, expected: str) -> None:
    assert path == expected


def test_names_for_people() -> None:
    assert (POD.api_version, POD.display_name) == ("v1", "pods")
    assert (DEPLOYMENT.api_version, DEPLOYMENT.display_name) == ("apps/v1", "deployments.apps")
