"""One builder for two namespaces: real builds from the one that has no daemon, as long as it is admitted."""

from collections.abc import Iterator

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.kubectl import Kubectl
from tests.support.jobs import BUILD, JobError, builder, run, wait_ready, wait_reason
from tests.support.runners import BUILD as BUILD_BY_SOCKET
from tests.support.runners import Runner, push, step


@pytest.fixture(scope="module")
def provider(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with a builder."""
    return team_for_module


@pytest.fixture(scope="module")
def consumer(cluster: Kubectl, provider: Kubectl) -> Iterator[Kubectl]:
    """Return a namespace with a builder that uses the provider's, which admits it."""
    name = f"{provider.namespace}-user"
    namespace = cluster.create_namespace(name)
    provider.apply(builder(shared={"allowedNamespaces": {"names": [name]}}))
    namespace.apply(borrower(provider))
    wait_ready(provider)
    wait_ready(namespace, "team")
    yield namespace
    cluster("delete", "namespace", name, "--wait=false")


def borrower(provider: Kubectl) -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": "team"},
        "spec": {"mode": "Shared", "shared": {"from": {"namespace": provider.namespace, "name": "demo"}}},
    }


def test_a_job_builds_with_its_own_namespaces_secret(provider: Kubectl, consumer: Kubectl) -> None:
    log = run(consumer, f"{BUILD} --opt build-arg:SALT=shared", connection="team-connection")

    assert "step one shared" in log
    assert not consumer.get("pods", "--selector=buildkit-operator.dev/owner")
    # The same daemon, so the same cache.
    again = run(provider, f"{BUILD} --opt build-arg:SALT=shared", connection="demo-connection")
    assert "CACHED" in again


def test_a_labelled_pod_builds_and_pushes_by_its_own_namespaces_builder(consumer: Kubectl) -> None:
    runner = Runner.start(consumer, step(f"{BUILD_BY_SOCKET} {push('borrowed')}"), asks_for="team")

    runner.succeed()


def test_who_is_taken_off_the_list_is_told_and_builds_until_the_certificate_ends(
    provider: Kubectl, consumer: Kubectl
) -> None:
    before = consumer.get("secret", "team-connection")["data"]
    provider.apply(builder())

    assert "neither names nor selects" in wait_reason(consumer, "NotAdmitted", "team")["message"]
    assert consumer.get("secret", "team-connection")["data"] == before
    run(consumer, "buildctl --addr $BUILDKIT_HOST --tlsdir /etc/buildkit debug workers", connection="team-connection")

    # Without the Secret there is none to be had.
    consumer("delete", "secret", "team-connection")
    consumer("delete", "bkb", "team")
    consumer.apply(borrower(provider))
    wait_reason(consumer, "NotAdmitted", "team")
    with pytest.raises(JobError):
        run(consumer, f"buildctl --addr tcp://demo-buildkitd.{provider.namespace}:1234 debug workers", connection=None)
