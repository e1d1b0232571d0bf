"""Secrets with private keys are written as they were decided: what somebody changed since is read and decided anew."""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import TerminalError
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.certificate_issuance import issue_due, read_stored
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.desired.certificates import secrets
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube.auth import connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import Conflict
from buildkit_operator.kube.resources import SECRET
from buildkit_operator.pki.issuer import issue_authority
from buildkit_operator.pki.keypairs import Lifetimes
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.conftest import CRDS

NAMES: Final = {"demo-buildkitd-ca", "demo-buildkitd-tls", "demo-connection"}
LIFETIMES: Final = Lifetimes()


class Replica:
    """What a replica of the operator remembers of a builder's Secrets, for as long as it likes."""

    def __init__(self, client: Client, builder: BuildKitBuilder) -> None:
        self.builder = builder
        self.secrets = NamedObjects(client, SECRET, lambda: 0.0, ttl_seconds=60)
        self.apply_set = ApplySet(client, Cache(BUILDERS), {SECRET: self.secrets})

    async def decide(self, now: datetime | None = None) -> Any:
        stored = await read_stored(self.builder, self.secrets)
        return secrets(
            self.builder, issue_due(self.builder, stored, "cluster.local", LIFETIMES, now or datetime.now(UTC))
        )

    async def reconcile(self, now: datetime | None = None) -> None:
        await self.apply_set.apply(self.builder, await self.decide(now))


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Start an API server without an operator, which would do the same work."""
    with ControlPlane() as alone:
        alone.apply_crds(CRDS)
        yield alone


@pytest.fixture
def builders(control_plane: ControlPlane, namespace: str) -> Builders:
    return Builders(control_plane, namespace)


@pytest.fixture
async def client(builders: Builders) -> AsyncIterator[Client]:
    connection = await connect(str(builders.control_plane.kubeconfig))
    client = Client(connection, field_manager="buildkit-operator")
    yield client
    await client.close()
    await connection.close()


@pytest.fixture
async def replica(builders: Builders, client: Client) -> Replica:
    """Return one that has made a builder's Secrets."""
    builder = {**builders.create(), "apiVersion": "buildkit-operator.dev/v1alpha1", "kind": "BuildKitBuilder"}
    replica = Replica(client, BuildKitBuilder.model_validate(builder))
    await replica.reconcile()
    return replica


def stored(builders: Builders) -> dict[str, dict[str, str]]:
    return {name: builders.secret(name) for name in NAMES if builders.get("secrets", name) is not None}


def another_authority() -> dict[str, str]:
    made = issue_authority("another", timedelta(days=3650), datetime.now(UTC))
    return {"tls.crt": b64encode(made.certificate).decode(), "tls.key": b64encode(made.key).decode()}


async def test_a_second_reconcile_writes_nothing(builders: Builders, replica: Replica) -> None:
    mark = builders.control_plane.mark()

    await replica.reconcile()

    ours = [r for r in builders.control_plane.audit(mark) if r.namespace == builders.namespace and r.writes]
    assert ours == []


async def test_of_two_that_make_an_authority_one_is_refused(builders: Builders, client: Client) -> None:
    """As two leaders would, one of whose writes was late."""
    created = {**builders.create(), "apiVersion": "buildkit-operator.dev/v1alpha1", "kind": "BuildKitBuilder"}
    late, early = (Replica(client, BuildKitBuilder.model_validate(created)) for _ in range(2))
    decided = await late.decide()
    await early.reconcile()
    before = stored(builders)

    with pytest.raises(Conflict):
        await late.apply_set.apply(late.builder, decided)

    assert stored(builders) == before
    await late.reconcile()
    assert stored(builders) == before


async def test_an_authority_that_somebody_put_there_meanwhile_is_kept(builders: Builders, replica: Replica) -> None:
    decided = await replica.decide(datetime.now(UTC) + timedelta(days=2500))  # the next one is to be prepared
    theirs = another_authority()
    builders.patch("secrets", "demo-buildkitd-ca", {"data": theirs})

    with pytest.raises(Conflict):
        await replica.apply_set.apply(replica.builder, decided)
    await replica.reconcile()

    found = builders.get("secrets", "demo-buildkitd-ca")
    assert found is not None
    assert found["data"] == theirs
    assert builders.secret("demo-connection")["ca.crt"] == builders.secret("demo-buildkitd-ca")["tls.crt"]


@pytest.mark.parametrize("name", sorted(NAMES))
async def test_a_secret_that_somebody_deleted_meanwhile_is_not_made_from_memory(
    builders: Builders, replica: Replica, name: str
) -> None:
    before = builders.secret(name)
    decided = await replica.decide(datetime.now(UTC) + timedelta(days=2500))
    builders.delete("secrets", name)

    with pytest.raises(Conflict):
        await replica.apply_set.apply(replica.builder, decided)

    assert builders.get("secrets", name) is None
    await replica.reconcile()
    assert builders.secret(name)["tls.key"] != before["tls.key"]


async def test_a_secret_that_was_read_anew_in_the_middle_is_decided_anew(builders: Builders, replica: Replica) -> None:
    """The two looks at a Secret, to decide and to compare, are as far apart as a reconcile is long."""
    decided = await replica.decide()
    theirs = another_authority()
    builders.patch("secrets", "demo-buildkitd-ca", {"data": theirs})
    replica.secrets.forget(builders.namespace, "demo-buildkitd-ca")

    with pytest.raises(Conflict):
        await replica.apply_set.apply(replica.builder, decided)

    found = builders.get("secrets", "demo-buildkitd-ca")
    assert found is not None
    assert found["data"] == theirs


async def test_somebody_elses_secret_is_left_alone(builders: Builders, client: Client) -> None:
    created = {**builders.create(), "apiVersion": "buildkit-operator.dev/v1alpha1", "kind": "BuildKitBuilder"}
    builders.post("secrets", {"metadata": {"name": "demo-connection"}, "data": {"mine": "AAAA"}})
    replica = Replica(client, BuildKitBuilder.model_validate(created))

    with pytest.raises(TerminalError, match="belongs to nobody that this operator knows"):
        await replica.reconcile()

    found = builders.get("secrets", "demo-connection")
    assert found is not None
    assert found["data"] == {"mine": "AAAA"}
