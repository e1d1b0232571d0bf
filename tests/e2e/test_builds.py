"""Real builds and pushes through a shared builder, with each kind of cache."""

import pytest

from hack.cluster.kubectl import Kubectl
from tests.support.jobs import BUILD, builder, ran, run, wait_ready

IMAGE = "$REGISTRY/org/example-image"
PRUNE = "buildctl --addr $BUILDKIT_HOST --tlsdir /etc/buildkit prune --all >/dev/null"


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with a builder that is ready."""
    team_for_module.apply(builder())
    wait_ready(team_for_module)
    return team_for_module


def test_ready_means_that_the_daemon_answers(team: Kubectl) -> None:
    workers = team("exec", "deploy/demo-buildkitd", "--", "buildctl", "debug", "workers")

    assert "linux/amd64" in workers


def test_one_command_pushes_two_tags(team: Kubectl) -> None:
    # The inner quotes are buildctl's own: the value is a line of CSV, and the two names are one field of it.
    output = f"""--output 'type=image,"name='{IMAGE}:latest,{IMAGE}:stable'",push=true'"""
    run(team, f"{BUILD} {output}")

    catalog = team(
        "get", "--raw", "/api/v1/namespaces/registry/services/registry:5000/proxy/v2/org/example-image/tags/list"
    )
    assert '"latest"' in catalog
    assert '"stable"' in catalog


def test_the_daemon_remembers_what_it_built(team: Kubectl) -> None:
    command = f"{BUILD} --opt build-arg:SALT=daemon --output type=image,name={IMAGE}:daemon,push=true"

    first, second = run(team, command), run(team, command)

    assert ran(first, "daemon")
    assert not ran(second, "daemon")
    assert "CACHED" in second


@pytest.mark.parametrize(
    ("name", "export", "imported"),
    [
        ("local", "type=local,dest=/mnt/buildkit-cache/demo,mode=max", "type=local,src=/mnt/buildkit-cache/demo"),
        ("inline", "type=inline", f"type=registry,ref={IMAGE}:inline"),
        ("registry", f"type=registry,ref={IMAGE}:buildcache,mode=max", f"type=registry,ref={IMAGE}:buildcache"),
    ],
)
def test_a_cache_outside_the_daemon_is_hit(
    team: Kubectl, cache_claim: str, name: str, export: str, imported: str
) -> None:
    output = f"--opt build-arg:SALT={name} --output type=image,name={IMAGE}:{name},push=true"
    first = run(team, f"{PRUNE}; {BUILD} {output} --export-cache {export}", claim=cache_claim)

    # With its own cache gone, all that the daemon can know comes from the cache that is imported.
    second = run(team, f"{PRUNE}; {BUILD} {output} --import-cache {imported}", claim=cache_claim)

    assert ran(first, name)
    assert not ran(second, name)
    assert "CACHED" in second


@pytest.fixture(scope="module")
def cache_claim(team: Kubectl) -> str:
    """Return a claim for `type=local` cache."""
    team.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "build-cache"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }
    )
    return "build-cache"
