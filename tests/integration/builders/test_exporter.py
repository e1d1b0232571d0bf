"""The exporter asks a real daemon by mutual TLS, with the rights of its component alone, and tells Prometheus."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import Usage
from hack.cluster.controlplane import ControlPlane
from hack.cluster.processes import free_port
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.daemon import RealDaemon, SlowServer, daemon_pod, real_daemon, tell
from tests.integration.service_process import ServiceProcess
from tests.support.hostile_daemons import GOOD, KINDS, hostile_daemons

KUSTOMIZE: Final = Path(__file__).parents[3] / "deploy" / "kustomize"
COMPONENT: Final = KUSTOMIZE / "components" / "exporter"
NAME: Final = "buildkit-operator-exporter"
NAMESPACE: Final = "buildkit-operator"
MEMORY_LIMIT: Final = 256 * 1024
"""In KiB, as its Deployment says."""
COMMAND: Final = ("-m", "buildkit_operator", "exporter")

Sample = tuple[str, ...]


class ExporterProcess(ServiceProcess):
    """The exporter as it runs in production, but in a hurry."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: object) -> None:
        intervals = {"interval_seconds": 0.2, "disk_usage_interval_seconds": 0.2, "timeout_seconds": 2}
        chosen = {"log_format": "text", **intervals, **settings}
        super().__init__(COMMAND, kubeconfig, log, chosen)

    def series(self, namespace: str) -> dict[Sample, float]:
        """Return the values of a namespace by metric, builder and, where there is one, pod."""
        found = {}
        lines = re.findall(r"^buildkit_operator_builder_(\w+)\{(.*)\} (\S+)$", self.text(), re.MULTILINE)
        for name, labels, value in lines:
            told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if told.pop("namespace") == namespace:
                found[name, *(told[key] for key in ("builder", "pod") if key in told)] = float(value)
        return found

    def text(self) -> str:
        return self.get("/metrics")[1]


@pytest.fixture(scope="module")
def exporter(
    control_plane: ControlPlane,
    crds: None,  # noqa: ARG001  before the exporter starts
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ExporterProcess]:
    """Start the exporter with the rights of its component."""
    control_plane.kubectl("apply", "--server-side", f"--filename={KUSTOMIZE / 'base' / 'namespace.yaml'}")
    control_plane.kubectl("apply", "--server-side", f"--filename={COMPONENT / 'rbac.yaml'}")
    kubeconfig = control_plane.service_account_kubeconfig(NAMESPACE, NAME)
    process = ExporterProcess(kubeconfig, tmp_path_factory.mktemp("exporter") / "log")
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()


@pytest.fixture
def daemon(builders: Builders) -> Iterator[RealDaemon]:
    """Run the daemon of a builder called demo, with the pod demo-0."""
    port = free_port()
    builders.create(shared={"port": port})
    builders.wait("certificates", lambda: builders.secret("demo-connection"))
    with real_daemon(builders, port) as running:
        daemon_pod(builders, "demo-0")
        yield running


@pytest.fixture
def slow_server() -> Iterator[SlowServer]:
    server = SlowServer()
    yield server
    server.close()


def waits(builders: Builders, exporter: ExporterProcess) -> Callable[[dict[Sample, float | None]], None]:
    """Return a function that waits until series have values, and where the value is None, until they are gone."""

    def wait(wanted: dict[Sample, float | None]) -> None:
        def seen() -> bool:
            series = exporter.series(builders.namespace)
            return all(series.get(sample) == value for sample, value in wanted.items())

        builders.wait(f"{wanted} among {exporter.series(builders.namespace)}", seen)

    return wait


def test_a_daemon_at_rest(builders: Builders, exporter: ExporterProcess, daemon: RealDaemon) -> None:
    wait = waits(builders, exporter)

    wait(
        {
            ("up", "demo", "demo-0"): 1,
            ("active_builds", "demo", "demo-0"): 0,
            ("workers", "demo", "demo-0"): 1,
            ("cache_bytes", "demo", "demo-0"): 0,
            ("spec_replicas", "demo"): 1,
            ("runner_pods", "demo"): 0,
            ("runner_pods_ready", "demo"): 0,
        }
    )
    assert "is not a member" not in exporter.text()
    assert daemon.process.pid


def test_a_build_is_active_while_it_runs_and_leaves_its_cache(
    builders: Builders, exporter: ExporterProcess, daemon: RealDaemon, slow_server: SlowServer
) -> None:
    wait = waits(builders, exporter)
    wait({("active_builds", "demo", "demo-0"): 0})

    build = daemon.build(slow_server.url)
    wait({("active_builds", "demo", "demo-0"): 1})
    slow_server.let_go()
    said, _ = build.communicate(timeout=30)

    assert build.returncode == 0, said
    wait({("active_builds", "demo", "demo-0"): 0})
    series = builders.wait("cache", lambda: holding(exporter.series(builders.namespace)))
    assert series is not None
    assert series["cache_bytes", "demo", "demo-0"] >= series["cache_reclaimable_bytes", "demo", "demo-0"] > 0


def holding(series: dict[Sample, float]) -> dict[Sample, float] | None:
    return series if series.get(("cache_reclaimable_bytes", "demo", "demo-0")) else None


def test_a_daemon_that_hangs_or_dies_is_down_and_its_numbers_are_gone(
    builders: Builders, exporter: ExporterProcess, daemon: RealDaemon
) -> None:
    wait = waits(builders, exporter)
    numbers = [(name, "demo", "demo-0") for name in ("active_builds", "workers", "cache_bytes")]
    gone: dict[Sample, float | None] = {("up", "demo", "demo-0"): 0, **dict.fromkeys(numbers)}
    wait({("up", "demo", "demo-0"): 1})

    daemon.process.freeze()
    wait(gone)
    daemon.process.thaw()
    wait({("up", "demo", "demo-0"): 1, ("workers", "demo", "demo-0"): 1})
    daemon.process.kill()
    wait(gone)


@pytest.mark.usefixtures("daemon")
def test_series_go_with_their_pod(builders: Builders, exporter: ExporterProcess) -> None:
    wait = waits(builders, exporter)
    wait({("up", "demo", "demo-0"): 1})

    tell(builders, "demo-0", ready=False)
    wait({("up", "demo", "demo-0"): 0, ("active_builds", "demo", "demo-0"): None})
    builders.kubectl("delete", "pod", "demo-0", "--grace-period=0", "--force")
    wait({("up", "demo", "demo-0"): None, ("spec_replicas", "demo"): 1})
    builders.delete("buildkitbuilders", "demo")
    wait({("spec_replicas", "demo"): None})
    assert exporter.series(builders.namespace) == {}


@pytest.mark.usefixtures("daemon")
def test_replicas_of_a_builder_are_asked_one_by_one(builders: Builders, exporter: ExporterProcess) -> None:
    wait = waits(builders, exporter)
    # Nobody listens on this address of this machine.
    daemon_pod(builders, "demo-1", ip="127.0.0.2")

    wait({("up", "demo", "demo-0"): 1, ("up", "demo", "demo-1"): 0, ("active_builds", "demo", "demo-1"): None})
    builders.wait(
        "a try", lambda: f"Daemon {builders.namespace}/demo-1 does not answer: [Errno 111]" in exporter.log.read_text()
    )


def test_a_daemon_with_another_builders_certificate_is_not_believed(
    builders: Builders, exporter: ExporterProcess, daemon: RealDaemon
) -> None:
    builders.create("other", shared={"port": daemon.port})
    builders.wait("certificates", lambda: builders.secret("other-connection"))
    daemon_pod(builders, "other-0", builder="other")

    waits(builders, exporter)({("up", "demo", "demo-0"): 1, ("up", "other", "other-0"): 0})


def test_a_secret_with_rubbish_harms_its_own_builder_alone(
    builders: Builders, exporter: ExporterProcess, daemon: RealDaemon
) -> None:
    builders.create("other", shared={"port": daemon.port})
    builders.wait("certificates", lambda: builders.secret("other-connection"))
    builders.edit("other", suspend=True)
    rubbish = dict.fromkeys(("ca.crt", "tls.crt", "tls.key"), "rubbish")
    builders.patch("secrets", "other-connection", {"stringData": rubbish})
    daemon_pod(builders, "other-0", builder="other")

    waits(builders, exporter)({("up", "demo", "demo-0"): 1, ("up", "other", "other-0"): 0})
    builders.wait("a try", lambda: f"{builders.namespace}/other-0 does not answer" in exporter.log.read_text())
    assert exporter.running


def test_new_certificates_are_taken_up(builders: Builders, exporter: ExporterProcess) -> None:
    wait, port = waits(builders, exporter), free_port()
    builders.create(shared={"port": port})
    builders.wait("certificates", lambda: builders.secret("demo-connection"))
    with real_daemon(builders, port):
        daemon_pod(builders, "demo-0")
        wait({("up", "demo", "demo-0"): 1})
    builders.edit(suspend=True)
    replace_certificates(builders)
    with real_daemon(builders, port):
        wait({("up", "demo", "demo-0"): 1})


def replace_certificates(builders: Builders) -> None:
    """Issue everything anew, as when the authority was compromised: nothing old is trusted."""
    now, lifetime = datetime.now(UTC), timedelta(days=1)
    authority = issue_authority("new", lifetime, now)
    name = f"demo-buildkitd.{builders.namespace}.svc"
    for secret, usage, dns_names in (
        ("demo-buildkitd-tls", Usage.SERVER, [name]),
        ("demo-connection", Usage.CLIENT, []),
    ):
        pair = issue_leaf(authority, "demo", usage, dns_names, lifetime, now)
        data = {"ca.crt": authority.certificate, "tls.crt": pair.certificate, "tls.key": pair.key}
        builders.patch("secrets", secret, {"stringData": {key: value.decode() for key, value in data.items()}})


def test_a_builder_without_tls_is_asked_in_plain_text(builders: Builders, exporter: ExporterProcess) -> None:
    builders.create(shared={"port": free_port(), "tls": {"mode": "Disabled"}})
    daemon_pod(builders, "demo-0")

    # Nobody listens: what counts is that no certificate is asked for.
    waits(builders, exporter)({("up", "demo", "demo-0"): 0})
    builders.wait(
        "a try", lambda: f"Daemon {builders.namespace}/demo-0 does not answer: [Errno 111]" in exporter.log.read_text()
    )


def test_a_pod_that_is_not_the_workloads_is_nobody(
    builders: Builders, exporter: ExporterProcess, daemon: RealDaemon
) -> None:
    assert daemon.process.pid
    daemon_pod(builders, "demo-forged", owned=False)

    waits(builders, exporter)({("up", "demo", "demo-0"): 1, ("up", "demo", "demo-forged"): None})


def test_hostile_daemons_cost_nobody_else_anything(
    builders: Builders, exporter: ExporterProcess, daemon: RealDaemon, control_plane: ControlPlane
) -> None:
    """They are another namespace's, each at an address of this machine."""
    assert daemon.process.pid
    port, hostile = free_port(), Builders(control_plane, f"{builders.namespace}-hostile")
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": hostile.namespace}})
    wait = waits(builders, exporter)
    wait({("up", "demo", "demo-0"): 1, ("cache_bytes", "demo", "demo-0"): 0})
    hosts = tuple(f"127.0.1.{n + 1}" for n in range(len(KINDS)))
    with hostile_daemons(port, hosts):
        hostile.create(shared={"port": port, "replicas": 100, "tls": {"mode": "Disabled"}})
        for kind, host in zip(KINDS, hosts, strict=True):
            daemon_pod(hostile, kind, ip=host)
        hostile.wait("the good one", lambda: exporter.series(hostile.namespace).get(("up", "demo", GOOD)) == 1)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            series = exporter.series(builders.namespace)
            assert (series["up", "demo", "demo-0"], series["cache_bytes", "demo", "demo-0"]) == (1, 0)
            time.sleep(0.2)

        assert exporter.memory() < MEMORY_LIMIT // 2

    hostile.delete("buildkitbuilders", "demo")
    assert exporter.running


def test_runner_pods_are_counted_by_the_builders_status(builders: Builders, exporter: ExporterProcess) -> None:
    builders.create(mode="Sidecar", suspend=True)
    status = {"status": {"pods": {"injected": 7, "ready": 5, "failed": 1}}}
    builders.patch("buildkitbuilders", "demo", status, "status")

    wait = waits(builders, exporter)
    wait({("runner_pods", "demo"): 7, ("runner_pods_ready", "demo"): 5, ("spec_replicas", "demo"): None})


def test_no_key_is_logged(builders: Builders, exporter: ExporterProcess, daemon: RealDaemon) -> None:
    waits(builders, exporter)({("up", "demo", "demo-0"): 1})

    said = exporter.log.read_text()
    assert "PRIVATE KEY" not in said
    assert daemon.folder.name not in said


# The manifests


def read(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((COMPONENT / file).read_text()))


@pytest.mark.usefixtures("exporter")
def test_the_api_server_accepts_all_of_it(control_plane: ControlPlane) -> None:
    flags = ("--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict")
    said = control_plane.kubectl("apply", *flags, f"--kustomize={COMPONENT}")

    (kustomization,) = read("kustomization.yaml")
    assert said.count("serverside-applied") == sum(len(read(file)) for file in kustomization["resources"])


@pytest.mark.usefixtures("exporter")
def test_its_pod_is_admitted_where_pod_security_is_restricted(control_plane: ControlPlane) -> None:
    namespace = control_plane.request("GET", f"/api/v1/namespaces/{NAMESPACE}")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    (deployment,) = (manifest for manifest in read("exporter.yaml") if manifest["kind"] == "Deployment")
    template = deployment["spec"]["template"]

    control_plane.request(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All&fieldValidation=Strict",
        {"metadata": {"name": "exporter", **template["metadata"]}, "spec": template["spec"]},
    )


def test_it_may_read_and_nothing_else() -> None:
    rules = [rule for manifest in read("rbac.yaml") for rule in manifest.get("rules", ())]

    assert [(rule["resources"], rule["verbs"]) for rule in rules] == [
        (["buildkitbuilders"], ["list", "watch"]),
        (["pods"], ["list", "watch"]),
        (["secrets"], ["get"]),
    ]


def test_it_asked_for_nothing_else(control_plane: ControlPlane, exporter: ExporterProcess) -> None:
    assert exporter.running
    requests = [request for request in control_plane.audit() if request.user_agent.startswith(NAME)]

    # Without a resource it is only asked which kinds there are.
    assert {(request.resource, request.verb) for request in requests if request.resource} <= {
        ("buildkitbuilders", "list"),
        ("buildkitbuilders", "watch"),
        ("pods", "list"),
        ("pods", "watch"),
        ("secrets", "get"),
    }
    assert len(requests) > 4
