"""Builders that use another namespace's daemons: the handshake, what they get, and what nobody gets past it."""

import json
import subprocess
import uuid
from datetime import timedelta
from typing import Any, Final

import pytest
from cryptography import x509

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.conftest import StartOperator

CONNECTION: Final = "team-connection"
USER: Final = "developer"


@pytest.fixture
def consumer(builders: Builders) -> Builders:
    """Return a namespace beside the provider's, served by the same operator, in which a user has edit rights."""
    return another_namespace(builders.control_plane)


def another_namespace(control_plane: ControlPlane) -> Builders:
    name = f"team-{uuid.uuid4().hex[:8]}"
    manifest = {"metadata": {"name": name, "labels": {"team": name}}}
    control_plane.request("POST", "/api/v1/namespaces", manifest)
    return Builders(control_plane, name)


def provide(provider: Builders, **shared: Any) -> None:
    provider.create(shared=shared)
    provider.make_ready()


def borrow(consumer: Builders, provider: Builders, name: str = "demo") -> Manifest:
    return consumer.create("team", shared={"from": {"namespace": provider.namespace, "name": name}})


def names(*consumers: Builders) -> Manifest:
    return {"names": [consumer.namespace for consumer in consumers]}


def certificate(consumer: Builders, secret: str = CONNECTION) -> x509.Certificate:
    return x509.load_pem_x509_certificate(consumer.secret(secret)["tls.crt"].encode())


def stalled(consumer: Builders, reason: str) -> str:
    ready = consumer.wait_reason(reason, "team")
    assert ready["status"] == "False"
    assert consumer.condition("Stalled", "team")["message"] == ready["message"]
    return str(ready["message"])


# The handshake


def test_a_consumer_gets_the_address_and_a_short_certificate_of_its_own(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    borrow(consumer, builders)

    ready = consumer.wait_reason("Available", "team")
    assert ready["message"] == f"Builds run on builder demo of namespace {builders.namespace}, which is ready."
    connection, providers = consumer.secret(CONNECTION), builders.secret("demo-connection")
    assert connection["BUILDKIT_HOST"] == f"tcp://demo-buildkitd.{builders.namespace}.svc:1234"
    assert connection["ca.crt"] == providers["ca.crt"]
    assert connection["tls.key"] != providers["tls.key"]
    issued = certificate(consumer)
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(connection["ca.crt"].encode()))
    life = issued.not_valid_after_utc - issued.not_valid_before_utc
    assert timedelta(hours=24) <= life <= timedelta(hours=24, minutes=5, seconds=1)
    assert f"team.{consumer.namespace}" in issued.subject.rfc4514_string()


def test_a_consumer_has_no_daemon_and_no_service(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    borrow(consumer, builders)
    consumer.wait_reason("Available", "team")

    assert {child.split("/")[0] for child in consumer.children()} <= {"configmaps", "secrets"}
    assert [child for child in consumer.children() if child.startswith("secrets/")] == [f"secrets/{CONNECTION}"]
    status = consumer.status("team")
    assert status["endpoint"] == f"tcp://demo-buildkitd.{builders.namespace}.svc:1234"
    assert status["connectionSecretName"] == CONNECTION
    assert status["certificateNotAfterTime"]


def test_a_consumer_hears_at_once_how_its_provider_is(builders: Builders, consumer: Builders) -> None:
    builders.create(shared={"allowedNamespaces": names(consumer)})
    builders.wait_for_deployment()
    borrow(consumer, builders)

    message = consumer.wait_reason("ProviderNotReady", "team")["message"]
    assert message.startswith(f"Builds run on builder demo of namespace {builders.namespace}, which is not ready")
    assert consumer.condition("Reconciling", "team")

    builders.make_ready()
    consumer.wait("its provider's readiness", lambda: consumer.wait_reason("Available", "team"), seconds=5)

    builders.play_controller(readyReplicas=0, availableReplicas=0)
    consumer.wait_reason("ProviderNotReady", "team")
    # Of the provider's words only the reason is for others.
    assert "daemon" not in consumer.condition("Ready", "team")["message"]


def test_a_consumer_may_come_before_its_provider(builders: Builders, consumer: Builders) -> None:
    borrow(consumer, builders)
    assert "there is no such builder" in stalled(consumer, "NotAdmitted")

    provide(builders, allowedNamespaces=names(consumer))
    consumer.wait_reason("Available", "team")


def test_labels_admit_a_namespace(builders: Builders, consumer: Builders) -> None:
    selector = {"matchExpressions": [{"key": "team", "operator": "In", "values": [consumer.namespace, "other"]}]}
    provide(builders, allowedNamespaces={"selector": selector})
    borrow(consumer, builders)

    consumer.wait_reason("Available", "team")


def test_a_new_address_reaches_the_consumer(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    borrow(consumer, builders)
    consumer.wait_reason("Available", "team")

    builders.edit(shared={"port": 4321})
    consumer.wait("the new port", lambda: consumer.secret(CONNECTION)["BUILDKIT_HOST"].endswith(":4321"), seconds=5)


def test_a_new_authority_reaches_the_consumer(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    borrow(consumer, builders)
    consumer.wait_reason("Available", "team")
    before = consumer.secret(CONNECTION)

    # A change of the provider has it looked at. Secrets are remembered for a minute at most; one whose time ends within
    # a reconcile is written again as it was, so it is deleted again and again.
    def renewed() -> bool:
        if builders.get("secrets", "demo-buildkitd-ca") is not None:
            builders.delete("secrets", "demo-buildkitd-ca")
        return poke(builders) and consumer.secret(CONNECTION) != before

    consumer.wait("a certificate of it", renewed, seconds=200)
    after = consumer.secret(CONNECTION)
    assert after["ca.crt"] == builders.secret("demo-connection")["ca.crt"]
    certificate(consumer).verify_directly_issued_by(x509.load_pem_x509_certificate(after["ca.crt"].encode()))


def poke(builders: Builders) -> bool:
    """Have a builder looked at, by a change of a child."""
    builders.patch("services", "demo-buildkitd", {"metadata": {"annotations": {"poke": uuid.uuid4().hex}}})
    return True


def test_what_a_builder_had_of_its_own_goes_when_it_becomes_a_consumer(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    consumer.create("team")
    consumer.make_ready("team")

    consumer.edit("team", shared={"from": {"namespace": builders.namespace, "name": "demo"}})

    consumer.wait_reason("Available", "team")
    consumer.wait("no daemon", lambda: not any("deployments/" in child for child in consumer.children()))
    assert consumer.get("secrets", "team-buildkitd-ca") is None
    assert consumer.secret(CONNECTION)["ca.crt"] == builders.secret("demo-connection")["ca.crt"]


# Refusals


def test_who_is_not_admitted_gets_nothing(builders: Builders, consumer: Builders) -> None:
    provide(builders)
    borrow(consumer, builders)

    message = stalled(consumer, "NotAdmitted")
    assert f"has no daemons for namespace {consumer.namespace}" in message
    assert consumer.children() == {}


def test_who_is_taken_off_the_list_keeps_what_it_had_and_gets_no_more(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    borrow(consumer, builders)
    consumer.wait_reason("Available", "team")
    before = consumer.get("secrets", CONNECTION)

    builders.edit(shared={"allowedNamespaces": None})

    assert "end within a day" in stalled(consumer, "NotAdmitted")
    assert consumer.get("secrets", CONNECTION) == before
    # A certificate that is gone is not made anew.
    consumer.delete("secrets", CONNECTION)
    consumer.edit("team", shared={"from": {"namespace": builders.namespace, "name": "demo"}})
    stalled(consumer, "NotAdmitted")
    assert consumer.get("secrets", CONNECTION) is None

    builders.edit(shared={"allowedNamespaces": names(consumer)})
    consumer.wait_reason("Available", "team")


def test_a_namespace_that_loses_its_label_loses_its_admission(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces={"selector": {"matchLabels": {"team": consumer.namespace}}})
    borrow(consumer, builders)
    consumer.wait_reason("Available", "team")

    consumer.kubectl("label", "namespace", consumer.namespace, "team-")

    # Labels are looked at once a minute.
    consumer.wait("it", lambda: consumer.condition("Ready", "team")["reason"] == "NotAdmitted", seconds=90)


def test_a_deleted_provider_is_missed(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    borrow(consumer, builders)
    consumer.wait_reason("Available", "team")

    builders.delete("buildkitbuilders", "demo")

    assert "there is no such builder" in stalled(consumer, "NotAdmitted")


def test_a_sidecar_builder_provides_nothing(builders: Builders, consumer: Builders) -> None:
    builders.create(mode="Sidecar")
    borrow(consumer, builders)

    assert "it has no daemons of its own" in stalled(consumer, "NotAdmitted")


def test_a_consumer_is_no_provider(builders: Builders, consumer: Builders) -> None:
    provide(builders, allowedNamespaces=names(consumer))
    borrow(consumer, builders)
    consumer.wait_reason("Available", "team")
    third = another_namespace(builders.control_plane)
    borrow(third, consumer, "team")

    stalled(third, "NotAdmitted")
    assert third.children() == {}


def test_a_builder_that_names_itself_is_told_so(consumer: Builders) -> None:
    borrow(consumer, consumer, "team")

    stalled(consumer, "NotAdmitted")


def test_the_own_namespace_is_no_exception(builders: Builders) -> None:
    provide(builders)
    borrow(builders, builders)

    stalled(builders, "NotAdmitted")


def test_a_namespace_that_the_operator_does_not_watch_has_no_providers(
    start_control_plane: Any, start_operator: StartOperator
) -> None:
    control_plane = start_control_plane()
    provider, consumer = another_namespace(control_plane), another_namespace(control_plane)
    start_operator(control_plane, watch_namespaces=consumer.namespace)
    provider.create(shared={"allowedNamespaces": names(consumer)})
    borrow(consumer, provider)

    assert "does not watch that namespace" in stalled(consumer, "ProviderNotWatched")


# What a user of the consuming namespace may try


@pytest.fixture
def user(consumer: Builders) -> Builders:
    """Let a user edit the consuming namespace, builders and Secrets included."""
    rules = [
        {"apiGroups": ["buildkit-operator.dev"], "resources": ["buildkitbuilders"], "verbs": ["*"]},
        {"apiGroups": ["", "apps"], "resources": ["secrets", "configmaps", "pods", "deployments"], "verbs": ["*"]},
    ]
    role = {"metadata": {"name": "edit"}, "rules": rules}
    binding = {
        "metadata": {"name": "edit"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }
    group = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{consumer.namespace}"
    consumer.control_plane.request("POST", f"{group}/roles", role)
    consumer.control_plane.request("POST", f"{group}/rolebindings", binding)
    return consumer


def attempt(world: Builders, *arguments: str, text: str | None = None) -> str:
    """Run kubectl as the user and return what it prints. Raises CalledProcessError when that is refused."""
    return world.control_plane.kubectl(f"--as={USER}", f"--namespace={world.namespace}", *arguments, text=text)


def apply_as_user(world: Builders, manifest: Manifest) -> None:
    attempt(world, "apply", "--filename=-", text=json.dumps(manifest))


def consumer_manifest(provider: Builders, name: str = "team") -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name},
        "spec": {"mode": "Shared", "shared": {"from": {"namespace": provider.namespace, "name": "demo"}}},
    }


@pytest.mark.parametrize("what", ["secrets", "configmaps", "bkb", "deployments"])
def test_a_user_sees_nothing_of_the_providers_namespace(builders: Builders, user: Builders, what: str) -> None:
    provide(builders, allowedNamespaces=names(user))
    apply_as_user(user, consumer_manifest(builders))
    user.wait_reason("Available", "team")

    with pytest.raises(subprocess.CalledProcessError):
        attempt(builders, "get", what)


def test_the_authoritys_key_does_not_leave_its_namespace(builders: Builders, user: Builders) -> None:
    provide(builders, allowedNamespaces=names(user))
    apply_as_user(user, consumer_manifest(builders))
    user.wait_reason("Available", "team")

    seen = attempt(user, "get", "secrets,configmaps,bkb", "--output=json")
    for secret, key in (
        ("demo-buildkitd-ca", "tls.key"),
        ("demo-buildkitd-tls", "tls.key"),
        ("demo-connection", "tls.key"),
    ):
        found = builders.get("secrets", secret)
        assert found is not None
        assert found["data"][key] not in seen


def test_a_user_cannot_forge_a_status(builders: Builders, user: Builders) -> None:
    provide(builders)
    apply_as_user(user, consumer_manifest(builders))
    stalled(user, "NotAdmitted")

    forged = {"status": {"conditions": [], "endpoint": "tcp://elsewhere:1234"}}
    with pytest.raises(subprocess.CalledProcessError):
        attempt(user, "patch", "bkb", "team", "--subresource=status", "--type=merge", f"--patch={json.dumps(forged)}")
    # Written all the same, by somebody with more rights, it opens nothing.
    user.patch("buildkitbuilders", "team", forged, "status")
    user.wait("the true status", lambda: user.condition("Ready", "team").get("reason") == "NotAdmitted")
    assert user.children() == {}


def test_an_owner_of_another_namespace_opens_nothing(builders: Builders, user: Builders) -> None:
    """A Secret that says it is the provider's, where the operator keeps the consumer's, is neither read nor filled."""
    provide(builders, allowedNamespaces=names(user))
    uid = (builders.get("buildkitbuilders", "demo") or {})["metadata"]["uid"]
    owner = {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "name": "demo",
        "uid": uid,
        "controller": True,
    }
    planted = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CONNECTION, "ownerReferences": [owner]}}
    apply_as_user(user, planted)
    apply_as_user(user, consumer_manifest(builders))

    user.wait_reason("NameConflict", "team")
    assert "data" not in (user.get("secrets", CONNECTION) or {})
    assert (builders.get("buildkitbuilders", "demo") or {})["metadata"]["uid"] == uid


def test_the_providers_name_and_its_secrets_names_open_nothing(builders: Builders, user: Builders) -> None:
    """A builder named like the provider, not admitted, beside Secrets named like the provider's."""
    provide(builders)
    for name in ("demo-buildkitd-ca", "demo-buildkitd-tls"):
        apply_as_user(user, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}})
    apply_as_user(user, consumer_manifest(builders, "demo"))

    ready = user.wait_reason("NotAdmitted", "demo")
    assert ready["status"] == "False"
    assert user.children() == {}


@pytest.mark.usefixtures("user")
def test_a_user_admits_nobody_to_a_provider(builders: Builders) -> None:
    provide(builders)

    with pytest.raises(subprocess.CalledProcessError):
        attempt(
            builders, "patch", "bkb", "demo", "--type=merge", '--patch={"spec":{"shared":{"allowedNamespaces":{}}}}'
        )


def test_a_consumer_may_set_nothing_of_the_daemons(builders: Builders, user: Builders) -> None:
    manifest = consumer_manifest(builders)
    manifest["spec"]["shared"]["allowedNamespaces"] = {"names": ["everybody"]}

    with pytest.raises(subprocess.CalledProcessError):
        apply_as_user(user, manifest)
