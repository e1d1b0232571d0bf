"""The connector to shared daemons: what running pods have of it never changes with the number of daemons."""

import re
from typing import Any

import pytest

from buildkit_operator.desired.connector import Upstream, config_map
from buildkit_operator.desired.isolation import Level, PodSecurity
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import injection_of, make_builder

CLAIMS: Manifest = {"cache": {"persistentVolumeClaim": {}}}


def configuration(**spec: Any) -> str:
    builder = make_builder(**spec)
    text: str = config_map(builder, Upstream.of(builder, Platform()))["data"]["haproxy.cfg"]
    return text


def servers(text: str) -> list[str]:
    return re.findall(r"^  (server\S* \S+ \S+)", text, re.MULTILINE)


@pytest.mark.parametrize("spec", [{}, CLAIMS])
def test_what_a_pod_gets_is_the_same_for_any_number_of_daemons(spec: Manifest) -> None:
    assert injection_of(make_builder(shared={"replicas": 0}, **spec)) == injection_of(
        make_builder(shared={"replicas": 40}, **spec)
    )


@pytest.mark.parametrize(("replicas", "room"), [(0, 2), (1, 2), (2, 2), (3, 4), (4, 4), (5, 8)])
def test_few_steps_of_scaling_have_a_connector_reload(replicas: int, room: int) -> None:
    text = configuration(shared={"replicas": replicas}, **CLAIMS)

    assert len(servers(text)) == room + 1
    assert text == configuration(shared={"replicas": room}, **CLAIMS)


def test_who_comes_too_late_to_a_place_is_sent_to_any_daemon_again_and_not_into_the_queue_of_one() -> None:
    text = configuration(shared={"maxBuilds": 2, "queueTimeoutSeconds": 600})

    *_, first, last = servers(text)
    assert first == "server any demo-buildkitd-headless.ci.svc.cluster.local:1233"
    assert last == "server service demo-buildkitd.ci.svc.cluster.local:1234"
    assert re.findall(r"  server (\S+) .* backup ", text) == ["any", "service"]
    assert "  retries 600\n" in text


def test_daemons_with_claims_have_their_share_by_ordinal() -> None:
    text = configuration(shared={"replicas": 2}, **CLAIMS)

    host = "demo-buildkitd-headless.ci.svc.cluster.local:1234"
    assert servers(text) == [
        f"server demo-buildkitd-0 demo-buildkitd-0.{host}",
        f"server demo-buildkitd-1 demo-buildkitd-1.{host}",
        "server service demo-buildkitd.ci.svc.cluster.local:1234",
    ]
    assert re.findall(r"id (\d+) hash-key id ", text) == ["1", "2"]


@pytest.mark.parametrize(("replicas", "slots"), [(0, 16), (8, 16), (9, 32), (16, 32)])
def test_daemons_without_names_have_room_while_they_are_rolled(replicas: int, slots: int) -> None:
    text = configuration(shared={"replicas": replicas})

    assert servers(text)[0] == f"server-template daemon {slots}"


def test_without_daemons_those_to_come_are_looked_for_and_the_service_tried_over_and_over() -> None:
    text = configuration(shared={"replicas": 0}, **CLAIMS)

    assert servers(text)[-1] == "server service demo-buildkitd.ci.svc.cluster.local:1234"
    # greet.lua has as long for its waiting.
    patience, wait = (re.search(rf"{word} (\d+)", text) for word in ("inspect-delay", "WAIT_SECONDS"))
    assert patience is not None
    assert wait is not None
    assert int(patience[1]) > int(wait[1]) >= 600


def test_tls_is_used_where_the_daemon_does() -> None:
    assert "ssl alpn h2 verify required" in configuration()
    assert "ssl" not in configuration(shared={"tls": {"mode": "Disabled"}})


def test_a_builder_of_another_namespace_can_be_the_upstream() -> None:
    consumer = make_builder("mine", shared={"from": {"namespace": "ci", "name": "demo"}})

    made = config_map(consumer, Upstream.of(make_builder(), Platform()))

    assert made["metadata"]["name"] == "mine-connector"
    assert "verifyhost demo-buildkitd.ci.svc " in made["data"]["haproxy.cfg"]


def test_the_certificate_is_mounted_in_the_connector_alone() -> None:
    injection = injection_of(make_builder())

    (volume,) = [volume for volume in injection["volumes"] if "secret" in volume]
    assert volume["secret"]["secretName"] == "demo-connection"
    assert volume["name"] not in {mount["name"] for mount in injection["volumeMounts"]}
    (container,) = injection["initContainers"]
    assert volume["name"] in {mount["name"] for mount in container["volumeMounts"]}


def test_the_isolation_of_the_daemon_is_none_of_the_pods() -> None:
    builder = make_builder(isolation="UserNamespace")

    assert "hostUsers" not in injection_of(builder, PodSecurity(Level.BASELINE))


def test_each_architecture_has_a_socket_and_daemons_of_its_own() -> None:
    text = configuration(shared={"architectures": ["arm64", "amd64"]}, **CLAIMS)

    assert re.findall(r"bind unix@/run/buildkit/(\S+)", text) == ["arm64.sock", "amd64.sock", "buildkitd.sock"]
    assert re.findall(r"setenv SERVICE\S* \S+", text) == [
        "setenv SERVICE_arm64 demo-buildkitd-arm64.ci.svc:1234",
        "setenv SERVICE_amd64 demo-buildkitd-amd64.ci.svc:1234",
    ]
    for architecture in ("arm64", "amd64"):
        (backend,) = re.findall(rf"^backend {architecture}\n.*?^  server service \S+", text, re.DOTALL | re.MULTILINE)
        name = f"demo-buildkitd-{architecture}"
        assert servers(backend) == [
            f"server {name}-0 {name}-0.{name}-headless.ci.svc.cluster.local:1234",
            f"server {name}-1 {name}-1.{name}-headless.ci.svc.cluster.local:1234",
            f"server service {name}.ci.svc.cluster.local:1234",
        ]


def test_an_architecture_changes_nothing_of_what_a_pod_gets() -> None:
    assert injection_of(make_builder(shared={"architectures": ["arm64"]})) == injection_of(make_builder())


def test_a_consumer_has_its_providers_architectures() -> None:
    consumer = make_builder("mine", shared={"from": {"namespace": "ci", "name": "demo"}})
    provider = make_builder(shared={"architectures": ["arm64", "amd64"]})

    data = config_map(consumer, Upstream.of(provider, Platform()))["data"]

    assert data["architectures"] == "arm64,amd64\n"
    assert "architectures" not in config_map(consumer, Upstream.of(make_builder(), Platform()))["data"]
