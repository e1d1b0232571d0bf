"""A client for what kubectl is too slow to be timed with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from buildkit_operator.api import names
from buildkit_operator.kube.auth import connect
from buildkit_operator.kube.client import Client
from hack.cluster.kubectl import Kubectl


@asynccontextmanager
async def open_client(kubectl: Kubectl) -> AsyncIterator[Client]:
    """Have a client for kubectl's cluster within the block."""
    connection = await connect(str(kubectl.kubeconfig))
    client = Client(connection, field_manager="bench", resources=(names.BUILDER,))
    try:
        yield client
    finally:
        await client.close()
        await connection.close()
