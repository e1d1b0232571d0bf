"""What clusters constrain: quotas, limit ranges and strict policies, and what a builder says of refused pods.

`pytest tests/integration/builders/test_constraints.py --update-golden` writes the table of docs/constraints.md.
"""

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane, program
from hack.cluster.kubectl import wait_for
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import apply_policies
from tests.integration.conftest import CRDS
from tests.support.strict_policies import OF_A_COMPANY, RULES, key, manifests

PAGE: Final = Path(__file__).parents[3] / "docs/constraints.md"
_TABLE: Final = re.compile(r"(<!-- table: strict -->\n\n)(?:\|.*\n)+")
_DIGEST: Final = f"@sha256:{'a' * 64}"
_AMOUNTS: Final = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}
ALL_LIMITS: Final[Manifest] = {"requests": _AMOUNTS, "limits": _AMOUNTS}

COLUMNS: Final = {
    "connector": "connector",
    "sidecar": "sidecar, `Rootless`",
    "sidecar-user": "sidecar, `UserNamespace`",
    "daemons": "daemons, `Rootless`",
    "daemons-user": "daemons, `UserNamespace`",
    "volume": "`buildkit-volume`",
}
"""What is tried, as the table has it."""


_BAD_CONTAINER: Final[Manifest] = {
    "image": "bad:latest",
    "imagePullPolicy": "IfNotPresent",
    "securityContext": {"procMount": "Unmasked", "seccompProfile": {"type": "Unconfined"}},
}
BAD: Final[Manifest] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "bad-"},
    "spec": {
        "hostUsers": False,
        "initContainers": [_BAD_CONTAINER | {"name": "bad-sidecar", "restartPolicy": "Always"}],
        "containers": [_BAD_CONTAINER | {"name": "bad"}],
    },
}
"""Breaks each rule that one of our containers breaks, but for those on volumes."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Start an API server with the rules, and an operator whose administrator has set all that can be set for all."""
    with ControlPlane() as started:
        started.apply_crds(CRDS)
        apply_policies(started)
        started.kubectl(
            "apply", "--server-side", "--filename=-", text=yaml.safe_dump_all(manifests(RULES | OF_A_COMPANY))
        )
        operator = BuilderOperator(
            started.kubeconfig,
            tmp_path_factory.mktemp("operator") / "log",
            buildkit_image=f"registry.example.com/buildkit:v1{_DIGEST}",
            connector_image=f"registry.example.com/haproxy:v3{_DIGEST}",
            daemon_resources=json.dumps(ALL_LIMITS),
            connector_resources=json.dumps(ALL_LIMITS),
        )
        try:
            operator.wait_ready()
            yield started
        finally:
            operator.kill()


@pytest.fixture
def builders(server: ControlPlane) -> Builders:
    return namespace(server)


def namespace(server: ControlPlane, **labels: str) -> Builders:
    """Create a namespace where the API server obeys these labels already."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    made = Builders(server, name)
    if labels:
        wait_for(f"{labels} are in force", lambda: "Pods here need" in said(made, BAD), 30)
    return made


def said(builders: Builders, pod: Manifest) -> str:
    """Return what the API server says of a pod that is tried."""
    command = [str(program("kubectl")), f"--kubeconfig={builders.control_plane.kubeconfig}"]
    command += [f"--namespace={builders.namespace}", "create", "--dry-run=server", "--filename=-"]
    answer = subprocess.run(command, input=json.dumps(pod), text=True, capture_output=True, check=False)
    return answer.stderr


def job(**labels: str) -> Manifest:
    """Return a pod that obeys all rules, with labels."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "job-", "labels": {"app.kubernetes.io/name": "job", "team": "ci", **labels}},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "job",
                    "image": f"registry.example.com/job:v1{_DIGEST}",
                    "imagePullPolicy": "Always",
                    "resources": ALL_LIMITS,
                    "livenessProbe": {"exec": {"command": ["true"]}},
                    "readinessProbe": {"exec": {"command": ["true"]}},
                    "securityContext": {
                        "runAsNonRoot": True,
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                }
            ],
        },
    }


def asking(name: str) -> Manifest:
    return job(**{"buildkit-operator.dev/builder": name})


# The rules, one by one


@pytest.fixture(scope="module")
def broken(server: ControlPlane) -> dict[str, set[str]]:
    """Return the rules that a pod with each of our containers breaks, where all is set that can be set."""
    builders = namespace(server, warn="all")
    assert rules_in(said(builders, job())) == set()
    builders.create("connector")
    builders.create("sidecar", mode="Sidecar", imagePullPolicy="Always")
    builders.create("sidecar-user", mode="Sidecar", imagePullPolicy="Always", isolation="UserNamespace")
    builders.create("daemons", imagePullPolicy="Always")
    builders.create("daemons-user", imagePullPolicy="Always", isolation="UserNamespace")
    builders.create("volume", imagePullPolicy="Always", cache={"persistentVolumeClaim": {}})
    tried = {
        "connector": asking("connector"),
        "sidecar": asking("sidecar"),
        "sidecar-user": asking("sidecar-user"),
        "daemons": own_pod(builders, "deployments", "daemons"),
        "daemons-user": own_pod(builders, "deployments", "daemons-user"),
        "volume": own_pod(builders, "statefulsets", "volume"),
    }
    pod = tried["volume"]["spec"]
    pod["containers"] = job()["spec"]["containers"]
    pod["volumes"] = [{"name": v["name"], "configMap": {"name": "x"}} for v in pod["volumes"]] + [
        {"name": "buildkit-state", "persistentVolumeClaim": {"claimName": "x"}}
    ]
    for name in ("connector", "sidecar", "sidecar-user"):
        wait_for(f"{name} is injected", lambda name=name: builders.status(name).get("injection"), 30)  # type: ignore[misc]
        wait_for(f"{name} is known", lambda name=name: "denied" not in said(builders, asking(name)), 30)  # type: ignore[misc]
    return {name: rules_in(said(builders, pod)) for name, pod in tried.items()}


def own_pod(builders: Builders, plural: str, name: str) -> Manifest:
    workload = builders.wait(f"{plural} {name}", lambda: builders.get(plural, f"{name}-buildkitd") or {}, 30)
    template: dict[str, Any] = workload["spec"]["template"]
    metadata = {**template["metadata"], "generateName": f"{name}-"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def rules_in(warnings: str) -> set[str]:
    """Return the rules that warnings name; nothing else may be said."""
    found = set(re.findall(r"Warning: .*Pods here need: (.*)\.", warnings))
    assert "Error" not in warnings, warnings
    return found


def test_the_page_says_which_rules_our_containers_obey(
    broken: dict[str, set[str]], request: pytest.FixtureRequest
) -> None:
    head = f"| a rule that demands | {' | '.join(COLUMNS.values())} |"
    rows = [f"| {rule} | {' | '.join('no' if rule in broken[name] else 'yes' for name in COLUMNS)} |" for rule in RULES]
    wanted = "\n".join([head, f"|---{'|---' * len(COLUMNS)}|", *rows, ""])
    page = PAGE.read_text()
    if request.config.getoption("--update-golden"):
        PAGE.write_text(_TABLE.sub(lambda found: found[1] + wanted, page))
        return
    table = _TABLE.search(page)
    assert table is not None
    assert table[0].removeprefix(table[1]) == wanted


@pytest.mark.parametrize("name", ["connector", "sidecar", "sidecar-user"])
def test_under_all_rules_that_can_be_obeyed_a_builder_is_ready_and_its_pods_are_admitted(
    server: ControlPlane, broken: dict[str, set[str]], name: str
) -> None:
    builders = namespace(server, **{key(rule): "deny" for rule in RULES if rule not in broken[name]})
    if name == "connector":
        builders.create(shared={"pod": {"labels": {"team": "ci"}}})
        builders.make_ready()
    else:
        isolation = "UserNamespace" if name == "sidecar-user" else "Rootless"
        builders.create(mode="Sidecar", imagePullPolicy="Always", isolation=isolation)
        assert "refused" not in builders.wait_reason("Available")["message"]

    assert said(builders, asking("demo")) == ""


@pytest.mark.parametrize("name", ["connector", "sidecar", "sidecar-user"])
def test_a_rule_that_cannot_be_obeyed_leaves_a_builder_not_ready_with_the_remedy(
    server: ControlPlane, broken: dict[str, set[str]], name: str
) -> None:
    rule = max(broken[name])
    builders = namespace(server, **{key(rule): "deny"})
    isolation = "UserNamespace" if name == "sidecar-user" else "Rootless"
    spec: Manifest = {} if name == "connector" else {"mode": "Sidecar", "isolation": isolation}
    builders.create(**spec)

    ready = builders.wait_reason("PodsRefused")

    assert ready["status"] == "False"
    assert f"Pods here need: {rule}." in ready["message"]
    assert "exempt containers named buildkitd, buildkit-connector from it" in ready["message"]


def test_a_rule_on_what_jobs_decide_leaves_a_builder_ready_and_is_told(server: ControlPlane) -> None:
    builders = namespace(server, **dict.fromkeys(map(key, OF_A_COMPANY), "deny"))
    builders.create(mode="Sidecar")

    ready = builders.wait_reason("Available")

    assert ready["status"] == "True"
    assert "A probe pod was refused, though: " in ready["message"]
    assert said(builders, asking("demo")) == ""


# Quotas and limit ranges


SMALL: Final[Manifest] = {"limits": {"memory": "64Mi"}}


def test_a_quota_that_the_connector_does_not_satisfy_is_told_until_it_does(builders: Builders) -> None:
    builders.set_quota(**{"limits.cpu": "4", "limits.memory": "8Gi"})
    builders.create(injection={"connector": {"resources": SMALL}})

    ready = builders.wait_reason("PodsRefused")
    assert "must specify limits.cpu for: buildkit-connector" in ready["message"]
    assert "Set spec.injection.connector.resources to what the namespace takes" in ready["message"]

    builders.edit(injection={"connector": {"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}}})
    builders.make_ready()


def test_what_the_administrator_set_for_all_satisfies_a_quota(builders: Builders) -> None:
    builders.set_quota(**{"limits.cpu": "4", "limits.memory": "8Gi", "limits.ephemeral-storage": "8Gi"})
    builders.create()

    builders.make_ready()
    (connector,) = builders.status()["injection"]["initContainers"]
    assert connector["resources"] == ALL_LIMITS
    (daemon,) = builders.deployment()["spec"]["template"]["spec"]["containers"]
    assert daemon["resources"] == ALL_LIMITS


def test_a_quota_that_a_daemon_alone_exceeds_is_told_and_one_that_is_used_up_beside(builders: Builders) -> None:
    builders.set_quota(**{"limits.memory": "8Gi"})
    builders.create(mode="Sidecar", resources={"limits": {"memory": "9Gi"}})

    ready = builders.wait_reason("PodsRefused")
    assert "exceeded quota: small" in ready["message"]
    assert "Set spec.resources to what the namespace takes" in ready["message"]

    builders.edit(resources={"limits": {"memory": "5Gi"}})
    ready = builders.wait_reason("Available")
    assert "A probe pod was refused, though: " in ready["message"]


@pytest.mark.parametrize(
    ("limit", "small", "enough"),
    [
        ({"type": "Container", "min": {"memory": "128Mi"}}, "64Mi", "128Mi"),
        ({"type": "Container", "max": {"memory": "1Gi"}}, "2Gi", "1Gi"),
        ({"type": "Container", "max": {"cpu": 1, "memory": "1Gi"}, "default": {"cpu": 1}}, "2Gi", "1Gi"),
        ({"type": "Pod", "max": {"memory": "1Gi"}}, "1025Mi", "512Mi"),
    ],
)
@pytest.mark.parametrize("mode", ["Shared", "Sidecar"])
def test_a_limit_range_that_refuses_what_is_added_is_told_until_it_does_not(
    builders: Builders, mode: str, limit: Manifest, small: str, enough: str
) -> None:
    builders.post("limitranges", {"metadata": {"name": "range"}, "spec": {"limits": [limit]}})

    def spec(memory: str) -> Manifest:
        amounts = {"requests": {"memory": memory}, "limits": {"memory": memory}}
        return {"injection": {"connector": {"resources": amounts}}} if mode == "Shared" else {"resources": amounts}

    builders.create(mode=mode, **spec(small))
    ready = builders.wait_reason("PodsRefused")
    assert "is refused for the container that is added to it" in ready["message"]

    builders.edit(**spec(enough))
    if mode == "Shared":
        builders.make_ready()
    builders.wait_reason("Available")


def test_limits_that_a_limit_range_gives_are_enough(builders: Builders) -> None:
    builders.set_quota(**{"limits.cpu": "4"})
    limit = {"type": "Container", "default": {"cpu": "500m"}}
    builders.post("limitranges", {"metadata": {"name": "range"}, "spec": {"limits": [limit]}})
    builders.create(mode="Sidecar", resources=SMALL)

    builders.wait_reason("Available")


# Daemons


def all_are(count: int) -> dict[str, Any]:
    return dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)


def test_a_stateful_set_whose_pods_are_refused_is_told_with_the_words(server: ControlPlane) -> None:
    builders = namespace(server, **{key("runAsNonRoot"): "deny"})
    builders.create(cache={"persistentVolumeClaim": {}}, shared={"replicas": 2})
    builders.wait("the StatefulSet", lambda: builders.get("statefulsets", "demo-buildkitd"))

    builders.play_controller(plural="statefulsets", **all_are(0))

    ready = builders.wait_reason("PodsRefused")
    assert ready["status"] == "False"
    assert "The API server refuses the daemon's pods: " in ready["message"]
    assert "Pods here need: runAsNonRoot." in ready["message"]

    builders.play_controller(plural="statefulsets", **all_are(1))
    builders.wait(
        "one serves", lambda: "1 of 2 daemons ready. The API server refuses" in builders.condition()["message"]
    )
    builders.make_ready(plural="statefulsets")
