"""How fast builders are ready on a real cluster, and how fast that cluster starts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from buildkit_operator.control.kinds import BUILDERS
from buildkit_operator.kube.auth import connect
from buildkit_operator.kube.client import Client
from tests.bench.figures import Figure, seconds
from tests.cluster import cluster
from tests.cluster.progress import step
from tests.installation import running_cluster
from tests.kubectl import Kubectl, condition

ROUNDS: Final = 7
MEMORY: Final = "print(next(x for x in open('/proc/1/status') if x.startswith('VmRSS')).split()[1])"


def measure() -> list[Figure]:
    """Measure on the cluster that is up, or on one that is made for it and started a second time."""
    was_up = cluster.find() is not None
    with running_cluster() as kubectl:
        figures = [
            Figure("CR applied → Ready, image present", seconds(_times_to_ready(kubectl)), "≤ 3 s"),
            Figure("resident memory in its pod, idle", _memory(kubectl), "≤ 60 MiB"),
        ]
    if not was_up:
        started = time.monotonic()
        with running_cluster():
            figures.append(
                Figure("second start of the cluster, operator included", f"{time.monotonic() - started:.0f} s")
            )
    return figures


def _times_to_ready(kubectl: Kubectl) -> list[float]:
    team = kubectl.create_namespace("bench")
    try:
        with step(f"Making {ROUNDS} builders, one after the other"):
            return asyncio.run(_with_client(team, lambda client: _rounds(client, team.namespace)))
    finally:
        kubectl("delete", "namespace", team.namespace)


async def _with_client(kubectl: Kubectl, work: Callable[[Client], Awaitable[list[float]]]) -> list[float]:
    connection = await connect(str(kubectl.kubeconfig))
    client = Client(connection, field_manager="bench", resources=(BUILDERS.primary,))
    try:
        return await work(client)
    finally:
        await client.close()
        await connection.close()


async def _rounds(client: Client, namespace: str) -> list[float]:
    return [await _time_to_ready(client, namespace, f"bench-{number}") for number in range(ROUNDS)]


async def _time_to_ready(client: Client, namespace: str, name: str) -> float:
    started = time.monotonic()
    builder = {
        "apiVersion": BUILDERS.primary.api_version,
        "kind": BUILDERS.primary.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"mode": "Shared"},
    }
    await client.apply(builder)
    while not await _is_ready(client, namespace, name):  # noqa: ASYNC110  nobody here is told; the server is asked
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def _is_ready(client: Client, namespace: str, name: str) -> bool:
    builder = await client.get(BUILDERS.primary, namespace, name)
    return condition(builder or {}, "Ready").get("status") == "True"


def _memory(kubectl: Kubectl) -> str:
    operator = kubectl.within("buildkit-operator")
    kib = operator("exec", "deploy/buildkit-operator", "--", "/opt/operator/bin/python3", "-c", MEMORY)
    return f"{int(kib) / 1024:.0f} MiB"
