"""Daemons of two architectures on one machine, told apart by a label of the node: buildx builds on both at once."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.jobs import builder, wait_ready, wait_reason
from tests.support.runners import IMAGE, SOCKET, Runner, step

LABEL: Final = "kubernetes.io/arch"
SMALL: Final[Manifest] = {"requests": {"cpu": "10m", "memory": "64Mi"}}
BOTH: Final = ("amd64", "arm64")
ASKED: Final = ("buildctl", "debug", "histories", "--format", "{{json .Record.FrontendAttrs}}")
# Nothing runs in it: one of the two platforms is not the machine's.
FILES: Final = {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}
BUILD: Final = f"""\
export HOME=/tmp
docker buildx build --platform linux/amd64,linux/arm64 \
  --output type=image,name={IMAGE}:architectures,push=true,registry.insecure=true .
docker buildx imagetools inspect --builder registries {IMAGE}:architectures
docker buildx build --output type=image,name={IMAGE}:own-architecture,push=true .
"""
WORKERS: Final = "".join(
    f"echo worker {name} $(buildctl --addr {address} debug workers --format '{{{{(index . 0).ID}}}}')\n"
    for name, address in (("own", SOCKET), *((name, f"unix:///run/buildkit/{name}.sock") for name in BOTH))
)

# The kubelet sets the label when it starts, and lets pods be that run: so one node can be of the one architecture
# after the other.
pytestmark = pytest.mark.exclusive("says for a moment that the node is of another architecture")


def test_one_build_of_two_platforms_is_built_on_both(cluster: Kubectl, team: Kubectl) -> None:
    own = _architecture(cluster)
    (other,) = set(BOTH) - {own}
    # The first is not the node's, so that a job is seen to build on that of its own.
    team.apply(builder(shared={"architectures": [other, own]}, resources=SMALL))
    said = wait_reason(team, "Unschedulable", seconds=120)["message"]
    assert f"{other}: 0 of 1 daemon ready. No node takes pod demo-buildkitd-{other}-" in said
    with _relabelled(cluster, other):
        wait_for(f"a daemon runs on a node of {other}", lambda: _is_ready(team, other), 180)
    assert wait_ready(team, seconds=180)["status"]["readyReplicas"] == 2

    job = Runner.start(team, step(BUILD, image=pins.DOCKER_IMAGE), step(WORKERS, "workers"), files=FILES)
    job.succeed(300)

    assert set(re.findall(r"Platform: +linux/(\w+)", job.log())) == set(BOTH)
    assert sorted(_asked(team, own)) == ["", f"linux/{own}"]
    assert _asked(team, other) == [f"linux/{other}"]
    workers = dict(re.findall(r"^worker (\w+) (\w+)$", job.log("workers"), re.MULTILINE))
    assert workers["own"] == workers[own] != workers[other]


def _architecture(cluster: Kubectl) -> str:
    (node,) = cluster.get("nodes")
    architecture: str = node["metadata"]["labels"][LABEL]
    return architecture


@contextmanager
def _relabelled(cluster: Kubectl, architecture: str) -> Iterator[None]:
    """Have the node be of an architecture for a while."""
    (node,) = cluster.get("nodes")
    name, before = node["metadata"]["name"], node["metadata"]["labels"][LABEL]
    cluster("label", "node", name, f"{LABEL}={architecture}", "--overwrite")
    try:
        yield
    finally:
        cluster("label", "node", name, f"{LABEL}={before}", "--overwrite")


def _pod(team: Kubectl, architecture: str) -> Manifest | None:
    """Return the newest pod of an architecture: one that the kubelet refused, for the label before, has another one."""
    pods = team.get("pods", f"--selector=buildkit-operator.dev/architecture={architecture}")
    return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def _is_ready(team: Kubectl, architecture: str) -> bool:
    pod = _pod(team, architecture)
    return pod is not None and condition(pod, "Ready").get("status") == "True"


def _asked(team: Kubectl, architecture: str) -> list[str]:
    """Return the platform of each build that an architecture's daemon was asked for, empty where none was said."""
    pod = _pod(team, architecture)
    assert pod is not None
    lines = team("exec", pod["metadata"]["name"], "--container=buildkitd", "--", *ASKED).splitlines()
    return [json.loads(line).get("platform", "") for line in lines]
