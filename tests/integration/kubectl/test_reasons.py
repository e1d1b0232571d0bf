"""The pages of reasons that come of a real API server's answers say what a builder there says."""

import re
from typing import Any, Final

import pytest

from buildkit_operator.api.reasons import Reason
from tests.integration.builders.builder_namespace import Builders
from tests.support.reason_pages import FROM_CLUSTER, compare, shown

SPECS: Final[dict[Reason, dict[str, Any]]] = {
    Reason.SECRET_NOT_FOUND: {
        "daemon": {"registries": [{"host": "registry.example.com", "caSecretName": "company-ca"}]}
    },
    Reason.CONFIG_MAP_NOT_FOUND: {"daemon": {"certificateAuthorities": [{"configMapName": "company-ca"}]}},
    Reason.CLAIM_NOT_FOUND: {"injection": {"localCache": {"claimName": "build-cache"}}},
    Reason.CERT_MANAGER_NOT_FOUND: {"shared": {"tls": {"mode": "CertManager", "issuerRef": {"name": "builders"}}}},
    Reason.REJECTED: {},
}


def test_there_is_a_builder_for_each_of_them() -> None:
    assert SPECS.keys() == FROM_CLUSTER


@pytest.mark.parametrize("reason", SPECS)
def test_an_example_is_as_a_builder_gives_it(team: Builders, reason: Reason, request: pytest.FixtureRequest) -> None:
    if reason is Reason.REJECTED:
        team.set_quota(services="0")
    team.create(**SPECS[reason])

    team.wait_reason(reason)

    conditions = [
        {**found, "message": re.sub(rf"\b{team.namespace}\b", "ci", found["message"])}
        for found in team.status()["conditions"]
    ]
    assert conditions[0]["type"] == "Ready"
    compare(reason, shown(reason, conditions), update=request.config.getoption("--update-golden"))
