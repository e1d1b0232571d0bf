"""What a spec asks for and does not get is told in the message of a builder that is ready otherwise."""

from typing import Any

import pytest

from buildkit_operator.controller.child_kinds import keep_pod_state
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.ineffective import remarks
from tests.unit.make import make_builder

PROVIDER = {"from": {"namespace": "builds", "name": "demo"}}


def said(*, runners: tuple[Manifest, ...] = (), picks_pods: bool | None = None, **spec: Any) -> list[str]:
    return list(remarks(make_builder(**spec), runners, picks_pods=picks_pods))


def registries(*entries: Manifest) -> list[str]:
    return said(daemon={"registries": list(entries)})


def runner(name: str, created: str, **annotations: str) -> Manifest:
    noted = {f"buildkit-operator.dev/{key}": value for key, value in annotations.items()}
    return keep_pod_state({"metadata": {"name": name, "creationTimestamp": created, "annotations": noted}})


# Registries


def test_an_entry_that_no_image_name_can_ask_for_is_told() -> None:
    (told,) = registries({"host": "mirror", "plainHTTP": True})

    assert told.startswith("spec.daemon.registries: no image name begins with mirror, which needs a dot or a port")


def test_an_entry_that_says_nothing_is_told() -> None:
    assert registries({"host": "registry.example.com"}) == [
        "spec.daemon.registries says nothing of registry.example.com, which is reached the same without an entry."
    ]


@pytest.mark.parametrize("host", ["registry.example.com", "registry:5000", "localhost", "[::1]"])
def test_a_host_that_can_stand_in_an_image_name_is_no_matter(host: str) -> None:
    assert registries({"host": host, "plainHTTP": True}) == []


@pytest.mark.parametrize("transport", [{}, {"plainHTTP": True}])
def test_nor_is_one_that_is_a_mirror(transport: Manifest) -> None:
    assert registries({"host": "docker.io", "mirrors": ["mirror/hub"]}, {"host": "mirror", **transport}) == []


# Variables


@pytest.mark.parametrize(
    "name",
    ["BUILDKIT_PROGRESS", "BUILDKIT_STEP_LOG_MAXSIZE", "BUILDX_BUILDER", "DOCKER_CONFIG", "GIT_SSL_CAINFO", "NO_COLOR"],
)
def test_a_variable_that_the_daemon_does_not_read_is_told(name: str) -> None:
    assert said(env=[{"name": "A", "value": "x"}, {"name": name, "value": "x"}]) == [
        f"spec.env: the daemon does not read {name}: set it in the job, or give it to the build as --build-arg."
    ]


@pytest.mark.parametrize(
    "name", ["PIP_INDEX_URL", "npm_config_registry", "GOPROXY", "JAVA_TOOL_OPTIONS", "NODE_OPTIONS"]
)
def test_a_variable_that_is_meant_for_build_steps_is_told(name: str) -> None:
    (told,) = said(env=[{"name": name, "value": "x"}])

    assert told.startswith(f"spec.env: build steps do not see {name}, as they get none of the daemon's variables")


@pytest.mark.parametrize(
    "name",
    [
        "GOMAXPROCS",
        "GODEBUG",
        "BUILDKIT_STEP_LOG_MAX_SIZE",
        "BUILDKIT_DEBUG_EXEC_OUTPUT",
        "BUILDKIT_AZURE_STORAGE_CONTAINER",
        "AWS_REGION",
        "SSL_CERT_DIR",
        "HTTPS_PROXY",
        "OTEL_TRACES_EXPORTER",
    ],
)
def test_one_that_it_reads_is_no_matter(name: str) -> None:
    assert said(env=[{"name": name, "value": "1"}]) == []


# Fields beside daemon.toml, which wins


@pytest.mark.parametrize(
    ("fields", "toml", "keys"),
    [
        ({"maxParallelism": 4}, "worker.oci.max-parallelism = 8", "worker.oci.max-parallelism"),
        ({"logLevel": "debug"}, 'log.level = "warn"', "log.level"),
        (
            {"garbageCollection": {"keepSeconds": 600}},
            '[[worker.oci.gcpolicy]]\nkeepDuration = "48h"',
            "worker.oci.gcpolicy",
        ),
        ({"dns": {"nameservers": ["10.0.0.10"]}}, 'dns.nameservers = ["10.0.0.11"]', "dns.nameservers"),
        (
            {"registries": [{"host": "docker.io", "mirrors": ["a.example.com"]}]},
            '[registry."docker.io"]\nmirrors = ["b.example.com"]',
            'registry."docker.io".mirrors',
        ),
    ],
)
def test_a_field_that_the_toml_overrides_is_told(fields: Manifest, toml: str, keys: str) -> None:
    assert said(daemon={**fields, "toml": toml}) == [
        f"spec.daemon.toml sets {keys}, so what fields of spec.daemon say of the same does nothing: remove one of them."
    ]


@pytest.mark.parametrize(
    ("fields", "toml"),
    [
        ({}, 'log.level = "warn"\ninsecure-entitlements = []\n[[worker.oci.gcpolicy]]\nall = true'),
        ({"maxParallelism": 4}, "worker.oci.max-parallelism = 4"),
        ({"dns": {"options": ["ndots:2"]}}, 'dns.nameservers = ["10.0.0.11"]'),
        ({"maxParallelism": 4}, "this is for another reason"),
    ],
)
def test_one_that_nothing_is_said_of_there_is_no_matter(fields: Manifest, toml: str) -> None:
    assert said(daemon={**fields, "toml": toml}) == []


# Which pods, and what of them


@pytest.mark.parametrize("spec", [{"mode": "Sidecar"}, {}, {"shared": PROVIDER}])
def test_a_selector_that_picks_nothing_is_told_with_the_command(spec: Manifest) -> None:
    injection = {"podSelector": {"matchLabels": {"runner": "yes"}}}

    (told,) = said(picks_pods=False, injection=injection, **spec)
    assert told.endswith("kubectl label namespace ci buildkit-operator.dev/injection=enabled")
    assert said(picks_pods=True, injection=injection, **spec) == []
    assert said(picks_pods=None, injection=injection, **spec) == []


def test_a_pod_of_which_no_container_is_named_is_told() -> None:
    unserved = runner("job-1", "2026-11-24T11:00:00Z", containers="")

    assert said(mode="Sidecar", runners=(unserved,), injection={"containers": ["runner", "job"]}) == [
        "No container of pod job-1 can use the builder, as spec.injection.containers names none of them: runner, job."
    ]


def test_one_that_a_served_pod_has_followed_is_no_matter() -> None:
    pods = (
        runner("job-1", "2026-11-24T11:00:00Z", containers=""),
        runner("job-2", "2026-11-24T11:05:00Z", containers="build"),
    )

    assert said(mode="Sidecar", runners=pods, injection={"containers": ["build"]}) == []


# The network


POD: Manifest = {"podSelector": {}}
NAMESPACE: Manifest = {"namespaceSelector": {}}
ADDRESSES: Manifest = {"ipBlock": {"cidr": "10.0.0.0/8"}}


@pytest.mark.parametrize(("peer", "is_told"), [(POD, True), (NAMESPACE, False), (ADDRESSES, False)])
def test_a_policy_that_keeps_admitted_namespaces_out_is_told(peer: Manifest, *, is_told: bool) -> None:
    told = said(shared={"allowedNamespaces": {"names": ["team"]}, "networkPolicy": {"from": [peer]}})

    assert bool(told) is is_told
    assert all("add a peer with a namespaceSelector" in sentence for sentence in told)


@pytest.mark.parametrize(("peer", "is_told"), [(POD, True), (NAMESPACE, True), (ADDRESSES, False)])
def test_a_policy_that_keeps_a_load_balancers_clients_out_is_told(peer: Manifest, *, is_told: bool) -> None:
    told = said(shared={"service": {"type": "LoadBalancer"}, "networkPolicy": {"from": [peer]}})

    assert bool(told) is is_told
    assert all("add a peer with an ipBlock" in sentence for sentence in told)


def test_an_annotation_that_no_kubelet_reads_any_more_is_told() -> None:
    old = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined", "example.com/note": "x"}

    (told,) = said(shared={"pod": {"annotations": old}})
    assert told.startswith("spec.shared.pod.annotations: seccomp.security.alpha.kubernetes.io/pod does nothing")


BALANCER = "service.beta.kubernetes.io/aws-load-balancer-type"


@pytest.mark.parametrize(("kind", "is_told"), [("ClusterIP", True), ("NodePort", True), ("LoadBalancer", False)])
def test_annotations_for_a_load_balancer_that_is_not_there_are_told(kind: str, *, is_told: bool) -> None:
    told = said(shared={"service": {"type": kind, "annotations": {BALANCER: "nlb", "example.com/note": "x"}}})

    assert told == (
        [f"spec.shared.service.annotations: {BALANCER} does nothing, as the type is {kind} and not LoadBalancer."]
        if is_told
        else []
    )


# The image


@pytest.mark.parametrize("tag", ["v0.11.6-rootless", "0.9.3", "v0.11.6-rootless@sha256:aa"])
def test_an_image_that_cannot_tell_its_builds_is_told(tag: str) -> None:
    (told,) = said(image=f"registry.example.com:5000/buildkit:{tag}")

    assert "is older than BuildKit 0.12" in told


@pytest.mark.parametrize("image", ["moby/buildkit:v0.12.0-rootless", "buildkit:v0.110", "a:5000/b", "b:latest", None])
def test_any_other_image_is_no_matter(image: str | None) -> None:
    assert said(image=image) == []


def test_an_ordinary_builder_has_nothing_to_tell() -> None:
    assert said() == []
    assert said(mode="Sidecar") == []
