"""Start-up times: of shared builders on a real cluster, and of that cluster."""

import asyncio
import time
from statistics import median
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.manifests import condition
from hack.bench.clients import open_client
from hack.bench.figures import Figure, Reach, seconds
from hack.bench.pods import own_namespace
from hack.cluster.installation import running_cluster
from hack.cluster.kubectl import Kubectl
from hack.cluster.progress import step

ROUNDS: Final = 7
MEMORY: Final = "print(next(x for x in open('/proc/1/status') if x.startswith('VmRSS')).split()[1])"


def measure(kubectl: Kubectl) -> list[Figure]:
    """Measure on a cluster that runs the operator."""
    times = _times_to_ready(kubectl)
    return [
        Figure("CR applied → Ready, image present", seconds(times), median(times), Reach(2, " s")),
        _memory(kubectl),
    ]


def start_again() -> Figure:
    """Measure the start of a cluster, whose parts are there from the last time, and its end."""
    started = time.monotonic()
    with running_cluster():
        return Figure("second start of the cluster, operator included", f"{time.monotonic() - started:.0f} s")


def _times_to_ready(kubectl: Kubectl) -> list[float]:
    with own_namespace(kubectl, "bench") as team, step(f"Making {ROUNDS} builders, one after the other"):
        return asyncio.run(_rounds(team))


async def _rounds(team: Kubectl) -> list[float]:
    async with open_client(team) as client:
        return [await _time_to_ready(client, team.namespace, f"bench-{number}") for number in range(ROUNDS)]


async def _time_to_ready(client: Client, namespace: str, name: str) -> float:
    started = time.monotonic()
    builder = {
        "apiVersion": names.BUILDER.api_version,
        "kind": names.BUILDER.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"mode": "Shared"},
    }
    await client.apply(builder)
    while not await _is_ready(client, namespace, name):  # noqa: ASYNC110  nobody here is told; the server is asked
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def _is_ready(client: Client, namespace: str, name: str) -> bool:
    builder = await client.get(names.BUILDER, namespace, name)
    return condition(builder or {}, "Ready").get("status") == "True"


def _memory(kubectl: Kubectl) -> Figure:
    operator = kubectl.within("buildkit-operator")
    kib = operator("exec", "deploy/buildkit-operator", "--", "/opt/operator/bin/python3", "-c", MEMORY)
    mebibytes = int(kib) / 1024
    return Figure("resident memory in its pod, idle", f"{mebibytes:.0f} MiB", mebibytes, Reach(60, " MiB"))
