"""Adapter to kopf, which lists and watches and reconnects for us. All that is there because of kopf stands here.

Of kopf nothing else is used: its handlers for creation, update and deletion, its timers and its indices would write to
the objects, or take minutes to start with thousands of them. What its watches cost us, and where it is paid:

- Its import loads the library `kubernetes`, where that is installed: 20 MiB. It is hidden during the import, below.
- It ends, and may hang, on an answer 401, 404 or 410: `retryable` makes errors of them that it retries.
- It gives up after some attempts, and a process without watches is of no use: `Backoffs`.
- It decodes what does not bear decoding, and makes a task, a queue and a record of every object: it gets none,
  engine/kopf_answers.py takes them out of what it reads.
- By default it writes Events, looks for peers, reads all CRDs and kills a process that drains: `_settings`.
- It takes SIGTERM and SIGINT over, and would end the watches before everything else: `_take_signals_back`.
- When one watch ends for good, it ends whole, and its watchers can wait for ever for a session that it has closed:
  `run` sets `ending`, from which the liveness check knows that only a new process helps.
- When it ends, it cancels all tasks that are younger than itself, and leaves some of its own: others start before it,
  and `Lifecycle.end` cancels what is left.
- It logs what it tries again, and what goes wrong while the process stops: `run`, `silence_shutdown_errors`.
- It tells of a list object by object, and not of what was deleted while it was disconnected: engine/resync.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp
from yarl import URL

from buildkit_operator.engine.jitter import jittered
from buildkit_operator.engine.kinds import Kinds, Listed
from buildkit_operator.engine.kopf_answers import IsKnown, KopfAnswer, KopfAnswers, ListAnew, TakeIn
from buildkit_operator.kube.auth import Connection, NotAuthenticated
from buildkit_operator.kube.pages import FIRST

# kopf imports `kubernetes.client` only to recognise its model classes; we hand kopf plain dicts.
_modules = cast("dict[str, Any]", sys.modules)
_hidden = "kubernetes" not in _modules
if _hidden:
    _modules["kubernetes"] = None  # an import of it now raises ImportError, which kopf expects
try:
    import kopf
finally:
    if _hidden:
        del _modules["kubernetes"]

if TYPE_CHECKING:
    from aiohttp.client_middlewares import ClientHandlerType

FIRST_BACKOFFS: Final = (0.5, 1.0, 2.0, 3.0)
LATER_BACKOFF: Final = 5.0

logger = logging.getLogger(__name__)


class RetryLater(aiohttp.ClientConnectionError):
    """kopf tries a connection error again for ever; a 401 would end it within a second (kopf#1158), a 404 likewise."""


async def retryable(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request of kopf's, as a middleware of its session, and raise what it survives instead of what ends it.

    A kind is not served while somebody has deleted its CRD: that is tried again until it is back.
    """
    try:
        response = await send(request)
    except NotAuthenticated as error:
        raise RetryLater(str(error)) from error
    if response.status == 404:
        response.release()
        raise RetryLater(f"The API server does not serve {request.url.path} (404).")
    if response.status == 410:
        response.release()
        raise ListAnew("The API server no longer knows this version of the list (410).")
    return response


def silence_shutdown_errors() -> None:
    """Ignore what kopf says when things are taken away under it, from when the process begins to stop."""
    asyncio.get_running_loop().set_exception_handler(_log_for_debugging)
    logging.getLogger("kopf").setLevel(logging.CRITICAL)


def _log_for_debugging(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    logger.debug("While stopping: %s", context["message"])


class Backoffs:
    """Seconds between a request's attempts, without an end: where kopf's patience ends, the operator does."""

    def __iter__(self) -> Iterator[float]:
        """Start with short ones; then about five seconds, never the same for two watches."""
        yield from FIRST_BACKOFFS
        while True:
            yield jittered(LATER_BACKOFF, 0.2)


@dataclass(frozen=True, slots=True)
class KopfWatches:
    """kopf, set up to watch some kinds and to do nothing else."""

    connection: Connection
    kinds: Kinds
    namespaces: Sequence[str]
    """Namespaces to watch; empty for the whole cluster."""
    take_in: TakeIn
    is_known: IsKnown
    listed: Listed
    """Lists that were taken in already, which kopf need not read once more."""

    async def run(self, stop: asyncio.Event, ending: asyncio.Event, handle_signals: Callable[[], None]) -> None:
        """Watch until `stop`; `handle_signals` puts our signal handlers in place.

        Sets `ending` when kopf begins to end. If nobody has asked for that, only a new process helps, and this may
        never return.
        """

        async def note_the_end(**_: object) -> None:
            ending.set()

        logging.getLogger("kopf").setLevel(logging.WARNING)
        registry = self._registry()
        kopf.on.cleanup(registry=registry)(note_the_end)
        ready = asyncio.Event()
        taking_back = asyncio.create_task(_take_signals_back(ready, handle_signals), name="signals")
        try:
            await kopf.operator(
                registry=registry,
                settings=self._settings(),
                clusterwide=not self.namespaces,
                namespaces=list(self.namespaces),
                # Only for peering, which is off; but without one kopf looks up the user's name, and our image has none.
                identity="unused",  # type: ignore[arg-type]
                ready_flag=ready,
                stop_flag=stop,
            )
        finally:
            taking_back.cancel()

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.peering.standalone = True
        settings.posting.enabled = False
        settings.scanning.disabled = True  # the kinds exist before we start; needs no rights on CRDs and namespaces
        settings.networking.error_backoffs = Backoffs()
        settings.networking.connect_timeout = 10
        settings.networking.request_timeout = 60
        settings.watching.chunk_size = FIRST  # see kopf_answers, which goes by what objects have in bytes
        settings.watching.server_timeout = 290
        settings.watching.inactivity_timeout = 70  # bookmarks come every minute
        settings.watching.reconnect_backoff = 0.5
        for resource in self.kinds.children:
            kind = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[kind] = self.kinds.owner_label
        settings.execution.max_workers = 2  # threads, for handlers that are not async; we have none
        settings.process.ultimate_exiting_timeout = None  # it would kill a process that drains
        return settings

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._log_in)
        for resource in self.kinds.all:
            kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=registry)(
                _watch_it
            )
        return registry

    async def _log_in(self, **_: object) -> kopf.AiohttpSession:
        lists = {
            URL(self.connection.server + resource.path(namespace)).path: (resource, namespace)
            for resource in self.kinds.all
            for namespace in self.namespaces or (None,)
        }
        resources = {path: resource for path, (resource, _) in lists.items()}
        # Once: a later list is asked for because something is wrong with this one.
        listed = {path: self.listed.pop(of) for path, of in lists.items() if of in self.listed}
        answers = KopfAnswers(resources, self.take_in, self.is_known, self.connection.unreadable, listed)
        session = self.connection.session(around=(answers, retryable), response_class=KopfAnswer)
        return kopf.AiohttpSession(server=self.connection.server, aiohttp_session=session)


async def _watch_it(**_: object) -> None:
    """Have kopf watch a kind, which it does for a handler's sake. It gets no object to call it with."""


async def _take_signals_back(kopf_is_ready: asyncio.Event, handle_signals: Callable[[], None]) -> None:
    await kopf_is_ready.wait()
    handle_signals()
