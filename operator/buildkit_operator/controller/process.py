"""Composition root of the controller's process: every part is made, started in the one order that works, and ended.

The parts of the engine come first, then what reconciles builders.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from operator import itemgetter
from typing import Final, TypeAlias

from buildkit_operator import __version__
from buildkit_operator.api import names
from buildkit_operator.api.conditions import fitted
from buildkit_operator.controller import references
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.autoscaler import Autoscaler
from buildkit_operator.controller.builder_pods import BuilderPods
from buildkit_operator.controller.builders import Builders
from buildkit_operator.controller.cert_manager_requests import CertManagerRequests
from buildkit_operator.controller.certificate_issuance import CertificateIssuance
from buildkit_operator.controller.child_kinds import CHILD_KINDS, ByName
from buildkit_operator.controller.grants import Grants
from buildkit_operator.controller.injection_probe import InjectionProbe, dry_run
from buildkit_operator.controller.installations import Installations
from buildkit_operator.controller.live_daemons import LiveDaemons
from buildkit_operator.controller.metrics import BuilderStateCollector
from buildkit_operator.controller.modes import Modes, Parts
from buildkit_operator.controller.modes.consumer import ConsumerReconciler
from buildkit_operator.controller.modes.shared import SharedReconciler
from buildkit_operator.controller.modes.sidecar import SidecarReconciler
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.controller.reconcile import BuilderReconciler
from buildkit_operator.controller.refused_daemons import RefusedDaemons
from buildkit_operator.controller.status_writer import StatusWriter
from buildkit_operator.controller.volume_expansion import VolumeExpansion
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.desired.certificate_permission import CertificatePermission
from buildkit_operator.desired.platform import CONNECTOR_IMAGE, CONNECTOR_RESOURCES, DEFAULT_IMAGE, Platform
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.health import HealthServer
from buildkit_operator.engine.kinds import Kinds, Reconcile
from buildkit_operator.engine.leader_client import LeaderOnlyClient
from buildkit_operator.engine.leader_election import REQUEST_TIMEOUT as LEASE_TIMEOUT
from buildkit_operator.engine.leader_election import LeaderElection, LeaseLeaderElection, NoLeaderElection
from buildkit_operator.engine.lifecycle import Lifecycle
from buildkit_operator.engine.metrics import ControllerMetrics
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.engine.queue import WorkQueue
from buildkit_operator.engine.resync import Resync
from buildkit_operator.engine.watch import Watches
from buildkit_operator.engine.workers import Workers
from buildkit_operator.kube.auth import Connection, connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.clock import steady_seconds
from buildkit_operator.kube.resources import CERTIFICATE, SECRET, Key
from buildkit_operator.pki.keypairs import Lifetimes
from buildkit_operator.settings import Settings

NAMESPACES_AT_ONCE: Final = 4
"""That are worked on however much one of them asks for: each has its part of the workers."""
CHILDREN_WITHOUT_REST: Final = 500
REST_PER_CHILD: Final = 0.0005
"""Seconds of rest after a reconcile of a builder with more children: some five times what they take of the next."""
# Together they stay under 5 seconds.
DRAIN_SECONDS: Final = 2.5
FLUSH_SECONDS: Final = 0.5
RELEASE_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


MakeReconcile: TypeAlias = Callable[[Client, Cache, EventRecorder, Settings], Reconcile]
"""Returns what reconciles the primary objects in the cache.

The client writes only while this replica leads, and puts what the server answers into the cache.
"""


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (0), or until a part ends that should not (1); return the process's exit status."""
    operator = Operator(settings, await connect(), BUILDERS, builder_reconciler)
    operator.metrics.registry.register(BuilderStateCollector(operator.cache, settings.installation))
    return await operator.run()


class Operator:
    """The parts of one process."""

    def __init__(self, settings: Settings, connection: Connection, kinds: Kinds, make_reconcile: MakeReconcile) -> None:
        """Wire the parts together; nothing runs yet."""
        self._lifecycle = Lifecycle()
        namespaces = settings.watch_namespaces
        self.metrics = ControllerMetrics(names.METRICS_PREFIX, __version__, names.SINGULAR)
        self._connection = connection
        connection.observe = self.metrics.api_request
        self.metrics.clock_skew_seconds.set_function(connection.clock.skew_seconds)
        connection.unreadable.observe = self.metrics.unreadable_object
        connection.user_agent = f"{names.FIELD_MANAGER}/{__version__}"
        # One watch a kind and namespace, and room for the workers, lists, the Lease and events.
        connection.limit = len(kinds.all) * max(1, len(namespaces)) + settings.workers + 8
        self.cache = Cache(kinds)
        self._queue: WorkQueue[Key] = WorkQueue(
            group=itemgetter(0), most_of_a_group=max(1, settings.workers // NAMESPACES_AT_ONCE), rest=self._rest
        )
        self._reader = Client(connection, field_manager=names.FIELD_MANAGER, resources=(kinds.primary,))
        self._lease_client = Client(connection, field_manager=names.FIELD_MANAGER, timeout=LEASE_TIMEOUT)
        self._election = self._make_election(settings)
        self._writer = LeaderOnlyClient(
            connection,
            field_manager=names.FIELD_MANAGER,
            kinds=kinds,
            cache=self.cache,
            election=self._election,
            enqueue=self._queue.add,
        )
        self._recorder = EventRecorder(self._writer, names.CONTROLLER, settings.identity, fitted)
        self._resync = Resync(
            client=self._reader,
            kinds=kinds,
            namespaces=namespaces,
            cache=self.cache,
            enqueue=self._queue.add,
            metrics=self.metrics,
            interval=settings.resync_seconds,
        )
        resync = self._resync
        self._watches = Watches(
            connection, kinds, namespaces, self.cache, self._queue.add, resync.relisted, resync.listed
        )
        reconcile = make_reconcile(self._writer, self.cache, self._recorder, settings)
        self._workers = Workers(self._queue, reconcile, self._election, self.metrics, settings.workers, "builder")
        self._server = HealthServer(settings.http_port, self.metrics, self._check_liveness, self._check_readiness)

    async def run(self) -> int:
        """Run until a signal, or the unexpected end of a part; return the process's exit status."""
        self._lifecycle.handle_signals()
        port = await self._server.start()
        logger.info("Version %s started; health and metrics on port %d.", __version__, port)
        elector = self._lifecycle.spawn(self._election.run(), "leadership")
        self._lifecycle.spawn(self._recorder.run(), "events")
        self._lifecycle.spawn(self._work(), "watches")
        await self._lifecycle.stop.wait()
        await self._shut_down(elector)
        logger.info("Stopped.")
        return self._lifecycle.exit_status

    def _rest(self, key: Key) -> float:
        """Return the seconds for which a builder is left alone after a reconcile, which goes through all its pods."""
        children = self.cache.count_children(key)
        return children * REST_PER_CHILD if children > CHILDREN_WITHOUT_REST else 0.0

    async def _work(self) -> None:
        """Fill the cache, start working, and watch until told to stop."""
        await self._resync.fill()
        logger.info("The cache is filled: %d builders.", len(self.cache.primary_keys()))
        for task in self._workers.start():
            self._lifecycle.guard(task)
        self._lifecycle.spawn(self._resync.run(), "resync")
        await self._lifecycle.watch(self._watches)

    async def _shut_down(self, elector: asyncio.Task[None]) -> None:
        """Finish what runs, hand the Lease over, and only then let go of the watches and connections."""
        self._lifecycle.silence_shutdown_errors()
        await self._workers.drain(DRAIN_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._recorder.flush(), FLUSH_SECONDS)
        elector.cancel()
        await asyncio.wait({elector})
        with suppress(TimeoutError):
            await asyncio.wait_for(self._election.release(), RELEASE_SECONDS)
        await self._server.stop()
        await self._lifecycle.end()
        await self._reader.close()
        await self._lease_client.close()
        await self._writer.close()
        await self._connection.close()

    def _check_liveness(self) -> str | None:
        if self._lifecycle.watches_ended:
            return "The watches have ended."
        return self._workers.check_liveness()

    def _check_readiness(self) -> str | None:
        return self._election.problem if self._resync.synced else "The cache is not filled yet."

    def _make_election(self, settings: Settings) -> LeaderElection:
        if not settings.lease:
            self.metrics.leading.set(1)
            return NoLeaderElection()
        return LeaseLeaderElection(
            self._lease_client,
            settings.lease_namespace,
            settings.lease_name,
            settings.identity,
            self.metrics.leading.set,
            {names.WATCHED_ANNOTATION: ",".join(settings.watch_namespaces)} if settings.watch_namespaces else {},
        )


def builder_reconciler(client: Client, cache: Cache, recorder: EventRecorder, settings: Settings) -> BuilderReconciler:
    """Wire what reconciles builders."""
    resync, lifetimes, platform = settings.resync_seconds, Lifetimes(), _platform(settings)
    named = {
        kind.resource: NamedObjects(
            client, kind.resource, time.monotonic, kind.read.ttl(resync), optional=kind.read.optional
        )
        for kind in CHILD_KINDS
        if isinstance(kind.read, ByName)
    }
    secrets, namespaces = named[SECRET], NamespaceCache(client, time.monotonic, resync)
    apply_set = ApplySet(client, cache, named)
    permission = CertificatePermission(settings.certificate_dns_names, settings.certificate_issuers)
    requests = CertManagerRequests(client, apply_set, secrets, named[CERTIFICATE], permission)
    issuance = CertificateIssuance(secrets, requests, platform.cluster_domain, lifetimes, client.clock)
    pods = BuilderPods(cache)
    daemons = LiveDaemons(cache, pods, VolumeExpansion(client, time.monotonic, resync))
    builders = Builders(cache, client)
    grants = Grants(builders, secrets, namespaces, settings.watch_namespaces, lifetimes, client.clock.earliest)
    probe = InjectionProbe(partial(dry_run, client), time.monotonic, resync)
    autoscaler = Autoscaler(client, cache, pods, daemons, namespaces, client.clock.now)
    check = partial(references.check, client)
    parts = Parts(apply_set, requests, pods, probe, check, platform, namespaces, autoscaler)
    modes = Modes(
        sidecar=SidecarReconciler(parts, namespaces),
        shared=SharedReconciler(parts, issuance, namespaces, daemons, RefusedDaemons(client, time.monotonic)),
        consumer=ConsumerReconciler(parts, grants, client.clock.now),
    )
    installations = Installations(client, settings.installation, steady_seconds)
    status = StatusWriter(client, recorder, installations, client.clock.now)
    return BuilderReconciler(builders, recorder, status, parts, modes, client.clock.now)


def _platform(settings: Settings) -> Platform:
    return Platform(
        settings.buildkit_image or DEFAULT_IMAGE,
        settings.cluster_domain,
        settings.connector_image or CONNECTOR_IMAGE,
        settings.daemon_resources,
        settings.connector_resources if settings.connector_resources.is_set else CONNECTOR_RESOURCES,
    )
