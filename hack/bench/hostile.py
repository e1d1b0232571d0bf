"""What one namespace can store, and what that costs everybody: peak memory of all processes beside their limits.

Each load is stored in an API server of its own before the processes start, so that they list it, and is touched once
more while they watch. Meanwhile somebody else makes a builder.
"""

import json
import random
import re
import string
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from buildkit_operator.kube.quantity import value
from buildkit_operator.kube.resources import Manifest
from hack.bench.figures import Figure, Reach
from hack.cluster.controlplane import ControlPlane
from hack.cluster.progress import step
from tests.integration.hostile.processes import BUILDERS, Processes
from tests.integration.webhook.installation import Installation, prepare
from tests.support.hostile import with_deep_managed_fields

NAMESPACE: Final = "hostile"
CRDS: Final = Path(__file__).parents[2] / "crds"
KUSTOMIZE: Final = Path(__file__).parents[2] / "deploy" / "kustomize"
MANIFESTS: Final = {
    "operator": KUSTOMIZE / "base" / "operator.yaml",
    "webhook": KUSTOMIZE / "components" / "webhook" / "webhook.yaml",
}
CORE: Final = f"/api/v1/namespaces/{NAMESPACE}"
LABELS: Final = {"buildkit-operator.dev/owner": "demo", "app.kubernetes.io/name": "buildkitd"}
MEGABYTE: Final = 1_000_000
EDITS_SECONDS: Final = 15
MEBIBYTE: Final = 2**20

_noise: Final = random.Random(14)


@dataclass(frozen=True)
class Load:
    """Something that is stored."""

    what: str
    store: Callable[[ControlPlane], int]
    """Returns how many objects the API server took."""
    during: Callable[[ControlPlane], object] = lambda _: None
    """What goes on while the processes run."""


def measure(numbers: Sequence[int] = ()) -> list[Figure]:
    """Measure each load, or those of these numbers, from 1."""
    chosen = [load for number, load in enumerate(LOADS, 1) if not numbers or number in numbers]
    return [figure for load in chosen for figure in _measure(load)]


def _measure(load: Load) -> Iterator[Figure]:
    with _installation() as processes:
        control_plane = processes.control_plane
        with step(f"Storing {load.what}"):
            stored = load.store(control_plane)
        with step("Starting the processes"):
            started = time.monotonic()
            processes.start()
            ready = time.monotonic() - started
        with step("Going on, and making somebody else's builder"), _in_background(load.during, control_plane):
            time.sleep(EDITS_SECONDS)
            waits = [_serve(processes, f"quiet-{number}") for number in range(3)]
        processes.assert_alive()
        yield Figure(f"{load.what}: stored", str(stored))
        yield Figure("  all processes ready after", f"{ready:.1f} s")
        yield Figure(
            "  somebody else's builder has its objects and status after",
            f"{max(waits):.1f} s",
            max(waits),
            Reach(5, " s"),
        )
        for name, process in processes.all.items():
            peak, limit = _peak(process.pid), _limit(name)
            yield Figure(f"  {name}: most resident memory", f"{peak:.0f} MiB", peak, Reach(limit, " MiB"))


@contextmanager
def _installation() -> Iterator[Processes]:
    with tempfile.TemporaryDirectory() as folder, ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        prepare(control_plane)
        for namespace in (NAMESPACE, "quiet"):
            control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        installation = Installation(control_plane, Path(folder))
        processes = Processes(installation)
        try:
            yield processes
        finally:
            processes.stop()
            installation.stop()


@contextmanager
def _in_background(work: Callable[[ControlPlane], object], control_plane: ControlPlane) -> Iterator[None]:
    thread = threading.Thread(target=work, args=(control_plane,), name="load")
    thread.start()
    yield
    thread.join()


def _serve(processes: Processes, name: str) -> float:
    started = time.monotonic()
    processes.serve("quiet", name, seconds=120)
    return time.monotonic() - started


def _peak(pid: int) -> float:
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def _limit(name: str) -> float:
    """Return the memory limit of a process in the manifests, in MiB."""
    (deployment,) = (m for m in yaml.safe_load_all(MANIFESTS[name].read_text()) if m and m["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return float(value(container["resources"]["limits"]["memory"])) / MEBIBYTE


# What is stored


def _store(control_plane: ControlPlane, path: str, bodies: Iterable[Manifest | bytes]) -> int:
    """Create objects; return how many the API server took. Says once why it took one not."""
    refusals: set[str] = set()

    def create(body: Manifest | bytes) -> bool:
        try:
            control_plane.send("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode())
        except urllib.error.HTTPError as refusal:
            said = json.loads(refusal.read())["message"][:300]
            if not refusals:
                print(f"refused: {said}", flush=True)
            refusals.add(said)
            return False
        return True

    with ThreadPoolExecutor(4) as creators:
        return sum(creators.map(create, bodies))


def _text(length: int) -> str:
    """Return text that no compression makes much shorter."""
    return "".join(_noise.choices(string.ascii_letters + string.digits + "+/", k=length))


def _object(api_version: str, kind: str, name: str, **rest: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": LABELS}, **rest}


def _config_map(number: int, *, owned: bool) -> Manifest:
    made = _object("v1", "ConfigMap", f"large-{number}", data={"a": _text(MEGABYTE)})
    if owned:
        owner = {"apiVersion": "buildkit-operator.dev/v1alpha1", "kind": "BuildKitBuilder", "name": "demo"}
        made["metadata"]["ownerReferences"] = [{**owner, "uid": f"forged-{number}", "controller": True}]
    return made


def _builder(name: str, **spec: Any) -> Manifest:
    return _object("buildkit-operator.dev/v1alpha1", "BuildKitBuilder", name, spec={"mode": "Shared", **spec})


@cache
def _large_spec() -> Manifest:
    """Return about as much as the schema lets through: texts of everything that is only copied."""
    annotations = {f"example.com/{n}": _text(4000) for n in range(2)}
    return {
        "daemon": {"toml": "".join(f"# {_text(95)}\n" for _ in range(660))},
        "env": [{"name": f"N{n}", "value": _text(250)} for n in range(64)],
        "shared": {"pod": {"annotations": annotations}, "service": {"annotations": annotations}},
    }


def _largest_builder(number: int) -> Manifest:
    made = _builder(f"large-{number}", **_large_spec())
    made["metadata"]["annotations"] = {f"example.com/{n}": _text(2500) for n in range(100)}
    made["metadata"]["labels"] = {f"example.com/{n}": _noise.randbytes(30).hex() for n in range(5_000)}
    return made


def _pod(number: int) -> Manifest:
    made = _object("v1", "Pod", f"job-{number}", spec={"containers": [{"name": "job", "image": "job"}]})
    made["metadata"]["labels"] = {**LABELS, "buildkit-operator.dev/injected": "demo"}
    return made


def _deep(control_plane: ControlPlane) -> int:
    """Store JSON of 1,000 and 9,900 levels in the bookkeeping of a builder, a ConfigMap and a pod."""
    made = 0
    for levels in (1_000, 9_900):
        for path, manifest in (
            (BUILDERS.format(NAMESPACE), _builder(f"deep-{levels}")),
            (f"{CORE}/configmaps", _object("v1", "ConfigMap", f"deep-{levels}")),
            (f"{CORE}/pods", {**_pod(levels), "metadata": {"name": f"deep-{levels}", "labels": LABELS}}),
        ):
            made += _store(control_plane, path, [with_deep_managed_fields(manifest, levels)])
    return made


def _toml(control_plane: ControlPlane) -> int:
    """Store builders whose toml is one dotted key, and many tables, as long as can be."""
    keys = (".".join("a" * n) + " = 1" for n in (32_000, 4_000, 1_000))
    tables = (
        "\n".join(f"[{'.'.join(f'a{n}' for n in range(30))}.b{m}]" for m in range(480)),
        "a=[" + "[]," * 20_000 + "]",
    )
    return _store(
        control_plane,
        BUILDERS.format(NAMESPACE),
        [_builder(f"toml-{n}", daemon={"toml": toml[:65_536]}) for n, toml in enumerate((*keys, *tables))],
    )


def _edit(path: str, seconds: float = EDITS_SECONDS, rate: float = 100) -> Callable[[ControlPlane], int]:
    """Return what edits an object so many times a second, by four hands."""

    def edit(control_plane: ControlPlane) -> int:
        began = time.monotonic()

        def change(number: int) -> None:
            if (early := began + number / rate - time.monotonic()) > 0:
                time.sleep(early)
            body: Manifest = {"metadata": {"annotations": {"edit": str(number)}}}
            if "buildkitbuilders" in path:
                body["spec"] = {"daemon": {"maxParallelism": number + 1}}
            with suppress(urllib.error.HTTPError):
                control_plane.send("PATCH", path, json.dumps(body).encode())

        with ThreadPoolExecutor(4) as editors:
            list(editors.map(change, range(int(seconds * rate))))
        return 1

    return edit


LOADS: Final = (
    Load(
        "100 labelled ConfigMaps of 1 MB",
        lambda cp: _store(cp, f"{CORE}/configmaps", (_config_map(n, owned=False) for n in range(100))),
        _edit(f"{CORE}/configmaps/large-0", rate=5),
    ),
    Load(
        "100 ConfigMaps of 1 MB with a forged owner",
        lambda cp: _store(cp, f"{CORE}/configmaps", (_config_map(n, owned=True) for n in range(100))),
        _edit(f"{CORE}/configmaps/large-0", rate=5),
    ),
    Load(
        "100 builders as large as they can be",
        lambda cp: _store(cp, BUILDERS.format(NAMESPACE), (_largest_builder(n) for n in range(100))),
    ),
    Load("the worst toml, of 64 KiB", _toml),
    Load("JSON of 1,000 and 9,900 levels", _deep, _edit(f"{CORE}/configmaps/deep-9900", rate=20)),
    Load(
        "2,000 builders with the largest spec",
        lambda cp: _store(cp, BUILDERS.format(NAMESPACE), (_builder(f"b-{n}", **_large_spec()) for n in range(2_000))),
    ),
    Load(
        "10,000 labelled pods of one builder",
        lambda cp: (
            _store(cp, BUILDERS.format(NAMESPACE), [_builder("demo")])
            + _store(cp, f"{CORE}/pods", map(_pod, range(10_000)))
        ),
        _edit(f"{CORE}/pods/job-0", rate=20),
    ),
    Load(
        "one builder, edited 100 times a second",
        lambda cp: _store(cp, BUILDERS.format(NAMESPACE), [_builder("hot")]),
        _edit(f"{BUILDERS.format(NAMESPACE)}/hot"),
    ),
)
