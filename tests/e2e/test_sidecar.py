"""A daemon in the job's own pod: real builds and pushes over the injected socket, whoever the job's containers are."""

from typing import Any

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import tags
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.jobs import ran, wait_ready
from tests.support.runners import BUILD, IMAGE, Runner, push, sidecar, step

BUILDX = "/usr/local/libexec/docker/cli-plugins/docker-buildx"


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with a builder that is ready."""
    team_for_module.apply(sidecar())
    wait_ready(team_for_module)
    return team_for_module


def docker(script: str, name: str = "job", **more: Any) -> Manifest:
    """Return a container of Docker's client image, with buildx as its plugin and no daemon."""
    return step(script, name, image=pins.DOCKER_IMAGE, **more)


# buildctl, whoever the job is


@pytest.mark.parametrize(
    ("who", "security"),
    [
        ("root", {"runAsUser": 0}),
        ("the-daemons-own-uid", {"runAsUser": 1000, "runAsGroup": 1000}),
        ("the-uid-of-arc", {"runAsUser": 1001, "runAsGroup": 1001}),
        ("root-without-capabilities", {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}}),
    ],
)
def test_a_job_builds_and_pushes(team: Kubectl, who: str, security: Manifest) -> None:
    job = Runner.start(team, step(f"{BUILD} {push(who)}", securityContext=security))

    job.succeed()
    assert who in tags(team, "org/sidecar")
    assert job.daemon()["state"]["terminated"]["exitCode"] == 0


def test_an_inline_cache_is_hit_from_the_registry(team: Kubectl) -> None:
    # The registry of a cluster that stays up has the cache of the run before.
    salt = team.namespace
    command = (
        f"{BUILD} --opt build-arg:SALT={salt} {push('seed')} "
        f"--export-cache type=inline --import-cache type=registry,ref={IMAGE}:seed"
    )
    first = Runner.start(team, step(command))
    first.succeed()
    # The first pod's daemon is gone with its cache: all that the second can know is in the registry.
    second = Runner.start(team, step(command))
    second.succeed()

    assert ran(first.log(), salt)
    assert not ran(second.log(), salt)
    assert "CACHED" in second.log()


def test_init_containers_can_build_too(team: Kubectl) -> None:
    job = Runner.start(team, step("true"), initContainers=[step(f"{BUILD} {push('init')}", "prepare")])

    job.succeed()
    assert "init" in tags(team, "org/sidecar")


def test_two_containers_build_at_once(team: Kubectl) -> None:
    def building(tag: str, uid: int) -> Manifest:
        script = f"{BUILD} --opt build-arg:SALT={tag} {push(tag)}"
        return step(script, tag, securityContext={"runAsUser": uid, "runAsGroup": uid})

    job = Runner.start(team, building("one", 1001), building("two", 2002))

    job.succeed()
    assert {"one", "two"} <= set(tags(team, "org/sidecar"))


def test_only_the_chosen_containers_get_the_builder(team: Kubectl) -> None:
    team.apply(sidecar("chosen", injection={"containers": ["job"]}))
    wait_ready(team, "chosen")
    script = 'test -z "${BUILDKIT_HOST-}${BUILDX_BUILDER-}"; test ! -e /run/buildkit/buildkitd.sock'
    job = Runner.start(team, step(f"{BUILD} {push('chosen')}"), docker(script, "other"), asks_for="chosen")

    job.succeed()


def test_a_builder_is_ready_without_pods_and_counts_those_that_come(team: Kubectl) -> None:
    team.apply(sidecar("counted"))
    assert wait_ready(team, "counted")["status"]["pods"] == {"injected": 0, "ready": 0, "failed": 0}

    jobs = [Runner.start(team, step("sleep 300"), asks_for="counted") for _ in range(2)]
    one = {"injected": 1, "ready": 1, "failed": 0}
    wait_for("two pods count", lambda: _counts(team) == {"injected": 2, "ready": 2, "failed": 0})
    jobs[0].delete()
    wait_for("one pod counts", lambda: _counts(team) == one)
    jobs[1].delete()
    wait_for("no pod counts", lambda: _counts(team) == {"injected": 0, "ready": 0, "failed": 0})


def _counts(team: Kubectl) -> Manifest:
    counts: Manifest = team.get("bkb", "counted")["status"]["pods"]
    return counts


# buildx and docker, without a Docker daemon and without a create


@pytest.mark.parametrize(
    ("tag", "command"),
    [
        ("docker-build", "docker build"),
        ("docker-buildx-build", "docker buildx build"),
        ("buildx-build", f"{BUILDX} build"),
    ],
)
def test_docker_and_buildx_build_and_push_unchanged(team: Kubectl, tag: str, command: str) -> None:
    job = Runner.start(team, docker(f"{command} --tag {IMAGE}:{tag} --push ."))

    job.succeed()
    assert tag in tags(team, "org/sidecar")


def test_two_containers_of_different_uids_use_buildx_at_once(team: Kubectl) -> None:
    def building(tag: str, uid: int) -> Manifest:
        script = f"export HOME=/tmp; for turn in 1 2 3; do docker build --tag {IMAGE}:{tag} --push .; done"
        return docker(script, tag, securityContext={"runAsUser": uid, "runAsGroup": uid})

    job = Runner.start(team, building("buildx-one", 1001), building("buildx-two", 0))

    job.succeed()
    assert {"buildx-one", "buildx-two"} <= set(tags(team, "org/sidecar"))


def test_a_bake_file_builds_all_its_targets(team: Kubectl) -> None:
    bake = f"""
group "default" {{ targets = ["app", "tools"] }}
target "app" {{ tags = ["{IMAGE}:bake-app"] }}
target "tools" {{ tags = ["{IMAGE}:bake-tools"] }}
"""
    files = {"docker-bake.hcl": bake, "Dockerfile": "FROM scratch\nCOPY docker-bake.hcl /\n"}
    job = Runner.start(team, docker("docker buildx bake --push"), files=files)

    job.succeed()
    assert {"bake-app", "bake-tools"} <= set(tags(team, "org/sidecar"))


def test_buildxs_own_remote_builder_works_on_the_socket(team: Kubectl) -> None:
    script = f"""
unset BUILDX_BUILDER BUILDX_CONFIG
{BUILDX} create --name mine --driver remote "$BUILDKIT_HOST" --bootstrap
{BUILDX} build --builder mine --tag {IMAGE}:remote --push .
"""
    job = Runner.start(team, docker(script))

    job.succeed()
    assert "remote" in tags(team, "org/sidecar")


def test_what_a_job_says_of_buildx_itself_wins(team: Kubectl) -> None:
    script = f"""
test -z "${{BUILDX_BUILDER-}}"
docker buildx create --name mine --use --driver remote "$BUILDKIT_HOST"
docker buildx build --tag {IMAGE}:own --push .
"""
    job = Runner.start(team, docker(script, env=[{"name": "BUILDX_CONFIG", "value": "/tmp/mine"}]))

    job.succeed()


@pytest.mark.parametrize(
    ("kind", "export", "imported"),
    [
        ("local", "type=local,dest=/mnt/buildkit-cache/demo,mode=max", "type=local,src=/mnt/buildkit-cache/demo"),
        ("registry", f"type=registry,ref={IMAGE}:buildcache,mode=max", f"type=registry,ref={IMAGE}:buildcache"),
    ],
)
@pytest.mark.parametrize("client", ["buildctl", "buildx"])
def test_a_cache_is_kept_between_jobs(
    team: Kubectl, cached: str, client: str, kind: str, export: str, imported: str
) -> None:
    salt, export, imported = f"{client}-{kind}", export.replace("demo", client), imported.replace("demo", client)
    if client == "buildctl":
        build = f"{BUILD} --opt build-arg:SALT={salt} {push(salt)}"
        flags = ("--export-cache", "--import-cache")
    else:
        build = f"docker build --progress plain --build-arg SALT={salt} --tag {IMAGE}:{salt} --push ."
        flags = ("--cache-to", "--cache-from")
    image = pins.BUILDKIT_IMAGE if client == "buildctl" else pins.DOCKER_IMAGE

    first = Runner.start(team, step(f"{build} {flags[0]} {export}", image=image), asks_for=cached)
    first.succeed()
    second = Runner.start(team, step(f"{build} {flags[1]} {imported}", image=image), asks_for=cached)
    second.succeed()

    assert ran(first.log(), salt)
    assert not ran(second.log(), salt)


@pytest.fixture(scope="module")
def cached(team: Kubectl) -> str:
    """Return a builder whose jobs have a claim for `type=local` cache."""
    team.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "build-cache"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
        sidecar("cached", injection={"localCache": {"claimName": "build-cache"}}),
    )
    wait_ready(team, "cached")
    return "cached"
