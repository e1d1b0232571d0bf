"""The client against a real API server: what each verb does, and which error each refusal becomes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from buildkit_operator.api.conditions import fitted
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import MAX_NOTE_LENGTH, EventRecorder
from buildkit_operator.engine.leader_client import LeaderOnlyClient
from buildkit_operator.engine.leader_election import NoLeaderElection, NotLeader
from buildkit_operator.kube import client as module
from buildkit_operator.kube.auth import Connection, connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import Conflict, Forbidden, Invalid, NotFound
from buildkit_operator.kube.pages import PageSize
from buildkit_operator.kube.resources import CONFIG_MAP, DEPLOYMENT, Key, Manifest
from tests.integration.engine.widget_namespace import Widgets
from tests.integration.engine.widgets import WIDGETS, desired_config_map, widget


@pytest.fixture
async def connection(widgets: Widgets) -> AsyncIterator[Connection]:
    connection = await connect(str(widgets.control_plane.kubeconfig))
    yield connection
    await connection.close()


@pytest.fixture
async def client(connection: Connection) -> AsyncIterator[Client]:
    client = Client(connection, field_manager="test", resources=(WIDGETS.primary,))
    yield client
    await client.close()


def config_map(widgets: Widgets, name: str = "one", **data: str) -> Manifest:
    metadata = {"name": name, "namespace": widgets.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def named_widget(widgets: Widgets, **spec: Any) -> Manifest:
    created = widget("one", "first")
    created["metadata"]["namespace"] = widgets.namespace
    created["spec"] |= spec
    return created


async def test_what_is_not_there_is_none(widgets: Widgets, client: Client) -> None:
    assert await client.get(CONFIG_MAP, widgets.namespace, "none") is None


async def test_an_apply_creates_and_what_it_no_longer_names_is_removed(widgets: Widgets, client: Client) -> None:
    await client.apply(config_map(widgets, a="1", b="2"))
    await client.apply(config_map(widgets, a="1"))

    found = await client.get(CONFIG_MAP, widgets.namespace, "one")

    assert found is not None
    assert found["data"] == {"a": "1"}


async def test_an_apply_keeps_every_character(widgets: Widgets, client: Client) -> None:
    sixteen_bits = [chr(number) for number in range(0x10000) if not 0xD800 <= number < 0xE000]
    text = "".join([*sixteen_bits, "\U00010000", "\U0001f600", "\U0010ffff"])

    applied = await client.apply(config_map(widgets, text=text))

    assert applied["data"] == {"text": text}


async def test_an_apply_takes_fields_from_others_and_leaves_theirs(widgets: Widgets, client: Client) -> None:
    await client.apply(config_map(widgets, a="1"))
    widgets.patch("configmaps", "one", {"data": {"a": "theirs", "c": "theirs"}})

    applied = await client.apply(config_map(widgets, a="1"))

    assert applied["data"] == {"a": "1", "c": "theirs"}


async def test_the_same_apply_changes_nothing(widgets: Widgets, client: Client) -> None:
    first = await client.apply(config_map(widgets, a="1"))
    second = await client.apply(config_map(widgets, a="1"))

    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_an_apply_that_only_creates_does_create(widgets: Widgets, client: Client) -> None:
    await client.apply_new(config_map(widgets, a="1", b="2"))
    await client.apply(config_map(widgets, a="1"))

    found = await client.get(CONFIG_MAP, widgets.namespace, "one")

    assert found is not None
    assert found["data"] == {"a": "1"}


async def test_an_apply_that_only_creates_leaves_what_exists_alone(widgets: Widgets, client: Client) -> None:
    widgets.control_plane.request("POST", widgets.path("configmaps"), {"metadata": {"name": "one"}, "data": {"b": "2"}})

    with pytest.raises(Conflict):
        await client.apply_new(config_map(widgets, a="1"))

    found = await client.get(CONFIG_MAP, widgets.namespace, "one")
    assert found is not None
    assert found["data"] == {"b": "2"}


async def test_only_the_metadata_can_be_asked_for(widgets: Widgets, client: Client) -> None:
    await client.apply(config_map(widgets, a="1"))

    found = await client.get(CONFIG_MAP, widgets.namespace, "one", metadata_only=True)

    assert found is not None
    assert found["metadata"]["name"] == "one"
    assert "data" not in found


@pytest.mark.parametrize("metadata_only", [True, False])
async def test_a_list_is_read_page_by_page(
    widgets: Widgets,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    metadata_only: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    monkeypatch.setattr(module, "PageSize", lambda: PageSize(limit=2))
    await asyncio.gather(*(client.apply(config_map(widgets, f"n{number}", a="1")) for number in range(5)))

    found = await client.list(CONFIG_MAP, widgets.namespace, metadata_only=metadata_only)

    assert sorted(item["metadata"]["name"] for item in found) == [f"n{number}" for number in range(5)]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}
    assert all(("data" in item) is not metadata_only for item in found)


async def test_a_list_can_be_of_what_carries_a_label(widgets: Widgets, client: Client) -> None:
    labelled = config_map(widgets, "labelled")
    labelled["metadata"]["labels"] = {"color": "red"}
    await client.apply(labelled)
    await client.apply(config_map(widgets, "plain"))

    found = await client.list(CONFIG_MAP, widgets.namespace, label_selector="color")

    assert [item["metadata"]["name"] for item in found] == ["labelled"]


async def test_a_status_is_applied_without_the_rest(widgets: Widgets, client: Client) -> None:
    await client.create(named_widget(widgets))

    applied = await client.apply_status({**named_widget(widgets, value="ignored"), "status": {"seen": "first"}})

    assert applied["status"] == {"seen": "first"}
    assert applied["spec"] == {"value": "first"}


async def test_a_status_does_not_bring_an_object_back(widgets: Widgets, client: Client) -> None:
    with pytest.raises(NotFound):
        await client.apply_status({**named_widget(widgets), "status": {"seen": "first"}})


async def test_what_exists_cannot_be_created(widgets: Widgets, client: Client) -> None:
    await client.create(config_map(widgets))

    with pytest.raises(Conflict):
        await client.create(config_map(widgets))


async def test_what_has_changed_is_not_replaced(widgets: Widgets, client: Client) -> None:
    seen = await client.create(config_map(widgets))
    widgets.patch("configmaps", "one", {"data": {"a": "b"}})

    with pytest.raises(Conflict):
        await client.replace(seen)


async def test_another_object_of_that_name_is_not_deleted(widgets: Widgets, client: Client) -> None:
    await client.create(config_map(widgets))

    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAP, widgets.namespace, "one", uid="11111111-2222-3333-4444-555555555555")
    assert await client.get(CONFIG_MAP, widgets.namespace, "one") is not None


async def test_a_deletion_of_what_is_gone_is_no_error(widgets: Widgets, client: Client) -> None:
    created = await client.create(config_map(widgets))
    await client.delete(CONFIG_MAP, widgets.namespace, "one", uid=created["metadata"]["uid"])
    await client.delete(CONFIG_MAP, widgets.namespace, "one")

    assert await client.get(CONFIG_MAP, widgets.namespace, "one") is None


async def test_a_field_that_does_not_exist_is_invalid(widgets: Widgets, client: Client) -> None:
    wrong = config_map(widgets) | {"datas": {}}

    with pytest.raises(Invalid, match="datas"):
        await client.apply(wrong)


async def test_a_value_that_is_wrong_is_invalid(widgets: Widgets, client: Client) -> None:
    wrong = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": "one", "namespace": widgets.namespace},
        "spec": {"replicas": -1, "selector": {}, "template": {}},
    }

    with pytest.raises(Invalid, match=r"spec\.replicas"):
        await client.apply(wrong)


async def test_a_wrong_secret_is_named_and_not_quoted(widgets: Widgets, client: Client) -> None:
    wrong = config_map(widgets) | {"kind": "Secret", "data": {"token": "hunter2!"}}

    with pytest.raises(Invalid) as refusal:
        await client.apply(wrong)
    assert f"/namespaces/{widgets.namespace}/secrets/one" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


async def test_a_secret_of_the_wrong_type_is_not_quoted(widgets: Widgets, client: Client) -> None:
    wrong = config_map(widgets) | {"kind": "Secret", "data": {"token": 20261124}}

    with pytest.raises(Invalid) as refusal:
        await client.apply(wrong)
    assert "20261124" not in str(refusal.value)


async def test_a_namespace_that_does_not_exist_is_not_found(widgets: Widgets, client: Client) -> None:
    elsewhere = Widgets(widgets.control_plane, "no-such-namespace")

    with pytest.raises(NotFound):
        await client.apply(config_map(elsewhere))


async def test_the_server_stops_working_on_a_write_when_nobody_waits_any_more(
    widgets: Widgets, connection: Connection
) -> None:
    """It honours the parameter `timeout`, by which LeaderOnlyClient bounds what it may still do for an old leader."""
    body = config_map(widgets)
    path = widgets.path("configmaps")
    async with connection.session() as session:

        async def status(longest: str) -> int:
            async with session.post(f"{connection.server}{path}?timeout={longest}", json=body) as answer:
                return answer.status

        assert await status("soon") == 400
        assert await status("0.000001s") in {500, 504}
        assert widgets.get("configmaps", "one") is None
        assert await status("9.5s") == 201


async def test_the_clock_is_the_servers(client: Client) -> None:
    await client.server_minor()

    assert abs(client.clock.skew_seconds()) < 2


async def test_rbac_forbids(widgets: Widgets) -> None:
    widgets.control_plane.request("POST", widgets.path("serviceaccounts"), {"metadata": {"name": "nobody"}})
    kubeconfig = widgets.control_plane.service_account_kubeconfig(widgets.namespace, "nobody")
    connection = await connect(str(kubeconfig))
    client = Client(connection, field_manager="test")

    try:
        with pytest.raises(Forbidden, match=r"cannot get resource .configmaps."):
            await client.get(CONFIG_MAP, widgets.namespace, "one")
    finally:
        await client.close()
        await connection.close()


class Standby(NoLeaderElection):
    def is_leader(self) -> bool:
        return False


@pytest.fixture
def cache() -> Cache:
    return Cache(WIDGETS)


async def leader_only(
    connection: Connection, cache: Cache, election: NoLeaderElection, enqueued: list[Key]
) -> LeaderOnlyClient:
    return LeaderOnlyClient(
        connection,
        field_manager="test",
        kinds=WIDGETS,
        cache=cache,
        election=election,
        enqueue=enqueued.append,
    )


async def test_a_standby_writes_nothing(widgets: Widgets, connection: Connection, cache: Cache) -> None:
    client = await leader_only(connection, cache, Standby(), [])
    body = config_map(widgets)
    writes = (
        client.apply(body),
        client.apply_new(body),
        client.apply_status(named_widget(widgets)),
        client.create(body),
        client.replace(body),
        client.delete(CONFIG_MAP, widgets.namespace, "one"),
    )

    for write in writes:
        with pytest.raises(NotLeader):
            await write
    assert await client.get(CONFIG_MAP, widgets.namespace, "one") is None
    await client.close()


async def test_the_cache_learns_from_the_answer(widgets: Widgets, connection: Connection, cache: Cache) -> None:
    client = await leader_only(connection, cache, NoLeaderElection(), [])
    owner = await client.create(named_widget(widgets))
    await client.apply(desired_config_map(owner))

    found = cache.get(CONFIG_MAP, widgets.namespace, "one")

    assert found is not None
    assert found["data"] == {"value": "first"}
    await client.close()


async def test_an_event_that_is_too_long_is_cut_and_one_that_fails_stops_nothing(
    widgets: Widgets, connection: Connection, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    client = await leader_only(connection, cache, NoLeaderElection(), [])
    recorder = EventRecorder(client, "engine.test/controller", "test", fitted)
    writing = asyncio.create_task(recorder.run())
    owner = await client.create(named_widget(widgets))
    homeless = {**owner, "metadata": {**owner["metadata"], "namespace": "no-such-namespace"}}

    recorder.event(homeless, "Warning", "Homeless", "Nowhere to go.", "Test")
    recorder.event(owner, "Warning", "Long", "many\nwörds " * 500, "Test")
    await asyncio.wait_for(recorder.flush(), timeout=10)

    (note,) = widgets.notes()
    assert len(note.encode()) == MAX_NOTE_LENGTH
    assert note.startswith("many wörds many")
    assert "Nowhere to go." in caplog.text
    writing.cancel()
    await client.close()


async def test_a_spec_that_changed_just_before_our_status_is_not_missed(
    widgets: Widgets, connection: Connection, cache: Cache
) -> None:
    enqueued: list[Key] = []
    client = await leader_only(connection, cache, NoLeaderElection(), enqueued)
    cache.put(WIDGETS.primary, await client.create(named_widget(widgets)))
    enqueued.clear()
    status = {**named_widget(widgets), "status": {"seen": "first"}}

    await client.apply_status(status)
    assert enqueued == []
    widgets.edit("one", "second")
    await client.apply_status({**status, "status": {"seen": "once more"}})

    assert enqueued == [(widgets.namespace, "one")]
    await client.close()
