"""A real BuildKit daemon without a container around it, and a pod by which the API server says where it is."""

import http.server
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hack.cluster import artifacts
from hack.cluster.processes import Process
from tests.integration.builders.builder_namespace import Builders

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 60
TEMPLATE_HASH: Final = "7d4"


@dataclass(frozen=True)
class RealDaemon:
    """A daemon with the server certificate of a builder; it is asked and given builds with the client's."""

    folder: Path
    port: int
    process: Process

    def buildctl(self, *arguments: str) -> list[str]:
        """Return the words of a command that speaks to this daemon."""
        buildctl = artifacts.ensure("buildkit")["buildkit"] / "buildctl"
        name = (self.folder / "name").read_text()
        tls = [f"--tlsservername={name}", f"--tlsdir={self.folder / 'connection'}"]
        return [str(buildctl), f"--addr=tcp://{HOST}:{self.port}", *tls, *arguments]

    def build(self, source: str) -> "subprocess.Popen[str]":
        """Begin a build that copies what is at an address. No container runs for it."""
        (self.folder / "Dockerfile").write_text(f"FROM scratch\nADD {source} /added\n")
        contexts = [f"--local={kind}={self.folder}" for kind in ("context", "dockerfile")]
        command = self.buildctl("build", "--progress=plain", "--frontend=dockerfile.v0", *contexts)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def real_daemon(builders: Builders, port: int, name: str = "demo") -> Iterator[RealDaemon]:
    """Run a daemon of a builder, whose certificates the operator has made."""
    folder = Path(tempfile.mkdtemp(prefix="daemon-"))
    try:
        for part, secret in (("server", f"{name}-buildkitd-tls"), ("connection", f"{name}-connection")):
            (folder / part).mkdir()
            for key, text in builders.secret(secret).items():
                (folder / part / key).write_text(text)
        (folder / "name").write_text(f"{name}-buildkitd.{builders.namespace}.svc")
        flags = [
            f"--addr=tcp://{HOST}:{port}",
            f"--tlscacert={folder / 'server' / 'ca.crt'}",
            f"--tlscert={folder / 'server' / 'tls.crt'}",
            f"--tlskey={folder / 'server' / 'tls.key'}",
        ]
        process = start_daemon(folder, *flags)
        try:
            daemon = RealDaemon(folder, port, process)
            process.wait_until(lambda: _answers(daemon), START_SECONDS)
            yield daemon
        finally:
            process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_daemon(folder: Path, *flags: str) -> Process:
    """Start buildkitd with a folder of its own, in which no container can run."""
    buildkitd = artifacts.ensure("buildkit")["buildkit"] / "buildkitd"
    (folder / "buildkitd.toml").write_text("")
    common = [
        f"--config={folder / 'buildkitd.toml'}",
        f"--root={folder / 'root'}",
        "--containerd-worker=false",
        "--oci-worker-snapshotter=native",
        "--oci-worker-net=host",
    ]
    # No container runs, but the daemon insists on something that could run one.
    (folder / "runc").symlink_to("/bin/true")
    environment = f"PATH={folder}:{os.environ['PATH']}"
    return Process(Path("/usr/bin/env"), [environment, str(buildkitd), *common, *flags], folder / "log")


def _answers(daemon: RealDaemon) -> bool:
    return subprocess.run(daemon.buildctl("debug", "workers"), capture_output=True, check=False).returncode == 0


def daemon_pod(builders: Builders, pod: str, *, ready: bool = True) -> None:
    """Create a daemon's pod, as its workload's controller does, and say that it runs, as the kubelet does."""
    labels = {
        "buildkit-operator.dev/owner": "demo",
        "app.kubernetes.io/name": "buildkitd",
        "pod-template-hash": TEMPLATE_HASH,
    }
    # Its uid is nobody's: there is no controller here that would look for it.
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"demo-buildkitd-{TEMPLATE_HASH}",
        "uid": "1",
        "controller": True,
    }
    spec = {"containers": [{"name": "buildkitd", "image": "buildkit"}]}
    builders.post("pods", {"metadata": {"name": pod, "labels": labels, "ownerReferences": [owner]}, "spec": spec})
    status = {
        "phase": "Running",
        "podIP": HOST,
        "podIPs": [{"ip": HOST}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    builders.patch("pods", pod, {"status": status}, "status")


class SlowServer:
    """Serves one file, once it is let go: for a build that runs as long as a test wants."""

    def __init__(self) -> None:
        self._let_go = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._let_go.wait(60)
                self.send_response(200)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"added")

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_address[1]}/file"
        self._thread = threading.Thread(target=self._server.serve_forever, name="slow server")
        self._thread.start()

    def let_go(self) -> None:
        self._let_go.set()

    def close(self) -> None:
        self.let_go()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
