"""A front of a shared daemon in a real HAProxy, a stand-in for the daemon behind it, and clients of both."""

import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final, Self

from buildkit_operator.api.shared import METRICS_PORT, OVERFLOW_PORT
from buildkit_operator.desired import paths
from buildkit_operator.desired.front import config_map
from hack.cluster.kubectl import wait_for
from hack.cluster.processes import free_port
from tests.unit.make import make_builder

HOST: Final = "127.0.0.1"
SECONDS: Final = 10
SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"
GOAWAY: Final = b"\0\0\x08\7\0\0\0\0\0" + bytes(8)
HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
METHOD: Final = bytes.fromhex("9862 93c7 e978 ed35 1275 3257 ee15 ef1e a4d8 7a18 dc54 20c7 ab")
"""How grpc-go names /moby.buildkit.v1.Control/Session: its length, and Huffman's code of it (RFC 7541, section 5.2)."""


class Daemon:
    """A stand-in for the daemon: it sends its settings to each client, and then only listens."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o777)
        self._server.listen(100)
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.sendall(SETTINGS)
            while client.recv(65536):
                pass

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def _connect(to: int | Path) -> socket.socket:
    if isinstance(to, int):
        return socket.create_connection((HOST, to), SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    connection.connect(str(to))
    return connection


class Client:
    """A connection to a front's port or a connector's socket, which has said hello unless it is told not to."""

    def __init__(self, to: int | Path, hello: bytes = HELLO, tls: ssl.SSLContext | None = None) -> None:
        plain = _connect(to)
        self.socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self.received = b""
        # Each proxy on the way sends its own first.
        self._admitted = SETTINGS * (2 if isinstance(to, int) else 3)
        self.socket.sendall(hello)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def is_admitted(self, seconds: float = 0) -> bool:
        """Tell whether the daemon's own settings have come: those of proxies alone mean that it is to wait."""
        deadline = time.monotonic() + seconds
        while len(self.received) < len(self._admitted):
            self.socket.settimeout(max(0.3, deadline - time.monotonic()))
            try:
                sent = self.socket.recv(1000)
            except TimeoutError:
                return False
            assert sent, f"the connection was closed after {self.received!r}"
            self.received += sent
        assert self.received == self._admitted, self.received
        return True

    def hear(self) -> bytes:
        """Return all that has come so far, also where the connection was closed after it."""
        self.socket.settimeout(0.3)
        with suppress(TimeoutError):
            self.received += self.socket.recv(1000)
        return self.received

    def open_session(self) -> Self:
        """Begin a build, with the method's name in two packets."""
        assert self.is_admitted(SECONDS)
        self.socket.sendall(b"\0\0\x22\1\4\0\0\0\1" + METHOD[:11])
        time.sleep(0.05)
        self.socket.sendall(METHOD[11:])
        return self


class Front:
    """A running front."""

    def __init__(self, folder: Path, program: list[str], **shared: Any) -> None:
        self.folder = folder
        self.daemon = Daemon(folder / "buildkitd.sock")
        self.port, self.overflow, self.metrics, self.elsewhere = (free_port() for _ in range(4))
        data = config_map(make_builder(shared=shared))["data"]
        text = data["haproxy.cfg"]
        for old, new in (
            ("}:1234", f"}}:{self.port}"),
            (f"}}:{OVERFLOW_PORT}", f"}}:{self.overflow}"),
            (f"dst_port {OVERFLOW_PORT}", f"dst_port {self.overflow}"),
            (f"}}:{METRICS_PORT}", f"}}:{self.metrics}"),
            (f"OVERFLOW_PORT {OVERFLOW_PORT}", f"OVERFLOW_PORT {self.overflow}"),
            ("resolvers services init-addr none", ""),
            (paths.CONFIG_DIRECTORY, str(folder)),
            (paths.CERTIFICATE_DIRECTORY, str(folder)),
            (paths.SOCKET_DIRECTORY, str(folder)),
        ):
            assert old in text or old == paths.CERTIFICATE_DIRECTORY
            text = text.replace(old, new)
        (folder / "haproxy.cfg").write_text(text)
        for name, script in data.items():
            if name.endswith(".lua"):
                (folder / name).write_text(script)
        (folder / "front").mkdir()
        self._program = program
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start()

    def _start(self, *more: str) -> None:
        before = self.counted()
        with (self.folder / "log").open("a") as log:
            self._processes.append(
                subprocess.Popen(
                    [*self._program, "-db", "-f", str(self.folder / "haproxy.cfg"), *more],
                    env={**os.environ, "ANY": HOST, "SERVICE": f"{HOST}:{self.elsewhere}"},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        wait_for("it counts", lambda: self.counted() - before, SECONDS)
        wait_for("it serves", lambda: self.get("/healthz")[0] == 200, SECONDS)

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Return the status and the text that the port for metrics answers; 0 while it does not."""
        asked = urllib.request.Request(f"http://{HOST}:{self.metrics}{path}", method=method)
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def count(self, name: str) -> int:
        found = re.search(rf"^buildkit_front_{name} (\d+)$", self.get("/front")[1], re.MULTILINE)
        assert found, name
        return int(found[1])

    def is_open(self, port: int) -> bool:
        """Tell whether a port takes connections, and does not close them at once."""
        try:
            with socket.create_connection((HOST, port), SECONDS) as client:
                client.settimeout(0.2)
                return client.recv(1) != b""
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False

    def reload(self) -> None:
        """Have it go on in another process, as its master does for a new certificate."""
        self._start("-sf", str(self._processes[-1].pid))
        # It has looked at what the other has counted.
        time.sleep(0.3)

    def rebind(self, most: int) -> None:
        """Have it go on with another bound."""
        config = self.folder / "haproxy.cfg"
        config.write_text(re.sub(r"MAX_BUILDS \d+", f"MAX_BUILDS {most}", config.read_text()))
        self.reload()

    def counted(self) -> set[str]:
        """Return the processes that have said how many builds they have."""
        return {file.name for file in (self.folder / "front").iterdir() if file.name.isdecimal()}

    def told(self) -> list[str]:
        """Return what each process has said of its builds and of those who wait."""
        return [(self.folder / "front" / name).read_text().strip() for name in sorted(self.counted())]

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.daemon.close()
