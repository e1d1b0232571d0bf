"""Connection to the API server: kubeconfig or service account, TLS, and a bearer token that is rotated."""

from __future__ import annotations

import asyncio.sslproto
import os
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp

from buildkit_operator import INSTALL_EXTRA, NAME, NEEDS_EXTRA
from buildkit_operator.kube.clock import ServerClock
from buildkit_operator.kube.unreadable import UnreadableObjects

if TYPE_CHECKING:
    from aiohttp.client_middlewares import ClientHandlerType, ClientMiddlewareType
    from kubernetes.aio.client import Configuration

SERVICE_ACCOUNT_FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_KUBECONFIG: Final = Path.home() / ".kube" / "config"
TOKEN_LIFETIME: Final = 60.0
"""Seconds a token is used before its source is asked again: kubelet rotates the file long before the token expires."""

# asyncio gives every TLS connection a read buffer of 256 KiB. Ours are many, and a TLS record has at most 16 KiB.
asyncio.sslproto.SSLProtocol.max_size = 64 * 1024


class ConnectionSettingsError(Exception):
    """Nothing says which API server to use and who we are, or what says it is wrong."""


class Credential(Protocol):
    """Where the Authorization header's value comes from."""

    async def read(self) -> str | None:
        """Return the value that is valid now; None where a client certificate identifies us.

        Raises OSError and ConnectionSettingsError.
        """


class NotAuthenticated(aiohttp.ClientError):
    """The server answered 401, also to a token read anew; or there is none to be read."""


@dataclass(slots=True)
class TokenFile:
    """A projected service account token."""

    path: Path

    async def read(self) -> str:
        """Read the file, which kubelet replaces while we run."""
        return f"Bearer {self.path.read_text().strip()}"


@dataclass(slots=True)
class KubeConfig:
    """A kubeconfig's user: a token, a password, or what an exec plugin says."""

    path: str
    context: str | None = None
    configuration: Configuration = field(init=False)
    namespace: str | None = field(init=False, default=None)
    """The context's, where it names one."""

    async def read(self) -> str | None:
        """Load the file again, which also runs its exec plugin."""
        if not _is_there(self.path):
            raise ConnectionSettingsError(f"{self.path}: there is no such file.")
        # Loaded only here: in a cluster nobody needs it. It takes 20 MiB of memory, and 130 MB of an image.
        try:
            from kubernetes.aio.client import Configuration  # noqa: PLC0415
            from kubernetes.aio.config import ConfigException, load_kube_config  # noqa: PLC0415
        except ModuleNotFoundError as missing:
            raise ConnectionSettingsError(
                f"{self.path}: to read a kubeconfig {NEEDS_EXTRA}. {INSTALL_EXTRA}"
            ) from missing
        from yaml import YAMLError  # noqa: PLC0415

        configuration = Configuration()
        try:
            loader = await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=self.path, context=self.context, client_configuration=configuration, persist_config=False
            )
        except ConfigException as error:
            raise ConnectionSettingsError(f"{self.path}: {error}") from error
        # The library does not look whether a file is a kubeconfig before it takes it for one.
        except (YAMLError, TypeError, LookupError, ValueError, AttributeError) as error:
            raise ConnectionSettingsError(f"{self.path}: this is no kubeconfig: {error}") from error
        self.configuration = configuration
        self.namespace = (loader.current_context.get("context") or {}).get("namespace")
        token = configuration.api_key.get("BearerToken")
        return token and token.strip()  # a token file's line end comes along


def _is_there(paths: str) -> bool:
    """Tell whether one of the files is there, which KUBECONFIG can name several of."""
    return any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep))


@dataclass(slots=True)
class Connection:
    """One API server, and the connections to it that all our sessions share."""

    server: str
    """Address without a path or slash behind it, for instance `https://10.0.0.1:443`."""
    credential: Credential
    namespace: str | None = None
    """Of the kubeconfig's context, where there is one that names one: what its user means when they name none."""
    tls: ssl.SSLContext | bool = True
    tls_server_name: str | None = None
    proxy: str | None = None
    limit: int = 64
    """Most TCP connections at once, watches included."""
    user_agent: str = NAME
    observe: Callable[[str, int], None] = lambda _method, _status: None
    """Called with method and status of every answer."""
    clock: ServerClock = field(default_factory=ServerClock)
    """The API server's, by its answers."""
    unreadable: UnreadableObjects = field(default_factory=UnreadableObjects)
    """Is shown every object that comes this way."""
    _connector: aiohttp.TCPConnector | None = None
    _authorization: str | None = None
    _read_at: float = float("-inf")
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def session(
        self,
        *,
        around: Sequence[ClientMiddlewareType] = (),
        response_class: type[aiohttp.ClientResponse] = aiohttp.ClientResponse,
    ) -> aiohttp.ClientSession:
        """Open a session that authenticates by itself; the middlewares `around` see what becomes of each request.

        Closing it leaves the shared connections open.
        """
        if self._connector is None:
            self._connector = aiohttp.TCPConnector(limit=self.limit, ssl=self.tls)
        return aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            # Unpacking costs us more than what it saves on the short way to the API server.
            headers={"User-Agent": self.user_agent, "Accept-Encoding": "identity"},
            middlewares=(*around, self._authenticate),
            response_class=response_class,
            proxy=self.proxy,
        )

    async def close(self) -> None:
        """Close the shared connections."""
        if self._connector is not None:
            await self._connector.close()

    async def _authenticate(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        response = await self._send(request, send)
        if response.status == 401:
            response.release()
            self._read_at = float("-inf")
            response = await self._send(request, send)
        if response.status == 401:
            response.release()
            raise NotAuthenticated("The API server does not accept our credential (401).")
        return response

    async def _send(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        await self._read_when_due()
        if self._authorization is not None:
            request.headers["Authorization"] = self._authorization
        if self.tls_server_name is not None:
            request.server_hostname = self.tls_server_name
        asked = self.clock.asked()
        response = await send(request)
        self.clock.answered(asked, response.headers.get("Date"))
        self.observe(request.method, response.status)
        return response

    async def _read_when_due(self) -> None:
        async with self._reading:
            if time.monotonic() - self._read_at <= TOKEN_LIFETIME:
                return
            try:
                self._authorization = await self.credential.read()
            except (OSError, ConnectionSettingsError) as error:
                raise NotAuthenticated(f"The credential cannot be read: {error}") from error
            self._read_at = time.monotonic()


def own_namespace() -> str:
    """Tell the namespace of the pod that we run in; outside of a cluster `default`."""
    file = SERVICE_ACCOUNT_FOLDER / "namespace"
    return file.read_text().strip() if file.is_file() else "default"


async def connect(kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """Find the API server: the kubeconfig given or named by KUBECONFIG, the pod's service account, or ~/.kube/config.

    Raises ConnectionSettingsError where none of them is there, or the one that is is of no use.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG")
    if named:
        return await _from_kubeconfig(named, context)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return _from_service_account()
    if DEFAULT_KUBECONFIG.is_file():
        return await _from_kubeconfig(str(DEFAULT_KUBECONFIG), context)
    raise ConnectionSettingsError(
        "No API server to connect to: set KUBECONFIG to a kubeconfig, or run in a pod with a service account token."
    )


async def _from_kubeconfig(path: str, context: str | None) -> Connection:
    credential = KubeConfig(path, context)
    await credential.read()
    given = credential.configuration
    try:
        tls = ssl.create_default_context(cafile=given.ssl_ca_cert)
        if given.cert_file:
            tls.load_cert_chain(given.cert_file, given.key_file)
    except OSError as error:
        raise ConnectionSettingsError(f"{path}: its certificates cannot be read: {error}") from error
    if not given.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return Connection(
        server=given.host.rstrip("/"),
        credential=credential,
        namespace=credential.namespace,
        tls=tls,
        tls_server_name=given.tls_server_name,
        proxy=given.proxy,
    )


def _from_service_account() -> Connection:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    token = SERVICE_ACCOUNT_FOLDER / "token"
    if not token.is_file():
        raise ConnectionSettingsError(f"The pod has no service account token at {token}.")
    return Connection(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        credential=TokenFile(token),
        tls=ssl.create_default_context(cafile=str(SERVICE_ACCOUNT_FOLDER / "ca.crt")),
    )
