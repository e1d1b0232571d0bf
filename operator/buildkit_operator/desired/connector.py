"""Sidecar proxy of mode Shared, the connector: it leads a runner pod's socket to shared daemons. And its ConfigMap.

It is HAProxy on the level of connections (mode tcp): a build's session must stay with one daemon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import TerminalError
from buildkit_operator.api.shared import OVERFLOW_PORT, TLSMode
from buildkit_operator.desired import buildkitd_toml, buildx, paths, proxy
from buildkit_operator.desired.container import CONFIG_VOLUME, NO_TOKEN_VOLUME, SOCKET_VOLUME, script, served_containers
from buildkit_operator.desired.metadata import child
from buildkit_operator.desired.platform import Platform
from buildkit_operator.desired.scripts import CONNECTOR_SCRIPTS
from buildkit_operator.kube.resources import Manifest

CERTIFICATE_VOLUME: Final = "buildkit-client"
START_SECONDS: Final = 60
"""How long the connector may take until its socket is there, in seconds; the job waits."""

WAIT_SECONDS: Final = 900
"""How long a build waits for a daemon that is not there, in seconds; then greet.lua has its client say so."""

UNREACHABLE_SECONDS: Final = 300
"""How long it waits for one that DNS says is ready and that cannot be reached, in seconds: packets are dropped."""

TELL_SECONDS: Final = 30
"""How often its log says meanwhile what a build waits for, in seconds: to who looks while it does."""

RETRIES: Final = 20
"""How often a connection is tried again, a second or more apart: a daemon answered just before."""

_ENOUGH_SLOTS: Final = 16
"""How many daemons of a Deployment find room, at least."""


def _with_room(daemons: int) -> int:
    """Return for how many daemons there is room: a number that few steps of scaling change, as each is a reload.

    DNS is asked each second for those that are not there.
    """
    room = 2
    while room < daemons:
        room *= 2
    return room


@dataclass(frozen=True)
class Pool:
    """Daemons among which a key chooses one: those of an architecture, or all where there is none."""

    architecture: Architecture | None
    service: str
    """Host name of their Service."""
    address: str
    """The same in full, for a resolver that knows no search domains."""
    headless: str
    """Host name in full of their headless Service."""
    daemons: tuple[str, ...] = ()
    """Names that they keep over restarts, beneath the headless Service; empty: they have none."""

    @classmethod
    def of(cls, provider: BuildKitBuilder, platform: Platform, architecture: Architecture | None) -> Pool:
        """Return where a builder's own daemons are."""
        # Those that there may be: a connector's configuration reaches it a minute after it has changed.
        name, namespace, replicas = provider.metadata.name, provider.metadata.namespace, provider.shared.most_replicas
        workload = names.daemon(name, architecture)
        has_names = provider.spec.cache.persistent_volume_claim is not None
        return cls(
            architecture,
            service=f"{workload}.{namespace}.svc",
            address=f"{workload}.{namespace}.svc.{platform.cluster_domain}",
            headless=f"{names.headless(name, architecture)}.{namespace}.svc.{platform.cluster_domain}",
            daemons=tuple(f"{workload}-{ordinal}" for ordinal in range(_with_room(replicas))) if has_names else (),
        )

    @property
    def backend(self) -> str:
        """HAProxy's name of them, which of an architecture is what ARCH of connect.sh may be."""
        return "daemons" if self.architecture is None else self.architecture.value

    @property
    def variable(self) -> str:
        """Environment variable by which greet.lua knows their Service."""
        return "SERVICE" if self.architecture is None else f"SERVICE_{self.architecture}"


@dataclass(frozen=True)
class Upstream:
    """Where shared daemons are, for whoever renders a connector to them."""

    service: str
    """Host name of the builder's Service; its certificate carries it."""
    pools: tuple[Pool, ...]
    """The one first that builds go to unless there is one of their node's architecture."""
    port: int
    overflow: int
    """Port where a daemon refuses builds while it has no place; the same one where it has no bound."""
    queue_seconds: int
    """How long a build waits for a place."""
    tls: bool
    registries: Manifest
    """How the daemons reach registries: the table `registry` of their buildkitd.toml."""
    slots: int = _ENOUGH_SLOTS
    """How many daemons of a pool there may be at the same time, where they have no names."""

    @classmethod
    def of(cls, provider: BuildKitBuilder, platform: Platform) -> Upstream:
        """Return where a builder's own daemons are."""
        shared = provider.shared
        return cls(
            service=f"{names.daemon(provider.metadata.name)}.{provider.metadata.namespace}.svc",
            pools=tuple(Pool.of(provider, platform, architecture) for architecture in shared.each_architecture),
            port=shared.port,
            overflow=shared.port if shared.max_builds is None else OVERFLOW_PORT,
            queue_seconds=shared.queue_seconds,
            tls=shared.tls.mode is not TLSMode.DISABLED,
            registries=_registries(provider),
            # Twice as many while they are rolled.
            slots=max(_ENOUGH_SLOTS, _with_room(2 * shared.most_replicas)),
        )

    @property
    def architectures(self) -> list[Architecture]:
        """Those that daemons build for, in order; empty where that is the cluster's choice."""
        return [pool.architecture for pool in self.pools if pool.architecture is not None]


def _registries(provider: BuildKitBuilder) -> Manifest:
    """Return how the daemons reach registries; nothing while what their builder says of it cannot be.

    That is told to who may see it, in the builder's own condition; its consumers' jobs still build.
    """
    try:
        return buildkitd_toml.registry_tables(provider)
    except TerminalError:
        return {}


def config_map(builder: BuildKitBuilder, upstream: Upstream) -> Manifest:
    """Return the ConfigMap with the connector's configuration and scripts."""
    data = {"haproxy.cfg": _configuration(upstream), **CONNECTOR_SCRIPTS, **buildx.registries(upstream.registries)}
    data |= buildx.architectures(upstream.architectures)
    return child(builder, "v1", "ConfigMap", names.connector(builder.metadata.name), data=data)


def container(builder: BuildKitBuilder, platform: Platform) -> Manifest:
    """Return the container. Nothing in it depends on how many daemons there are: running pods could not follow."""
    key = {"fieldPath": f"metadata.annotations['{names.CACHE_KEY_ANNOTATION}']"}
    return {
        **proxy.container(
            names.CONNECTOR,
            script("connect.sh", proxy.CONFIG, paths.CERTIFICATE_DIRECTORY),
            proxy.UID,
            builder,
            platform,
        ),
        "env": [
            {"name": names.HOST_VARIABLE, "value": paths.SOCKET},
            {"name": "CACHE_KEY", "valueFrom": {"fieldRef": key}},
            *served_containers(builder),
        ],
        "volumeMounts": [{"name": volume["name"], **mount} for volume, mount in _volumes(builder)],
        "lifecycle": {"postStart": {"exec": {"command": script("connected.sh", str(START_SECONDS))}}},
    }


def volumes(builder: BuildKitBuilder) -> list[Manifest]:
    """Return the volumes that the container mounts."""
    return [volume for volume, _ in _volumes(builder)]


def _volumes(builder: BuildKitBuilder) -> list[tuple[Manifest, Manifest]]:
    """Return each volume with how the container mounts it.

    The certificate's is there without TLS too, and may be without a certificate: which of both it is stands in the
    configuration, that running pods get anew.
    """
    name = builder.metadata.name
    files = [("tls.crt", "client.pem"), ("tls.key", "client.pem.key"), ("ca.crt", "ca.crt")]
    secret = {"secretName": names.connection_secret(name), "items": [{"key": k, "path": p} for k, p in files]}
    read_only: Manifest = {"readOnly": True}
    return [
        (
            {"name": CONFIG_VOLUME, "configMap": {"name": names.connector(name)}},
            {"mountPath": paths.CONFIG_DIRECTORY} | read_only,
        ),
        ({"name": SOCKET_VOLUME, "emptyDir": {}}, {"mountPath": paths.SOCKET_DIRECTORY}),
        (
            {"name": CERTIFICATE_VOLUME, "secret": {**secret, "optional": True}},
            {"mountPath": paths.CERTIFICATE_DIRECTORY} | read_only,
        ),
        ({"name": NO_TOKEN_VOLUME, "emptyDir": {}}, {"mountPath": paths.TOKEN_DIRECTORY} | read_only),
    ]


def _configuration(upstream: Upstream) -> str:
    """Return haproxy.cfg.

    While no daemon can be reached greet.lua keeps the connection. Each one that fails after that is tried with another
    server next (redispatch), and whoever refused is left out until it answers checks.
    The key is read as a sample and never stands in this text, which would give a meaning to its quotes and backslashes.
    """
    is_bounded = upstream.overflow != upstream.port
    queue = f"  setenv QUEUE_SECONDS {upstream.queue_seconds}\n" if is_bounded else ""
    longest = WAIT_SECONDS + (upstream.queue_seconds if is_bounded else 0)
    services = "\n".join(f"  setenv {pool.variable} {pool.service}:{upstream.port}" for pool in upstream.pools)
    backends = (_backend(upstream, pool) for pool in upstream.pools)
    sections = "\n".join([*_frontends(upstream, longest + 120), *backends])
    return f"""\
global
  log stdout format raw local0 notice
{services}
  setenv WAIT_SECONDS {WAIT_SECONDS}
  setenv UNREACHABLE_SECONDS {UNREACHABLE_SECONDS}
  setenv TELL_SECONDS {TELL_SECONDS}
{queue}  lua-load {paths.CONFIG_DIRECTORY}/grpc.lua
  lua-load {paths.CONFIG_DIRECTORY}/greet.lua
  lua-load {paths.CONFIG_DIRECTORY}/prune.lua
  maxconn 400
  nbthread 1
  # A context is hundreds of megabytes: with 16 KiB, the default, it takes a ninth more of a core.
  tune.bufsize 65536

resolvers daemons
  parse-resolv-conf
  accepted_payload_size 8192
  timeout resolve 1s
  timeout retry 1s
  hold valid 5s
  hold nx 1s

# The Service's address stays: one that DNS once told is used for as long as DNS cannot be asked.
resolvers service
  parse-resolv-conf
  accepted_payload_size 8192
  timeout resolve 1s
  timeout retry 1s
  hold valid 30s
  hold nx 24h
  hold refused 24h
  hold timeout 24h
  hold other 24h

defaults
  mode tcp
  log global
  option dontlog-normal
  option tcplog
  # Finds a node that is gone: a build there would hang for ever.
  option srvtcpka
  srvtcpka-idle 30s
  srvtcpka-intvl 10s
  srvtcpka-cnt 6
  timeout connect 5s
  timeout check 5s
  # A build may say nothing for hours.
  timeout client 7d
  timeout server 7d

{sections}"""


def _frontends(upstream: Upstream, patience: int) -> Iterator[str]:
    """Yield a frontend for each socket; greet.lua and HAProxy are told alike which daemons are behind it."""
    if not upstream.architectures:
        yield _frontend("socket", paths.SOCKET, patience, "", "default_backend daemons")
        return
    chosen = "use_backend %[var(txn.daemons)]"
    for architecture in upstream.architectures:
        told = f"  tcp-request content set-var(txn.daemons) str({architecture})\n"
        yield _frontend(f"socket-{architecture}", paths.socket_of(architecture), patience, told, chosen)
    first, all_of_them = upstream.architectures[0], " ".join(upstream.architectures)
    told = f"""\
  # The architecture of the job's node, where there are daemons of it: see connect.sh.
  tcp-request content set-var(txn.daemons) str({first})
  tcp-request content set-var(txn.daemons) env(ARCH) if {{ env(ARCH) {all_of_them} }}
"""
    yield _frontend("socket", paths.SOCKET, patience, told, chosen)


def _frontend(name: str, socket: str, patience: int, told: str, chosen: str) -> str:
    return f"""\
frontend {name}
  bind unix@{socket.removeprefix("unix://")} mode 666
  # Until greet.lua has said what it has to say.
  tcp-request inspect-delay {patience}s
{told}  tcp-request content lua.greet
  tcp-request content lua.prune
  {chosen}
"""


def _backend(upstream: Upstream, pool: Pool) -> str:
    is_bounded = upstream.overflow != upstream.port
    # One that is full is down in between, each second anew.
    quiet = "  no log\n" if is_bounded else ""
    # For whom another one was quicker to a place: tried until one of the daemons above has a place again, which each of
    # them tells within a second. The Service would have this build wait for that one daemon.
    any_daemon = f"  server any {pool.headless}:{upstream.overflow} backup resolvers daemons init-addr none\n"
    servers = _daemons(upstream, pool) + (any_daemon if is_bounded else "")
    retries = max(RETRIES, upstream.queue_seconds) if is_bounded else RETRIES
    return f"""\
backend {pool.backend}
{quiet}  balance hash env(CACHE_KEY)
  hash-type consistent sdbm avalanche
  retries {retries}
  option redispatch 1
  default-server {_server(upstream)}
{servers}  server service {pool.address}:{upstream.port} backup resolvers service init-addr libc,none
"""


def _server(upstream: Upstream) -> str:
    words = ["resolve-prefer ipv4"]
    if upstream.tls:
        folder, host = paths.CERTIFICATE_DIRECTORY, upstream.service
        words += [
            f"ssl alpn h2 verify required ca-file {folder}/ca.crt crt {folder}/client.pem",
            f"sni str({host}) verifyhost {host} check-sni {host} check-alpn h2",
        ]
    return " ".join(words)


def _daemons(upstream: Upstream, pool: Pool) -> str:
    """Return the servers among which a key chooses one.

    With names, the share of a daemon is its ordinal's, also after a restart. Without, it is its address's.
    """
    checks = "check inter 60s fastinter 1s downinter 1s rise 1 fall 1 observe layer4 error-limit 1 on-error mark-down"
    common = f"weight 64 resolvers daemons init-addr none {checks}"
    if pool.daemons:
        lines = [
            f"  server {daemon} {daemon}.{pool.headless}:{upstream.overflow} id {position} hash-key id {common}\n"
            for position, daemon in enumerate(pool.daemons, start=1)
        ]
        return "".join(lines)
    address = f"{pool.headless}:{upstream.overflow}"
    return f"  server-template daemon {upstream.slots} {address} hash-key addr-port {common}\n"
