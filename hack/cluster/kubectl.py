"""A wrapper of kubectl for tests and the demo: what people would type, with its answers as text or objects."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.api_reader import ReadError, UnknownKindError, reader

T = TypeVar("T")

_TOP: Final = Path(__file__).parents[2]
_SELECTORS: Final = {"selector": "labelSelector", "field-selector": "fieldSelector"}


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it said."""


class Kubectl:
    """Calls kubectl for one cluster, and for one namespace unless that is left to what is applied."""

    def __init__(self, program: Path, kubeconfig: Path, namespace: str = "") -> None:
        self.program = program
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def within(self, namespace: str) -> "Kubectl":
        """Return the same kubectl for another namespace."""
        return Kubectl(self.program, self.kubeconfig, namespace)

    def __call__(self, *arguments: str, text: str | None = None, timeout: float = 120) -> str:
        """Return what kubectl prints, given `text` as its input. Raises KubectlError."""
        answer = subprocess.run(
            self.command(*arguments), input=text, text=True, capture_output=True, timeout=timeout, cwd=_TOP, check=False
        )
        if answer.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {answer.stderr.strip() or answer.stdout.strip()}")
        return answer.stdout

    def command(self, *arguments: str) -> list[str]:
        """Return the words of a kubectl command."""
        namespace = [f"--namespace={self.namespace}"] if self.namespace else []
        return [str(self.program), f"--kubeconfig={self.kubeconfig}", *namespace, *arguments]

    def apply(self, *manifests: Manifest, server_side: bool = True) -> None:
        """Apply objects. Raises KubectlError with the server's sentence."""
        flags = ["--server-side"] if server_side else []
        self("apply", *flags, "--filename=-", text=yaml.safe_dump_all(manifests))

    def get(self, *what: str) -> Any:
        """Return an object, or the items of a list. Raises KubectlError.

        What is asked for in a plain way is read without a kubectl process, so that it may be polled.
        """
        if (plain := _Query.parse(what)) is not None:
            try:
                return plain.read(self)
            except ReadError as error:
                raise KubectlError(f"kubectl get {' '.join(what)}: {error}") from None
            except UnknownKindError:
                pass  # kubectl says it in its own words
        found = json.loads(self("get", *what, "--output=json"))
        return found["items"] if found["kind"] == "List" else found

    def find(self, *what: str) -> Any:
        """Return an object, or None where there is none. Raises KubectlError."""
        try:
            return self.get(*what)
        except KubectlError as error:
            if "(NotFound)" not in str(error):
                raise
        return None

    def read(self, path: str) -> str:
        """Return what the API server serves at a path, as `kubectl get --raw` does. Raises KubectlError."""
        try:
            return reader(self.kubeconfig).read(path, accept="*/*")
        except ReadError as error:
            raise KubectlError(f"kubectl get --raw={path}: {error}") from None

    def logs(self, pod: str, container: str) -> str:
        """Return what a container of a pod has printed so far. Raises KubectlError."""
        return self.read(f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log?container={container}")

    def create_namespace(self, name: str, **labels: str) -> "Kubectl":
        """Create a namespace and return the kubectl for it."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        return self.within(name)

    @contextmanager
    def port_forward(self, target: str, port: int) -> Iterator[int]:
        """Forward a free local port to a pod's or Service's port, and yield the local one."""
        command = self.command("port-forward", "--address=127.0.0.1", target, f":{port}")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as forwarder:
            try:
                assert forwarder.stdout is not None
                said = forwarder.stdout.readline()
                if not said.startswith("Forwarding from 127.0.0.1:"):
                    raise KubectlError(f"kubectl port-forward {target}: {said.strip()}")
                yield int(said.removeprefix("Forwarding from 127.0.0.1:").split()[0])
            finally:
                forwarder.terminate()


@dataclass(frozen=True)
class _Query:
    """The arguments of a `kubectl get` of one kind: an object by its name, or those that selectors choose."""

    kind: str
    name: str
    selectors: dict[str, str]

    @classmethod
    def parse(cls, what: Sequence[str]) -> "_Query | None":
        """Return the query, or None where the arguments have more to them."""
        kind, *rest = what
        if "," in kind or "/" in kind:
            return None
        names = [one for one in rest if not one.startswith("-")]
        flags = dict(one.removeprefix("--").split("=", 1) for one in rest if re.match("--[a-z-]+=", one))
        if len(names) > 1 or len(names) + len(flags) < len(rest) or not flags.keys() <= _SELECTORS.keys():
            return None
        return cls(kind, "".join(names), {_SELECTORS[flag]: value for flag, value in flags.items()})

    def read(self, kubectl: Kubectl) -> Any:
        """Return the object, or the list's items, with the changes that kubectl makes. Raises ReadError."""
        found = reader(kubectl.kubeconfig).get(self.kind, kubectl.namespace, self.name, **self.selectors)
        common = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List")}
        objects = [found] if self.name else [common | item for item in found["items"]]
        for one in objects:
            one["metadata"].pop("managedFields", None)
        return found if self.name else objects


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 60) -> T:
    """Poll until the probe gives something true, and return that. Raises TimeoutError that says what was awaited."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} seconds; last seen: {found!r}")
        time.sleep(0.1)
    return found
