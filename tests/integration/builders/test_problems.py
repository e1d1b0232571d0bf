"""What only a person can mend: it is named in a sentence, nothing is broken by it, and mending it is enough."""

import time

import pytest

from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders, owned_by_workload
from tests.integration.builders.builder_operator import BuilderOperator


def registry_with_ca(secret: str) -> Manifest:
    return {"registries": [{"host": "registry.example.com", "caSecretName": secret}]}


def stalled(builders: Builders, reason: str) -> str:
    """Wait for a problem and return its sentence, which Stalled repeats, without the page that it names."""
    ready = builders.wait_reason(reason)
    assert ready["status"] == "False"
    found = builders.condition("Stalled")
    assert (found["status"], found["reason"], found["message"]) == ("True", reason, ready["message"])
    message, see, page = ready["message"].partition(" See https://docs.unreleased.invalid/")
    assert see
    assert page == f"reasons/{reason}/."
    return str(message)


# The spec


def test_an_unknown_toml_key_is_named_and_the_children_stay(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    before = builders.versions()

    builders.edit(image="example.com/other:1", daemon={"toml": "[worker.oci]\nmax-paralelism = 4"})

    assert "worker.oci.max-paralelism" in stalled(builders, "InvalidToml")
    assert builders.versions() == before
    assert builders.status()["endpoint"]

    builders.edit(daemon={"toml": "[worker.oci]\nmax-parallelism = 4"})
    builders.make_ready()
    assert builders.condition("Stalled") == {}
    assert builders.versions() != before


def test_bad_toml_of_a_new_builder_makes_nothing(builders: Builders) -> None:
    builders.create(daemon={"toml": "no toml"})

    assert "spec.daemon.toml is not valid TOML" in stalled(builders, "InvalidToml")
    assert builders.children() == {}


def test_registries_that_differ_over_one_mirror_are_named_and_an_entry_for_it_is_enough(builders: Builders) -> None:
    mirrors = ["mirror.example.com"]
    entries: list[Manifest] = [
        {"host": "a.example.com", "mirrors": mirrors, "plainHTTP": True},
        {"host": "b.example.com", "mirrors": mirrors},
    ]
    builders.create(daemon={"registries": entries})

    message = stalled(builders, "InvalidSpec")
    assert "a.example.com and b.example.com both have the mirror mirror.example.com" in message
    assert builders.children() == {}

    builders.edit(daemon={"registries": [*entries, {"host": "mirror.example.com"}]})
    builders.make_ready()


def test_a_spec_that_the_definition_lets_through_is_refused_with_its_place(builders: Builders) -> None:
    builders.create(resources={"limits": {"cpu": "1e100"}})

    message = stalled(builders, "InvalidSpec")
    assert message == "spec.resources.limits.cpu: '1e100' is out of range."
    assert builders.children() == {}

    builders.edit(resources={"limits": {"cpu": "1"}})
    builders.make_ready()


def test_what_the_api_server_refuses_is_named_with_its_words(builders: Builders) -> None:
    builders.set_quota(services="0")
    builders.create()

    message = stalled(builders, "Rejected")
    assert message.startswith("The API server refuses Service demo")
    assert "exceeded quota: small" in message

    builders.delete("resourcequotas", "small")
    builders.edit(shared={"drainTimeoutSeconds": 60})
    builders.make_ready()


def test_a_problem_at_rest_is_written_once(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    # The certificate would have to be made anew, and cannot be stored.
    builders.edit(daemon={"toml": "zzz = 1"}, shared={"tls": {"dnsNames": ["builds.example.com"]}})
    stalled(builders, "InvalidToml")
    mark = builders.control_plane.mark()

    for number in range(3):
        time.sleep(1)  # a certificate's times are in seconds
        builders.patch("services", "demo-buildkitd", {"metadata": {"labels": {"touched": str(number)}}})

    assert builders.writes(mark) == []


# What the spec refers to


def test_a_missing_secret_is_named_and_creating_it_is_enough(builders: Builders) -> None:
    builders.create(daemon=registry_with_ca("company-ca"))

    message = stalled(builders, "SecretNotFound")
    assert message == (
        "Secret company-ca, which spec.daemon.registries names as caSecretName, is missing in namespace "
        f"{builders.namespace}. Create it with the registry's CA certificates, PEM, under the key ca.crt."
    )
    assert builders.children() == {}

    builders.create_secret("company-ca")
    builders.make_ready()


@pytest.mark.parametrize(
    ("content", "lack"),
    [
        ({"ca.pem": "certificates"}, "has no key ca.crt"),
        ({}, "has no key ca.crt"),
        # BuildKit passes over what is no certificate.
        ({"ca.crt": "MIIB"}, "has no certificate in PEM under the key ca.crt"),
    ],
    ids=["another key", "empty", "no certificate"],
)
def test_a_secret_without_an_authority_is_named(builders: Builders, content: dict[str, str], lack: str) -> None:
    builders.post("secrets", {"metadata": {"name": "company-ca"}, "stringData": content})
    builders.create(daemon=registry_with_ca("company-ca"))

    assert lack in stalled(builders, "SecretNotFound")


@pytest.mark.parametrize(
    ("daemon", "reason", "said"),
    [
        (
            {"registries": [{"host": "a.example.com", "clientCertificateSecretName": "client"}]},
            "SecretNotFound",
            "Secret client, which spec.daemon.registries names as clientCertificateSecretName, is missing",
        ),
        (
            {"certificateAuthorities": [{"configMapName": "bundle", "key": "ca-bundle.crt"}]},
            "ConfigMapNotFound",
            "ConfigMap bundle, which spec.daemon.certificateAuthorities names, is missing",
        ),
        (
            {"volumes": [{"name": "aws", "mountPath": "/mnt/aws", "claimName": "aws"}]},
            "ClaimNotFound",
            "PersistentVolumeClaim aws, which spec.daemon.volumes names, is missing",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["Shared", "Sidecar"])
def test_what_the_daemon_would_wait_for_is_named(
    builders: Builders, mode: str, daemon: Manifest, reason: str, said: str
) -> None:
    builders.create(mode=mode, daemon=daemon)

    assert stalled(builders, reason).startswith(said)
    assert builders.children() == {}


@pytest.mark.parametrize("field", ["certificateAuthorities", "volumes", "registries"])
def test_no_builder_may_mount_the_keys_of_another(builders: Builders, field: str) -> None:
    builders.create("other")
    builders.make_ready("other")
    secret = {"secretName": "other-connection"}
    of_field: dict[str, Manifest] = {
        "certificateAuthorities": {**secret, "key": "tls.crt"},
        "volumes": {"name": "keys", "mountPath": "/mnt/keys", **secret},
        "registries": {"host": "a.example.com", "clientCertificateSecretName": "other-connection"},
    }

    builders.create(daemon={field: [of_field[field]]})

    assert "Secret other-connection" in (message := stalled(builders, "InvalidSpec"))
    assert "holds keys of a builder, which builds could read" in message


def test_a_missing_secret_leaves_the_children_of_before(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    before = builders.versions()

    builders.edit(daemon=registry_with_ca("company-ca"), image="example.com/other:1")

    stalled(builders, "SecretNotFound")
    assert builders.versions() == before


# Objects of others


FOREIGN: dict[str, tuple[str, Manifest]] = {
    "services": ("Service", {"spec": {"ports": [{"port": 80}]}}),
    "configmaps": ("ConfigMap", {"data": {"theirs": "yes"}}),
    "serviceaccounts": ("ServiceAccount", {}),
}


@pytest.mark.parametrize("plural", FOREIGN)
def test_a_foreign_object_is_left_alone_and_named(builders: Builders, plural: str) -> None:
    kind, content = FOREIGN[plural]
    foreign = builders.post(plural, {"metadata": {"name": "demo-buildkitd"}, **content})
    builders.create()

    assert f"{kind} demo-buildkitd exists already and belongs to nobody" in stalled(builders, "NameConflict")
    after = builders.get(plural, "demo-buildkitd")
    assert after is not None
    assert after["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]
    assert builders.get("deployments", "demo-buildkitd") is None


def test_a_builder_is_well_when_the_foreign_object_is_gone(builders: Builders) -> None:
    builders.post("services", {"metadata": {"name": "demo-buildkitd"}, "spec": {"ports": [{"port": 80}]}})
    builders.create()
    stalled(builders, "NameConflict")

    builders.delete("services", "demo-buildkitd")

    builders.make_ready()


def test_a_foreign_secret_is_left_alone_and_not_read_for_certificates(builders: Builders) -> None:
    builders.create_secret("demo-connection")
    builders.create()

    assert "Secret demo-connection exists already" in stalled(builders, "NameConflict")
    assert builders.secret("demo-connection") == {"ca.crt": "-----BEGIN CERTIFICATE-----"}


def test_an_object_with_our_label_and_another_owner_is_foreign_all_the_same(builders: Builders) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "1-2-3", "controller": True}
    builders.post(
        "services",
        {
            "metadata": {
                "name": "demo-buildkitd",
                "labels": {"buildkit-operator.dev/owner": "demo"},
                "ownerReferences": [owner],
            },
            "spec": {"ports": [{"port": 80}]},
        },
    )
    builders.create()

    assert "belongs to ConfigMap theirs, so it was left alone" in stalled(builders, "NameConflict")


def test_a_foreign_object_with_our_label_is_never_pruned(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    builders.post("configmaps", {"metadata": {"name": "theirs", "labels": {"buildkit-operator.dev/owner": "demo"}}})

    builders.edit(mode="Sidecar")
    left = {"configmaps/demo-buildkitd-sidecar", "configmaps/theirs"}
    builders.wait("what it needs no more is gone", lambda: set(builders.children()) == left)


def test_objects_of_a_deleted_builder_of_the_same_name_are_waited_for(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    left_over = builders.versions()
    builders.delete("buildkitbuilders", "demo")

    builders.create()

    ready = builders.wait_reason("Progressing")
    assert "belongs to a deleted builder of the same name" in ready["message"]
    assert builders.versions() == left_over

    for child in left_over:  # as garbage collection does, which this API server lacks
        builders.delete(*child.split("/"))
    builders.make_ready()


# Pods


def test_pods_that_pod_security_refuses_are_named_with_the_remedy(builders: Builders) -> None:
    builders.create()
    builders.wait_for_deployment()
    refused = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": 'pods "demo-buildkitd-7c9d-" is forbidden: violates PodSecurity "baseline:latest": seccompProfile',
    }
    builders.play_controller(replicas=0, updatedReplicas=0, readyReplicas=0, availableReplicas=0, conditions=[refused])

    message = stalled(builders, "PodSecurityDenied")
    assert f"namespace {builders.namespace} pod-security.kubernetes.io/enforce=privileged" in message

    builders.play_controller()
    builders.make_ready()
    assert builders.condition("Stalled") == {}


def test_a_pod_that_cannot_start_is_named_within_seconds(builders: Builders) -> None:
    builders.create()
    builders.wait_for_deployment()
    builders.play_controller(readyReplicas=0, availableReplicas=0)
    pod = builders.post(
        "pods",
        {
            "metadata": {
                "name": "demo-buildkitd-1",
                "labels": {"buildkit-operator.dev/owner": "demo"},
                "ownerReferences": owned_by_workload(),
            },
            "spec": {"containers": [{"name": "buildkitd", "image": "nowhere.example.com/x:1"}]},
        },
    )
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere.example.com/x:1"'}
    pod["status"]["containerStatuses"] = [
        {
            "name": "buildkitd",
            "ready": False,
            "restartCount": 0,
            "image": "nowhere.example.com/x:1",
            "imageID": "",
            "state": {"waiting": waiting},
        }
    ]
    builders.control_plane.request("PUT", builders.path("pods", "demo-buildkitd-1") + "/status", pod)

    ready = builders.wait_reason("ImagePullFailed")
    assert "Pod demo-buildkitd-1 cannot get its image" in ready["message"]
    assert builders.condition("Reconciling")["message"] == ready["message"]
    assert ("Warning", "ImagePullFailed") in builders.wait("an event", lambda: builders.events()[1:])


# Secrets


def test_no_value_of_a_secret_is_told_to_anybody(builders: Builders, operator: BuilderOperator) -> None:
    builders.create()
    builders.make_ready()
    # The next change cannot be written, and an API server's refusal may quote what was to be written.
    builders.patch("secrets", "demo-connection", {"immutable": True})
    builders.edit(shared={"port": 4321})

    message = stalled(builders, "Rejected")
    assert "The API server refuses Secret demo-connection: " in message
    events = builders.kubectl("get", "events", "--output=yaml")
    told = "\n".join([operator.log.read_text(), events, builders.kubectl("get", "bkb", "demo", "--output=yaml")])
    assert "PRIVATE KEY" not in told
    for name in ("demo-buildkitd-ca", "demo-buildkitd-tls", "demo-connection"):
        for line in secret_lines(builders, name):
            assert line not in told


def secret_lines(builders: Builders, name: str) -> list[str]:
    """Return what would give a Secret away: each line of its PEM, and the beginning of each encoded value."""
    stored = builders.get("secrets", name)
    assert stored is not None
    decoded = [line for value in builders.secret(name).values() for line in value.splitlines() if "-----" not in line]
    lines = [line for line in decoded if not line.startswith("tcp://")]
    assert len(lines) > 10
    return [*lines, *(value[:60] for value in stored["data"].values())]
