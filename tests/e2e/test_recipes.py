"""What docs/ci and docs/migrate tell people to do really builds and pushes: the samples' pods, the guides' words.

Only what a test cluster cannot have is replaced: the registry's name, the base image, and images of CI systems' own.
"""

import re
import tomllib
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster import cluster as clusters
from hack.cluster import pins
from hack.cluster.installation import REGISTRY, tags
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support import runner_pods
from tests.support.jobs import DOCKERFILE, wait_ready
from tests.support.runner_pods import CI, read
from tests.support.runners import BUILD, DAEMON, JOB_LABEL, Runner, sidecar, step

REPOSITORY: Final = "org/recipes"
IMAGE: Final = f"{REGISTRY}/{REPOSITORY}"
WORKSPACE: Final[Manifest] = {
    "workingDir": "/workspace",
    "volumeMounts": [{"name": "workspace", "mountPath": "/workspace"}],
}
FROM_SAMPLES: Final = {"registry.example.com/org/image": IMAGE}


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with the builder that the samples ask for, a source to build, and credentials to push with."""
    source = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "source"},
        "data": {"Dockerfile": DOCKERFILE},
    }
    push = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "push"},
        "type": "kubernetes.io/dockerconfigjson",
    }
    team_for_module.apply(sidecar("sidecar"), source, {**push, "stringData": {".dockerconfigjson": '{"auths": {}}'}})
    wait_ready(team_for_module, "sidecar")
    return team_for_module


def here(value: Any) -> Any:
    """Return a part of a sample with this cluster's registry."""
    text = yaml.safe_dump(value)
    for theirs, ours in FROM_SAMPLES.items():
        text = text.replace(theirs, ours)
    return yaml.safe_load(text)


def start(team: Kubectl, pod: Manifest) -> Runner:
    """Start a pod of the samples, with an image that there is for each of the CI system's own containers."""
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    for container in containers:
        if container["image"] not in {pins.BUILDKIT_IMAGE, pins.DOCKER_IMAGE}:
            container |= {"image": pins.BUILDKIT_IMAGE, "command": ["sleep", "1"]}
    team.apply({"apiVersion": "v1", "kind": "Pod", **pod})
    return Runner(team, pod["metadata"]["name"])


def from_source(pod: Manifest, volume: str) -> Manifest:
    """Return a pod whose workspace holds the source already: nothing fetches it here."""
    others = [other for other in pod["spec"]["volumes"] if other["name"] != volume]
    pod["spec"]["volumes"] = [*others, {"name": volume, "configMap": {"name": "source"}}]
    return pod


# The samples' pods


def test_the_job_of_the_samples_builds_and_pushes(team: Kubectl) -> None:
    objects = yaml.safe_load_all((CI.parent / "sidecar-job.yaml").read_text())
    (job,) = (found for found in objects if found["kind"] == "Job")
    team.apply(here(job))
    selector = f"--selector={JOB_LABEL}={job['metadata']['name']}"
    (pod,) = wait_for("the Job has a pod", lambda: team.get("pods", selector))
    runner = Runner(team, pod["metadata"]["name"])

    runner.succeed()
    assert "latest" in tags(team, REPOSITORY)


@pytest.mark.parametrize(("name", "runner"), [("image:docker", 0), ("image:buildctl", 1)])
def test_a_job_of_gitlab_builds_and_pushes(team: Kubectl, name: str, runner: int) -> None:
    runners = tomllib.loads((CI / "gitlab/config.toml").read_text())["runners"]
    job = read("gitlab/gitlab-ci.yml")[name]
    # The cluster's registry speaks HTTP, which `docker login` does to localhost alone.
    job["script"] = [line for line in job["script"] if "docker login" not in line]
    variables = {
        "CI_PROJECT_PATH_SLUG": "org-recipes",
        "CI_REGISTRY": REGISTRY,
        "CI_REGISTRY_IMAGE": IMAGE,
        "CI_REGISTRY_USER": "ci",
        "CI_REGISTRY_PASSWORD": "password",
        "CI_COMMIT_SHORT_SHA": name.partition(":")[2],
    }
    pod = from_source(runner_pods.pod_of_gitlab(runners[runner], job, variables), "repo")
    pod["metadata"]["name"] += f"-{runner}"
    made = start(team, pod)

    made.succeed()
    assert variables["CI_COMMIT_SHORT_SHA"] in tags(team, REPOSITORY)
    assert made.daemon()["state"]["terminated"]["exitCode"] == 0


def test_a_step_of_jenkins_builds_and_pushes(team: Kubectl) -> None:
    text = (CI / "jenkins/Jenkinsfile").read_text()
    written = re.search(r"sh '(.*)'", text)
    assert written
    pod = from_source(runner_pods.pod_of_jenkins(runner_pods.yaml_of_jenkinsfile(text)), "workspace-volume")
    agent = start(team, pod)
    agent.wait_running("docker")

    command = f"cd /home/jenkins/agent && BUILD_NUMBER=42 && {here(written[1])}"
    # As the plugin does: what a pipeline says is run in its container, by exec.
    team("exec", agent.name, "--container=docker", "--", "sh", "-c", command)

    agent.delete()
    assert "42" in tags(team, REPOSITORY)


# The guides' pods


@pytest.mark.parametrize("guide", ["docker-in-docker", "docker-socket", "hand-written-sidecars"])
def test_the_pod_that_a_guide_ends_with_builds_and_pushes(team: Kubectl, guide: str) -> None:
    *_, pod = (found for found in documents(guide) if found["kind"] == "Pod")
    pod["spec"]["containers"][0] |= WORKSPACE
    made = start(team, from_source({**pod, "spec": {"volumes": [], **pod["spec"]}}, "workspace"))

    made.succeed()
    assert pushed(made) == f"{IMAGE}:1"


def test_the_job_that_takes_kanikos_place_builds_and_pushes(team: Kubectl) -> None:
    *_, job = documents("kaniko")
    spec = from_source(job["spec"]["template"], "workspace")["spec"]
    # There is no Git server here.
    context = ("--local=context=.", "--local=dockerfile=.", "--opt=filename=Dockerfile")
    options = [option for option in spec["containers"][0]["args"] if not re.match("--opt=(context|filename)=", option)]
    mounts = [*spec["containers"][0]["volumeMounts"], *WORKSPACE["volumeMounts"]]
    spec["containers"][0] |= {**WORKSPACE, "args": [*options, *context], "volumeMounts": mounts}
    made = start(team, {"metadata": {"name": "kaniko", **job["spec"]["template"]["metadata"]}, "spec": spec})

    made.succeed()
    assert {"1"} <= set(tags(team, REPOSITORY))
    assert "main" in tags(team, f"{REPOSITORY}/cache")


def documents(guide: str) -> list[Manifest]:
    """Return the objects of a guide, with this cluster's registry."""
    found: list[Manifest] = here(runner_pods.documents(runner_pods.TOP / f"docs/migrate/{guide}.md"))
    return found


def pushed(made: Runner) -> str:
    """Return what a job says that it pushed."""
    found = re.search(r"pushing manifest for (\S+?)@", made.log("build"))
    return found[1] if found else ""


# The words of the guides


FILES: Final = {
    "Dockerfile": f"FROM {pins.BUSYBOX_IMAGE} AS made\nARG VERSION=0\nRUN echo $VERSION > /made\n"
    "FROM made AS test\nRUN grep . /made\nFROM scratch AS files\nCOPY --from=made /made /\n",
    "other": "FROM scratch\nCOPY Dockerfile /\n",
    "compose.yaml": f"services: {{app: {{image: '{IMAGE}:compose', build: {{context: ., target: files}}}}}}\n",
}


def test_what_stands_for_kanikos_flags_does_it_with_buildctl(team: Kubectl) -> None:
    output = f'type=image,"name={IMAGE}:one,{IMAGE}:two",push=true'
    script = f"""
{BUILD} --opt filename=other --opt label:team=ci --output '{output}' --metadata-file meta.json
grep -q '"containerimage.digest": "sha256:' meta.json
grep -q '"image.name": "{IMAGE}:one,{IMAGE}:two"' meta.json
grep -q application/vnd.oci.image.manifest.v1 meta.json
{BUILD} --opt target=test --opt build-arg:VERSION=1
{BUILD} --opt filename=other --output type=docker,name={IMAGE}:tar,dest=image.tar
tar -tf image.tar | grep -q manifest.json
{BUILD} --opt filename=other --output type=oci,dest=layout,tar=false
test -s layout/index.json
{BUILD} --opt build-arg:SOURCE_DATE_EPOCH=0 --opt filename=other \
  --output type=image,name={IMAGE}:epoch,push=true,rewrite-timestamp=true
"""
    Runner.start(team, step(script), asks_for="sidecar", files=FILES).succeed()

    assert {"one", "two", "epoch"} <= set(tags(team, REPOSITORY))


def test_what_stands_for_a_docker_daemon_does_it(team: Kubectl) -> None:
    script = f"""
docker build --file other --label team=ci --tag {IMAGE}:three --tag {IMAGE}:four --push --metadata-file meta.json .
grep -q '"containerimage.digest": "sha256:' meta.json
grep -q application/vnd.oci.image.index.v1 meta.json
docker build --target test .
docker build --target files --output out . && test -s out/made
docker build --target files --tag {IMAGE}:tar --output type=docker,dest=image.tar . && test -s image.tar
tar -cf context.tar Dockerfile other && docker build --target files - < context.tar
docker buildx bake --file compose.yaml --push
docker buildx create --name again --driver remote "$BUILDKIT_HOST" && docker buildx rm again
docker build --file other --tag {IMAGE}:plain --provenance=false --push --metadata-file plain.json .
grep -q application/vnd.oci.image.manifest.v1 plain.json
"""
    Runner.start(team, step(script, image=pins.DOCKER_IMAGE), asks_for="sidecar", files=FILES).succeed()

    assert {"three", "four", "compose", "plain"} <= set(tags(team, REPOSITORY))


def test_builds_go_to_the_builder_and_all_else_to_a_docker_daemon_that_is_still_there(team: Kubectl) -> None:
    clusters.up().load_dind()
    sockets = {"name": "sockets", "mountPath": "/sockets"}
    host = {"name": "DOCKER_HOST", "value": "unix:///sockets/docker.sock"}
    until = "until docker version >/dev/null 2>&1; do sleep 0.2; done"
    dind = {
        "name": "dind",
        "image": pins.DIND_IMAGE,
        "restartPolicy": "Always",
        "args": ["dockerd", f"--host={host['value']}"],
        "env": [host],
        "securityContext": {"privileged": True},
        "lifecycle": {"postStart": {"exec": {"command": ["/bin/sh", "-c", until]}}},
        "volumeMounts": [sockets, {"name": "images", "mountPath": "/var/lib/docker"}],
    }
    script = """
docker build --file other --tag loaded:1 --load .
docker image inspect --format '{{.Id}}' loaded:1
docker build --file other --tag unloaded:1 .
! docker image inspect unloaded:1
"""
    job = Runner.start(
        team,
        step(script, image=pins.DOCKER_IMAGE, env=[host], volumeMounts=[sockets]),
        asks_for="sidecar",
        files=FILES,
        initContainers=[dind],
        volumes=[{"name": "sockets", "emptyDir": {}}, {"name": "images", "emptyDir": {}}],
    )

    job.succeed()
    assert job.daemon()["name"] == DAEMON
