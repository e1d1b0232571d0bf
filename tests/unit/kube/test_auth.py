"""The credential goes with every request, and a refused one is read anew once; against a real HTTP server."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from buildkit_operator.kube import auth
from buildkit_operator.kube.auth import Connection, NotAuthenticated, TokenFile, connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import Unavailable
from buildkit_operator.kube.resources import CONFIG_MAP


class Guard:
    """A server that lets one token in, and takes down what it saw."""

    def __init__(self) -> None:
        self.accepted = "Bearer old"
        self.seen: list[str | None] = []
        self.bodies: list[str] = []
        self.status = 200
        self.address = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request.headers.get("Authorization"))
        self.bodies.append(await request.text())
        allowed = self.seen[-1] == self.accepted
        return web.Response(status=self.status if allowed else 401, text="{}")


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    guard = Guard()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", guard.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    guard.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield guard
    await runner.cleanup()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    return token_file(tmp_path)


@pytest.fixture
async def connection(guard: Guard, token: Path) -> AsyncIterator[Connection]:
    connection = Connection(guard.address, TokenFile(token))
    yield connection
    await connection.close()


async def post(connection: Connection, body: str = "") -> int:
    async with connection.session() as session, session.post(f"{connection.server}/x", data=body) as answer:
        return answer.status


def rotate(token: Path) -> None:
    token.write_text("new")


async def test_the_token_goes_along(guard: Guard, connection: Connection) -> None:
    assert await post(connection) == 200
    assert guard.seen == ["Bearer old"]


async def test_a_refused_token_is_read_anew_and_the_request_repeated(
    guard: Guard, connection: Connection, token: Path
) -> None:
    await post(connection)
    guard.accepted = "Bearer new"
    rotate(token)

    assert await post(connection, "whole") == 200
    assert guard.seen[1:] == ["Bearer old", "Bearer new"]
    assert guard.bodies[1:] == ["whole", "whole"]


async def test_a_token_still_refused_is_a_connection_error(guard: Guard, connection: Connection) -> None:
    guard.accepted = "Bearer other"

    with pytest.raises(NotAuthenticated):
        await post(connection)
    assert len(guard.seen) == 2


async def test_a_rotated_token_is_picked_up_in_time(
    guard: Guard, connection: Connection, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(connection)
    rotate(token)
    guard.accepted = "Bearer new"
    monkeypatch.setattr(auth, "TOKEN_LIFETIME", 0.0)

    assert await post(connection) == 200
    assert guard.seen == ["Bearer old", "Bearer new"]


async def test_a_token_that_cannot_be_read_is_a_connection_error_until_it_can(guard: Guard, tmp_path: Path) -> None:
    connection = Connection(guard.address, TokenFile(tmp_path / "late"))
    with pytest.raises(NotAuthenticated, match="No such file"):
        await post(connection)
    assert guard.seen == []

    connection.credential = TokenFile(token_file(tmp_path))

    assert await post(connection) == 200
    await connection.close()


async def test_every_answer_is_counted(guard: Guard, connection: Connection) -> None:
    counted: list[tuple[str, int]] = []
    connection.observe = lambda method, status: counted.append((method, status))
    await post(connection)
    guard.accepted = "Bearer other"

    with pytest.raises(NotAuthenticated):
        await post(connection)

    assert counted == [("POST", 200), ("POST", 401), ("POST", 401)]


async def test_a_session_that_is_closed_leaves_the_others_their_connections(
    guard: Guard, connection: Connection
) -> None:
    staying = connection.session()
    async with connection.session():
        pass

    async with staying, staying.get(guard.address) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("status", [500, 200])
async def test_the_client_raises_nothing_but_its_own_errors(guard: Guard, connection: Connection, status: int) -> None:
    client = Client(connection, field_manager="test")
    guard.status, guard.accepted = status, "Bearer old" if status == 500 else "Bearer other"

    with pytest.raises(Unavailable):
        await client.get(CONFIG_MAP, "ns", "name")
    await client.close()


async def test_a_server_that_is_not_there_is_unavailable(token: Path, unused_tcp_port: int) -> None:
    connection = Connection(f"http://127.0.0.1:{unused_tcp_port}", TokenFile(token))
    client = Client(connection, field_manager="test")

    with pytest.raises(Unavailable, match="GET /v1/namespaces/ns/configmaps/name"):
        await client.get(CONFIG_MAP, "ns", "name")
    await client.close()
    await connection.close()


async def test_a_client_waits_no_longer_than_it_was_told(token: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = Connection(f"http://127.0.0.1:{silent.getsockname()[1]}", TokenFile(token))
        client = Client(connection, field_manager="test", timeout=aiohttp.ClientTimeout(total=0.1))

        with pytest.raises(Unavailable, match=r"no answer within 0\.1 seconds"):
            await client.server_minor()
        await client.close()
        await connection.close()


def write_kubeconfig(file: Path, server: str, user: dict[str, object]) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "c", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    file.write_text(yaml.safe_dump(config))
    return file


def token_file(folder: Path) -> Path:
    file = folder / "token"
    file.write_text("old\n")
    return file


def exec_plugin(folder: Path) -> dict[str, object]:
    token = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "old"}}
    answer = folder / "credential.json"
    answer.write_text(json.dumps(token))
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "cat",
            "args": [str(answer)],
            "interactiveMode": "Never",
        }
    }


@pytest.mark.parametrize(
    "user",
    [
        pytest.param(lambda _: {"token": "old"}, id="token"),
        pytest.param(lambda folder: {"tokenFile": str(token_file(folder))}, id="token file"),
        pytest.param(exec_plugin, id="exec plugin"),
    ],
)
async def test_a_kubeconfig_says_who_we_are(
    guard: Guard, tmp_path: Path, user: Callable[[Path], dict[str, object]]
) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", guard.address, user(tmp_path))

    connection = await connect(str(kubeconfig))

    assert connection.server == guard.address
    assert await post(connection) == 200
    await connection.close()


async def test_a_pod_is_its_service_account(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "SERVICE_ACCOUNT_FOLDER", token.parent)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    monkeypatch.setattr("ssl.create_default_context", lambda **_: True)

    connection = await connect()

    assert connection.server == "https://[fd00::1]:6443"
    assert await connection.credential.read() == "Bearer old"


@pytest.mark.parametrize("text", ["{}", "", "[]", "a word", "a: [", "contexts: 7", "\tnot: yaml"])
async def test_a_kubeconfig_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(text)

    with pytest.raises(auth.ConnectionSettingsError, match=str(kubeconfig)):
        await connect(str(kubeconfig))


async def test_a_kubeconfig_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(auth.ConnectionSettingsError, match="missing: there is no such file"):
        await connect(str(tmp_path / "missing"))


async def test_certificates_of_a_kubeconfig_that_are_none_are_told(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1", {"token": "t"})
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["certificate-authority-data"] = "bm9uZQ=="
    kubeconfig.write_text(yaml.safe_dump(config))

    with pytest.raises(auth.ConnectionSettingsError, match="its certificates cannot be read"):
        await connect(str(kubeconfig))


async def test_a_context_can_be_chosen_and_names_a_namespace(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1", {"token": "t"})
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"].append({"name": "other", "cluster": {"server": "http://127.0.0.1:2"}})
    context = {"cluster": "other", "user": "c", "namespace": "team"}
    config["contexts"].append({"name": "other", "context": context})
    kubeconfig.write_text(yaml.safe_dump(config))

    current, other = await connect(str(kubeconfig)), await connect(str(kubeconfig), "other")

    assert (current.server, current.namespace) == ("http://127.0.0.1:1", None)
    assert (other.server, other.namespace) == ("http://127.0.0.1:2", "team")
    with pytest.raises(auth.ConnectionSettingsError, match="nowhere"):
        await connect(str(kubeconfig), "nowhere")


async def test_without_any_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(auth, "DEFAULT_KUBECONFIG", tmp_path / "none")

    with pytest.raises(auth.ConnectionSettingsError, match="KUBECONFIG"):
        await connect()
