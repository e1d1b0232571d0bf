"""A control plane without nodes: etcd, kube-apiserver and chosen controllers as plain processes that need no root.

Made for tests that count requests, and kill, freeze and restart the API server. No pod ever runs here.

By hand, `python -m hack.cluster.controlplane` starts one with the project's CRDs, prints the export of its kubeconfig,
and keeps it until Ctrl-C; then nothing of it is left. Objects are garbage-collected and namespaces go, as in a cluster.
"""

import argparse
import base64
import io
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from email.message import Message
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import urllib3
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hack.cluster import artifacts, audit, toolchain
from hack.cluster.processes import Process, ProcessError, free_port
from hack.cluster.recipes import RecipeError

READY_SECONDS: Final = 60
PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
ADMIN_TOKEN: Final = "admin"
CONTROLLERS_TOKEN: Final = "controllers"
TOP: Final = Path(__file__).parents[2]
CONTROLLERS_BY_HAND: Final = ("namespace-controller", "garbage-collector-controller", "serviceaccount-controller")
"""What people expect of any cluster: without pods, nothing else would have work."""


class ControlPlane:
    """An API server of its own on free loopback ports; several live side by side.

    `controllers` are names as kube-controller-manager's --controllers takes them, such as "garbagecollector". Without
    any, that program does not run: namespaces stay Terminating, and owned objects outlive their owners.
    `flags` are added to kube-apiserver's.
    """

    def __init__(self, *, controllers: Sequence[str] = (), flags: Sequence[str] = ()) -> None:
        self._controllers = controllers
        self._flags = flags
        self._folder = Path(tempfile.mkdtemp(prefix="control-plane-"))
        self._port = free_port()
        self._etcd_port = free_port()
        self._api_server: Process | None = None
        self._others: list[Process] = []
        self._pool: urllib3.PoolManager | None = None
        self._compacted = ""
        self.token = ADMIN_TOKEN

    @property
    def url(self) -> str:
        """Return where the API server listens."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def kubeconfig(self) -> Path:
        """Return the file that makes its user an admin of everything."""
        return self._folder / "kubeconfig"

    @property
    def pids(self) -> list[int]:
        """Return the processes that run, the API server's last."""
        return [process.pid for process in (*self._others, self._api_server) if process]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start everything and return when the API server is ready. Raises ProcessError with a log when it is not."""
        try:
            self._write_files()
            self._start_etcd()
            self.start_api_server()
            if self._controllers:
                self._start_controllers()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Kill everything and delete what it stored."""
        self.kill_api_server()
        if self._pool is not None:
            self._pool.clear()
        while self._others:
            self._others.pop().kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start_api_server(self) -> None:
        """Start the API server, again with the same address, certificate and data after it was killed."""
        self._api_server = self._run("kube-apiserver", *self._api_server_flags())
        self._api_server.wait_until(self._is_ready, READY_SECONDS)
        if not self.kubeconfig.exists():
            self._write_kubeconfig(self.kubeconfig, ADMIN_TOKEN)

    def kill_api_server(self) -> None:
        """Kill the API server, as kill -9 does."""
        if self._api_server:
            self._api_server.kill()
            self._api_server = None

    def compact(self) -> None:
        """Have etcd forget all that has been overwritten, and give the room back, as an administrator does.

        A watch that goes on from an older state is told so (410 Gone).
        """
        asked = self._ask_etcd("/v3/kv/range", {"key": base64.b64encode(b"/").decode(), "limit": 1})
        revision = asked["header"]["revision"]
        if revision == self._compacted:  # which etcd refuses to do again
            return
        self._ask_etcd("/v3/kv/compaction", {"revision": revision, "physical": True})
        self._compacted = revision
        self._ask_etcd("/v3/maintenance/defragment", {})

    @contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        """Let the API server answer nobody within the block, with all connections left open."""
        assert self._api_server, "there is no API server to freeze"
        self._api_server.freeze()
        try:
            yield
        finally:
            self._api_server.thaw()

    def request(self, method: str, path: str, body: Any = None, *, token: str = ADMIN_TOKEN, as_user: str = "") -> Any:
        """Return the API server's answer as an object, to `as_user` if named.

        Raises urllib.error.HTTPError for what it refuses.
        """
        # The API server adds the groups that such a user is in by itself.
        user = {"Impersonate-User": as_user} if as_user else {}
        data = None if body is None else json.dumps(body).encode()
        answer, kind = self.send(method, path, data, headers={"Authorization": f"Bearer {token}", **user})
        return json.loads(answer) if kind == "application/json" else answer.decode()

    def send(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, str]:
        """Send a body as it is; return the answer, and its content type.

        Raises urllib.error.HTTPError likewise, and URLError where there is no answer.
        """
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": content, **(headers or {})}
        try:
            # Over kept connections: tests ask a hundred thousand times, and a handshake takes longer than most answers.
            answer = self._connections().request(method, self.url + path, body=body, headers=headers, retries=False)
        except urllib3.exceptions.HTTPError as problem:
            raise urllib.error.URLError(str(problem)) from problem
        if answer.status >= HTTPStatus.BAD_REQUEST:
            told = Message()
            for name, value in answer.headers.items():
                told[name] = value
            said = io.BytesIO(answer.data)
            raise urllib.error.HTTPError(self.url + path, answer.status, answer.reason or "", told, said)
        return answer.data, answer.headers.get("Content-Type", "").partition(";")[0]

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Return what kubectl prints, as an admin, given `text` as its input. Raises CalledProcessError."""
        command = [str(program("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        return subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout

    def apply_crds(self, *paths: Path) -> None:
        """Create the CustomResourceDefinitions of files and folders, or bring them up to date, until they are served.

        Not by `kubectl wait`, which takes one without conditions yet, as a large one is for a moment, for an error.
        """
        assert self._api_server
        for path in paths:
            for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
                applied = self.kubectl("apply", "--server-side", "--output=name", f"--filename={file}")
                for name in applied.split():
                    self._api_server.wait_until(partial(self._is_established, name.rpartition("/")[2]), READY_SECONDS)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig with a day's token of a ServiceAccount that exists, so with that one's rights."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        token = self.request("POST", path, asked)["status"]["token"]
        file = self._folder / f"kubeconfig-{namespace}-{name}"
        self._write_kubeconfig(file, token)
        return file

    def mark(self) -> int:
        """Return a point in the audit log after everything that was answered until now."""
        fence, before = f"/version?fence={uuid.uuid4()}", self._audit_log.stat().st_size
        self.request("GET", fence)
        assert self._api_server
        # The server logs a request shortly after it has answered; it logs this one after those before it.
        self._api_server.wait_until(lambda: fence.encode() in self._logged_since(before), READY_SECONDS)
        return self._audit_log.stat().st_size

    def audit(self, since: int = 0) -> list[audit.Request]:
        """Return the requests answered since that mark, without this class's own."""
        self.mark()
        return [request for request in audit.read(self._audit_log, since) if "?fence=" not in request.uri]

    def _logged_since(self, offset: int) -> bytes:
        with self._audit_log.open("rb") as file:
            file.seek(offset)
            return file.read()

    @property
    def _audit_log(self) -> Path:
        return self._folder / "audit.log"

    @property
    def _certificate(self) -> Path:
        # The API server makes it itself when it first starts; its issuer is in the same file.
        return self._folder / "certificates" / "apiserver.crt"

    def _ask_etcd(self, path: str, body: Any) -> Any:
        """Return the answer of etcd's gRPC gateway."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self._etcd_port}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return json.load(answer)

    def _connections(self) -> urllib3.PoolManager:
        """Return those that are kept; one to an API server that was killed since is made anew."""
        if self._pool is None:
            # Not before the API server has made its certificate.
            self._pool = urllib3.PoolManager(ssl_context=self.tls(), timeout=30, maxsize=16)
        return self._pool

    def tls(self) -> ssl.SSLContext:
        """Return what a client trusts the API server by."""
        return ssl.create_default_context(cafile=self._certificate)

    def _is_ready(self) -> bool:
        try:
            return bool(self.request("GET", "/readyz") == "ok")
        except (OSError, urllib.error.URLError):
            return False

    def _is_established(self, crd: str) -> bool:
        found = self.request("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}")
        conditions = found.get("status", {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    def _run(self, name: str, *flags: str) -> Process:
        return Process(program(name), flags, self._folder / f"{name}.log")

    def _start_etcd(self) -> None:
        client = f"http://127.0.0.1:{self._etcd_port}"
        etcd = self._run(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            "--listen-peer-urls=http://127.0.0.1:0",
            # The data are worth nothing after the test, and waiting for the disk would be most of the time.
            "--unsafe-no-fsync",
            # Milliseconds. A member without others waits this long before it elects itself, a second by default. Each
            # heartbeat costs processor time, also of a server that nobody asks.
            "--heartbeat-interval=50",
            "--election-timeout=250",
        )
        self._others.append(etcd)

    def _api_server_flags(self) -> list[str]:
        return [
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            # A loopback address may not be an endpoint, and nobody looks for one here.
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--allow-privileged",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._folder / 'service-accounts.key'}",
            f"--service-account-signing-key-file={self._folder / 'service-accounts.key'}",
            f"--audit-policy-file={self._folder / 'audit-policy.yaml'}",
            f"--audit-log-path={self._audit_log}",
            # MiB until the log is rotated: never, since marks are offsets in it.
            "--audit-log-maxsize=1000000",
            *self._admission_flags(),
            *self._flags,
        ]

    def _admission_flags(self) -> list[str]:
        # It refuses pods until a controller has made the namespace's default ServiceAccount.
        makes_accounts = any("serviceaccount" in name for name in self._controllers)
        return [] if makes_accounts else ["--disable-admission-plugins=ServiceAccount"]

    def _start_controllers(self) -> None:
        kubeconfig = self._folder / "kubeconfig-controllers"
        self._write_kubeconfig(kubeconfig, CONTROLLERS_TOKEN)
        controllers = self._run(
            "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(self._controllers)}",
            "--leader-elect=false",
            "--secure-port=0",
        )
        self._others.append(controllers)

    def _write_files(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        (self._folder / "service-accounts.key").write_bytes(key)
        (self._folder / "audit-policy.yaml").write_text(yaml.safe_dump(audit.POLICY))
        (self._folder / "tokens.csv").write_text(
            f"{ADMIN_TOKEN},admin,admin,system:masters\n"
            f"{CONTROLLERS_TOKEN},system:kube-controller-manager,controllers,system:masters\n"
        )

    def _write_kubeconfig(self, file: Path, token: str) -> None:
        cluster = {"server": self.url, "certificate-authority": str(self._certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))


def program(name: str) -> Path:
    """Return envtest's program where the user has named its folder and it is there, else that of our own build."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (program := Path(assets) / name).exists():
        return program
    return artifacts.ensure("kube")["kube"] / name


def main(arguments: list[str] | None = None) -> int:
    """Run one by hand; what went wrong is a sentence on standard error and the status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m hack.cluster.controlplane",
        description="Start an API server without nodes, with the project's CRDs, and keep it until Ctrl-C.",
        epilog="No pod ever runs on it. For clusters where builds run: make cluster-up.",
    )
    parser.add_argument("--build-only", action="store_true", help="only build the programs where they are absent")
    chosen = parser.parse_args(arguments)
    try:
        # With progress shown: pytest's workers would do it in silence.
        for name in PROGRAMS:
            program(name)
        if not chosen.build_only:
            _run_until_interrupted()
    except (RecipeError, toolchain.MissingError, ProcessError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 0


def _run_until_interrupted() -> None:
    """Start one, say how to reach it, and stop it on Ctrl-C, or when the terminal is closed."""
    # Ctrl-C too: a shell has its background jobs ignore it.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.default_int_handler)
    with ControlPlane(controllers=CONTROLLERS_BY_HAND) as started:
        started.apply_crds(TOP / "crds")
        print(f"export KUBECONFIG={started.kubeconfig} PATH={program('kubectl').parent}:$PATH", flush=True)
        print(f"The API server answers at {started.url}. Ctrl-C ends it.", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    sys.exit(main())
