"""Front of a shared daemon: HAProxy in its pod, which ends TLS, bounds builds and tells metrics. And its ConfigMap.

The daemon itself listens on a socket of the pod alone, and its container has no key. A certificate that is renewed is
taken by the front while builds go on; buildkitd reads its own only at its start.
"""

from __future__ import annotations

from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.shared import METRICS_PORT, OVERFLOW_PORT, TLSMode
from buildkit_operator.desired import paths, proxy
from buildkit_operator.desired.container import SOCKET_VOLUME, script
from buildkit_operator.desired.isolation import DAEMON_ID
from buildkit_operator.desired.metadata import child
from buildkit_operator.desired.platform import Platform
from buildkit_operator.desired.scripts import FRONT_SCRIPTS
from buildkit_operator.kube.resources import Manifest

CONFIG_VOLUME: Final = "buildkit-front"
CERTIFICATE_VOLUME: Final = "buildkit-tls"

MOST_CONNECTIONS: Final = 2000
"""Of clients, at one time."""


def config_map(builder: BuildKitBuilder) -> Manifest:
    """Return the ConfigMap with the front's configuration and scripts."""
    data = {"haproxy.cfg": _configuration(builder), **FRONT_SCRIPTS}
    return child(builder, "v1", "ConfigMap", names.front(builder.metadata.name), data=data)


def container(builder: BuildKitBuilder, platform: Platform, architecture: Architecture | None) -> Manifest:
    """Return the container, a native sidecar (KEP-753): it outlives the daemon, which ends when its builds have."""
    service = f"{names.daemon(builder.metadata.name, architecture)}.{builder.metadata.namespace}.svc"
    return {
        **proxy.container(
            names.FRONT,
            script("front.sh", "run", proxy.CONFIG, paths.CERTIFICATE_DIRECTORY, paths.FRONT_DIRECTORY),
            # The daemon's, whose sockets are for its group.
            DAEMON_ID,
            builder,
            platform,
        ),
        "env": [{"name": "SERVICE", "value": f"{service}.{platform.cluster_domain}:{builder.shared.port}"}],
        "volumeMounts": [{"name": volume["name"], **mount} for volume, mount in _volumes(builder)],
        "lifecycle": {"preStop": {"exec": {"command": script("front.sh", "drain", paths.FRONT_DIRECTORY)}}},
    }


def ports(builder: BuildKitBuilder) -> list[Manifest]:
    """Return the pod's ports, which the daemon's container names though it is the front that listens there.

    Services find a port's name in an init container only from Kubernetes 1.33 on (kubernetes/kubernetes#128850).
    """
    numbers = {"buildkit": builder.shared.port, "overflow": OVERFLOW_PORT, "metrics": METRICS_PORT}
    return [{"name": name, "containerPort": number, "protocol": "TCP"} for name, number in numbers.items()]


def volumes(builder: BuildKitBuilder) -> list[Manifest]:
    """Return the volumes that the container mounts and the daemon's does not."""
    return [volume for volume, _ in _volumes(builder) if volume["name"] != SOCKET_VOLUME]


def _volumes(builder: BuildKitBuilder) -> list[tuple[Manifest, Manifest]]:
    name = builder.metadata.name
    read_only: Manifest = {"readOnly": True}
    found: list[tuple[Manifest, Manifest]] = [
        (
            {"name": CONFIG_VOLUME, "configMap": {"name": names.front(name)}},
            {"mountPath": paths.CONFIG_DIRECTORY} | read_only,
        ),
        ({"name": SOCKET_VOLUME}, {"mountPath": paths.SOCKET_DIRECTORY}),
    ]
    if _has_tls(builder):
        files = [("tls.crt", "server.pem"), ("tls.key", "server.pem.key"), ("ca.crt", "ca.crt")]
        items = [{"key": key, "path": path} for key, path in files]
        secret = {"secretName": names.server_secret(name), "items": items}
        found.append(
            ({"name": CERTIFICATE_VOLUME, "secret": secret}, {"mountPath": paths.CERTIFICATE_DIRECTORY} | read_only)
        )
    return found


def _has_tls(builder: BuildKitBuilder) -> bool:
    return builder.shared.tls.mode is not TLSMode.DISABLED


def _configuration(builder: BuildKitBuilder) -> str:
    """Return haproxy.cfg.

    ANY is the address of all interfaces, of both families where the node has both: see front.sh. Of two ports, one is
    for clients, who wait when there is no place; the other for connectors, which then try the next daemon. SERVICE is
    the Service of the pod's own workload; a pod that an older operator made has none until it is rolled.
    """
    folder = paths.CERTIFICATE_DIRECTORY
    tls = f" ssl crt {folder}/server.pem ca-file {folder}/ca.crt verify required alpn h2" if _has_tls(builder) else ""
    shared, daemon = builder.shared, paths.SOCKET.replace("unix://", "unix@")
    bound = "" if shared.max_builds is None else f"  setenv MAX_BUILDS {shared.max_builds}\n"
    return f"""\
global
  log stdout format raw local0 notice
{bound}  setenv QUEUE_SECONDS {shared.queue_seconds}
  setenv OVERFLOW_PORT {OVERFLOW_PORT}
  setenv DAEMON {daemon}
  setenv FOLDER {paths.FRONT_DIRECTORY}
  lua-load {paths.CONFIG_DIRECTORY}/grpc.lua
  lua-load {paths.CONFIG_DIRECTORY}/front.lua
  maxconn {MOST_CONNECTIONS}
  nbthread 1
  # A context is hundreds of megabytes: with 16 KiB, the default, it takes a ninth more of a core.
  tune.bufsize 65536

resolvers services
  parse-resolv-conf
  accepted_payload_size 8192
  hold valid 30s

defaults
  mode tcp
  log global
  option dontlog-normal
  # Connectors and checks only look whether somebody listens.
  option dontlognull
  option tcplog
  # Finds a client whose node is gone: its build would have its place for ever.
  option clitcpka
  clitcpka-idle 30s
  clitcpka-intvl 10s
  clitcpka-cnt 6
  timeout connect 5s
  timeout client-hs 10s
  # A build may say nothing for hours.
  timeout client 7d
  timeout server 7d

frontend builds
  bind "${{ANY}}:{shared.port}" v4v6{tls}
  bind "${{ANY}}:{OVERFLOW_PORT}" v4v6{tls}
  # Connectors try another daemon, as with a port that nobody listens on.
  tcp-request connection reject if {{ nbsrv(daemon) eq 0 }}
  tcp-request connection reject if {{ dst_port {OVERFLOW_PORT} }} {{ nbsrv(gate) eq 0 }}
  # Until front.lua has a place.
  tcp-request inspect-delay {shared.queue_seconds + 120}s
  # A check, or whoever only looks whether somebody listens, closes the connection without a word.
  tcp-request content lua.admit if {{ req.len gt 0 }}
  tcp-request content reject unless {{ req.len gt 0 }}
  filter lua.builds
  default_backend daemon

backend daemon
  server buildkitd {daemon} check inter 1s downinter 200ms fall 1 rise 1 observe layer4 error-limit 1 on-error mark-down

# The next two are never led to: see front.lua.
backend gate
  no log
  server free 127.0.0.1:1

backend others
  no log
  server service "${{SERVICE-unknown.invalid:1}}" resolvers services init-addr none

# Of what BuildKit serves for debugging, one path.
frontend metrics
  mode http
  bind "${{ANY}}:{METRICS_PORT}" v4v6
  timeout client 30s
  monitor-uri /healthz
  http-request use-service lua.builds if {{ path /front }}
  http-request use-service prometheus-exporter if {{ path /haproxy }}
  http-request deny deny_status 404 unless {{ path /metrics }}
  http-request deny deny_status 405 unless {{ method GET }}
  default_backend debug

backend debug
  mode http
  timeout server 30s
  http-error status 503 content-type text/plain string "This BuildKit tells no metrics: that begins with 0.31.\\n"
  server buildkitd {paths.DEBUG_SOCKET.replace("unix://", "unix@")}
"""
