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


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("../../kube-system/secrets/x", "..%2F..%2Fkube-system%2Fsecrets%2Fx"),
        ("a?watch=true", "a%3Fwatch%3Dtrue"),
        ("a#b", "a%23b"),
        ("%2e%2e", "%252e%252e"),
        ("a b\r\nHost: c", "a%20b%0D%0AHost%3A%20c"),
        ("ä", "%C3%A4"),
        ("...", "..."),
        ("a.b-c", "a.b-c"),
    ],
)
def test_a_name_is_one_part_of_an_address_whatever_it_is(name: str, part: str) -> None:
    assert DEPLOYMENT.path("ns", name) == f"/apis/apps/v1/namespaces/ns/deployments/{part}"
    assert DEPLOYMENT.path(name, "n", "status") == f"/apis/apps/v1/namespaces/{part}/deployments/n/status"
    assert DEPLOYMENT.path("ns", "n", name) == f"/apis/apps/v1/namespaces/ns/deployments/n/{part}"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_would_be_another_address_is_no_name(name: str) -> None:
    for parts in ((name,), ("ns", name), ("ns", "n", name)):
        with pytest.raises(ValueError, match="is no name"):
            DEPLOYMENT.path(*parts)


def test_names_for_people() -> None:
    assert (POD.api_version, POD.display_name) == ("v1", "pods")
    assert (DEPLOYMENT.api_version, DEPLOYMENT.display_name) == ("apps/v1", "deployments.apps")
