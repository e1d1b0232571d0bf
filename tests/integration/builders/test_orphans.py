"""Objects that have lost their owner, by a restore or by `--cascade=orphan`, are the builder's again, all of them."""

import json
import re
import shlex
from typing import Any

import pytest

from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.test_problems import stalled

AUTHORITY = "demo-buildkitd-ca"
WITHOUT_TLS = {"tls": {"mode": "Disabled"}}
MARKS = {"app.kubernetes.io/managed-by": "buildkit-operator", "buildkit-operator.dev/owner": "demo"}


def orphan_all(builders: Builders) -> None:
    """Delete the builder as `--cascade=orphan` does: the garbage collector, which this API server lacks, is played."""
    builders.delete("buildkitbuilders", "demo")
    for child in builders.versions():
        plural, name = child.split("/")
        builders.patch(plural, name, {"metadata": {"ownerReferences": None}})


def give_back(builders: Builders, message: str) -> None:
    """Do what the command in the message does."""
    (command,) = re.findall(r"kubectl patch secret \S+ -n \S+ --type=merge -p '.*?'(?=\.)", message)
    words = shlex.split(command)
    assert words[:6] == ["kubectl", "patch", "secret", AUTHORITY, "-n", builders.namespace]
    builders.patch("secrets", AUTHORITY, json.loads(words[-1]))


@pytest.mark.parametrize("claim", [None, {"storageClassName": "fast"}], ids=["Deployment", "StatefulSet"])
def test_one_command_gives_everything_back(builders: Builders, claim: Manifest | None) -> None:
    cache = {"size": "20Gi", **({"persistentVolumeClaim": claim} if claim else {})}
    plural = "statefulsets" if claim else "deployments"
    builders.create(cache=cache)
    builders.make_ready(plural=plural)
    before, secrets = builders.children(), {n: builders.secret(n) for n in (AUTHORITY, "demo-connection")}
    orphan_all(builders)

    builders.create(cache=cache)

    message = stalled(builders, "NameConflict")
    assert builders.secret(AUTHORITY) == secrets[AUTHORITY]
    give_back(builders, message)
    builders.make_ready(plural=plural)
    after = builders.children()
    assert after.keys() == before.keys()
    assert {name: child["metadata"]["uid"] for name, child in after.items()} == {
        name: child["metadata"]["uid"] for name, child in before.items()
    }
    assert {n: builders.secret(n) for n in secrets} == secrets


@pytest.mark.parametrize("spec", [{"mode": "Sidecar"}, {"shared": WITHOUT_TLS}], ids=["Sidecar", "without TLS"])
def test_without_an_authority_nobody_has_to_act(builders: Builders, spec: dict[str, Any]) -> None:
    builders.create(**spec)
    builders.wait("it is there", lambda: builders.status().get("injection"))
    builders.wait_at_rest()
    before = builders.children()
    orphan_all(builders)

    builders.create(**spec)

    uid = builders.get("buildkitbuilders", "demo")["metadata"]["uid"]  # type: ignore[index]
    builders.wait(
        "all have the new owner",
        lambda: (
            {c["metadata"].get("ownerReferences", [{}])[0].get("uid") for c in builders.children().values()} == {uid}
        ),
    )
    assert builders.children().keys() == before.keys()


def test_what_the_new_spec_wants_no_more_goes_once_it_is_adopted(builders: Builders) -> None:
    builders.create(shared=WITHOUT_TLS, cache={"persistentVolumeClaim": {}})
    builders.make_ready(plural="statefulsets")
    orphan_all(builders)

    builders.create(shared=WITHOUT_TLS)
    builders.make_ready()

    builders.wait("the old workload is gone", lambda: builders.get("statefulsets", "demo-buildkitd") is None)


def test_an_authority_that_somebody_put_there_is_neither_used_nor_replaced(builders: Builders) -> None:
    planted = {"tls.crt": "theirs", "tls.key": "theirs"}
    builders.post("secrets", {"metadata": {"name": AUTHORITY, "labels": MARKS}, "stringData": planted})

    builders.create()

    assert f"Secret {AUTHORITY} holds a CA and has lost its owner" in stalled(builders, "NameConflict")
    assert builders.secret(AUTHORITY) == planted
    assert "ownerReferences" not in builders.get("secrets", AUTHORITY)["metadata"]  # type: ignore[index]
    assert builders.get("secrets", "demo-connection") is None

    builders.delete("secrets", AUTHORITY)
    builders.make_ready()
    assert builders.secret(AUTHORITY) != planted


def test_keys_that_somebody_put_there_are_made_anew(builders: Builders) -> None:
    planted = {"ca.crt": "theirs", "tls.crt": "theirs", "tls.key": "theirs"}
    builders.post("secrets", {"metadata": {"name": "demo-connection", "labels": MARKS}, "stringData": planted})

    builders.create()
    builders.make_ready()

    assert planted["tls.key"] not in builders.secret("demo-connection").values()
    assert builders.secret("demo-connection")["ca.crt"] == builders.secret(AUTHORITY)["tls.crt"]


def test_all_that_is_in_the_way_is_named_at_once(builders: Builders) -> None:
    builders.post("serviceaccounts", {"metadata": {"name": "demo-buildkitd"}})
    builders.post("configmaps", {"metadata": {"name": "demo-connector"}})

    builders.create()

    message = stalled(builders, "NameConflict")
    assert message.startswith(
        "ConfigMap demo-connector and ServiceAccount demo-buildkitd exist already and belong to nobody that this "
        "operator knows, so they were left alone."
    )
    assert (
        f"kubectl label -n {builders.namespace} configmaps/demo-connector serviceaccounts/demo-buildkitd "
        "buildkit-operator.dev/owner=demo app.kubernetes.io/managed-by=buildkit-operator." in message
    )
    for plural, name in (("serviceaccounts", "demo-buildkitd"), ("configmaps", "demo-connector")):
        builders.patch(plural, name, {"metadata": {"labels": MARKS}})
    builders.make_ready()


def test_a_builder_that_was_restored_with_its_objects_is_the_same(builders: Builders) -> None:
    """The second way of a restore: the builder is there all the time, and its objects come without an owner."""
    builders.create()
    builders.make_ready()
    authority = builders.secret(AUTHORITY)
    for child in builders.versions():
        plural, name = child.split("/")
        builders.patch(plural, name, {"metadata": {"ownerReferences": None}})

    give_back(builders, stalled(builders, "NameConflict"))
    builders.make_ready()
    assert builders.secret(AUTHORITY) == authority
