"""The webhook in place of the policies: the same builds, and what becomes of pods while its replicas come and go."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final

import pytest

from buildkit_operator.kube.auth import connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import ApiError
from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import (
    OPERATOR,
    WEBHOOK,
    has_policies,
    install_policies,
    install_webhook,
    remove_policies,
    remove_webhook,
    tags,
)
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.support.jobs import wait_ready, wait_reason
from tests.support.runners import BUILD, DAEMON, IMAGE, LABEL, Runner, sidecar, step

REPLICAS: Final = 2
SELECTOR: Final = f"--selector=app.kubernetes.io/name={WEBHOOK}"
LABELLED: Final = {LABEL: "demo"}

pytestmark = pytest.mark.exclusive("changes the engine that injects into everybody's pods")


@pytest.fixture(scope="module")
def webhook(cluster: Kubectl) -> Iterator[Kubectl]:
    """Have the webhook inject instead of the policies, and return kubectl for its namespace."""
    if not has_policies(cluster):
        yield cluster.within(OPERATOR)
        return
    operator = cluster.within(OPERATOR).get("deployment", OPERATOR)
    try:
        install_webhook(cluster, operator["spec"]["template"]["spec"]["containers"][0]["image"])
        remove_policies(cluster)
        yield cluster.within(OPERATOR)
    finally:
        use_policies(cluster)


def use_policies(cluster: Kubectl) -> None:
    """Have the policies inject, and the webhook no more."""
    install_policies(cluster)
    remove_webhook(cluster)


@pytest.fixture(scope="module")
def team(webhook: Kubectl, team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with a builder that is ready, once nothing but the webhook injects."""
    team_for_module.apply(sidecar())
    wait_ready(team_for_module)

    def injects() -> bool:
        before = injected(webhook)
        return created(team_for_module, LABELLED) == [DAEMON] and injected(webhook) > before

    wait_for("the webhook injects", injects)
    return team_for_module


def created(team: Kubectl, labels: Manifest) -> list[str]:
    """Return the init containers of a pod as the API server would store it. Raises KubectlError for a refusal."""
    pod = probe(team, labels)
    answer = team(
        "create",
        "--dry-run=server",
        "--output=jsonpath={.spec.initContainers[*].name}",
        "--filename=-",
        text=json.dumps(pod),
    )
    return answer.split()


def refusal(team: Kubectl, labels: Manifest) -> str | None:
    """Return why the API server would not store a pod; None if it would."""
    try:
        created(team, labels)
    except KubectlError as error:
        return str(error)
    return None


def probe(team: Kubectl, labels: Manifest) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "probe-", "namespace": team.namespace, "labels": labels},
        "spec": {"containers": [{"name": "job", "image": "none"}]},
    }


def injected(webhook: Kubectl) -> float:
    """Return how many pods the webhook's replicas say they have injected."""
    said = ""
    for pod in webhook.get("pods", SELECTOR):
        path = f"/api/v1/namespaces/{OPERATOR}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        said += webhook.read(path)
    sign = 'buildkit_operator_webhook_requests_total{result="injected",webhook="label"} '
    return sum(float(line.removeprefix(sign)) for line in said.splitlines() if line.startswith(sign))


@dataclass
class Traffic:
    """Pods that ask for a builder, created one after the other without being stored, and what became of them."""

    team: Kubectl
    over: Event = field(default_factory=Event)
    served: int = 0
    refused: list[str] = field(default_factory=list)
    bare: int = 0

    async def run(self) -> None:
        connection = await connect(str(self.team.kubeconfig))
        client = Client(connection, field_manager="traffic")
        try:
            while not self.over.is_set():
                await self._create(client)
                await asyncio.sleep(0.02)
        finally:
            await client.close()
            await connection.close()

    async def _create(self, client: Client) -> None:
        try:
            pod = await client.try_to_create(probe(self.team, LABELLED))
        except ApiError as error:
            self.refused.append(f"{time.strftime('%X')} {error}")
            return
        names = [container["name"] for container in pod["spec"].get("initContainers", ())]
        self.served += names == [DAEMON]
        self.bare += names != [DAEMON]


@contextmanager
def traffic(team: Kubectl) -> Iterator[Traffic]:
    """Create pods within the block, in a thread of its own. None of them may be refused, or without its builder."""
    running = Traffic(team)
    thread = Thread(target=lambda: asyncio.run(running.run()), name="traffic")
    thread.start()
    try:
        yield running
    finally:
        running.over.set()
        thread.join()
    assert running.refused == []
    assert running.bare == 0
    assert running.served


def scale(webhook: Kubectl, replicas: int) -> None:
    webhook("scale", f"deployment/{WEBHOOK}", f"--replicas={replicas}")


def wait_rolled_out(webhook: Kubectl) -> None:
    """Wait until all replicas are ready, and those that are not wanted are gone."""
    webhook("rollout", "status", f"deployment/{WEBHOOK}", "--timeout=120s", timeout=130)
    wait_for("the others are gone", lambda: len(webhook.get("pods", SELECTOR)) == REPLICAS)


def build(team: Kubectl, tag: str) -> Runner:
    """Have a runner pod build and push an image under this tag, and return it once it has ended well."""
    job = Runner.start(team, step(f"{BUILD} --output type=image,name={IMAGE}:{tag},push=true"))
    job.succeed()
    assert tag in tags(team, "org/sidecar")
    return job


def test_a_job_builds_and_pushes(team: Kubectl, webhook: Kubectl) -> None:
    before = injected(webhook)

    job = build(team, "webhook")

    assert injected(webhook) > before
    assert job.daemon()["state"]["terminated"]["exitCode"] == 0


def test_a_refusal_says_why(team: Kubectl) -> None:
    said = refusal(team, {LABEL: "missing"})

    assert said is not None
    assert f'there is no BuildKitBuilder "missing" in namespace "{team.namespace}"' in said


def test_a_roll_loses_no_pod(team: Kubectl, webhook: Kubectl) -> None:
    with traffic(team):
        webhook("rollout", "restart", f"deployment/{WEBHOOK}")
        wait_rolled_out(webhook)


def test_the_deletion_of_a_replica_loses_no_pod(team: Kubectl, webhook: Kubectl) -> None:
    gone = webhook.get("pods", SELECTOR)[0]["metadata"]["name"]
    with traffic(team):
        webhook("delete", "pod", gone)
        wait_rolled_out(webhook)


def test_without_replicas_pods_that_ask_are_refused_and_no_others(team: Kubectl, webhook: Kubectl) -> None:
    job = Runner.start(team, step("true"))
    scale(webhook, 0)
    try:
        said = wait_for("pods are refused", lambda: refusal(team, LABELLED))
        assert 'failed calling webhook "label.buildkit-operator.dev"' in said
        assert created(team, {"app": "other"}) == []
        # Also pods that have a builder can be changed, and so be cleared away.
        team("label", "pod", job.name, "seen=true")

        # The operator tries when a pod would get something else, and else every five minutes.
        team.apply(sidecar(env=[{"name": "CHANGED", "value": "true"}]))
        ready = wait_reason(team, "InjectionNotServed")
        assert ready["status"] == "False"
        assert "failed calling webhook" in ready["message"]
    finally:
        scale(webhook, REPLICAS)
        wait_rolled_out(webhook)

    wait_ready(team)
    assert created(team, LABELLED) == [DAEMON]


def test_policies_take_over_without_losing_a_pod(cluster: Kubectl, team: Kubectl, webhook: Kubectl) -> None:
    if not has_policies(cluster):
        pytest.skip("This API server has no mutating admission policies.")

    def policies_inject() -> bool:
        before = injected(webhook)
        return created(team, LABELLED) == [DAEMON] and injected(webhook) == before

    with traffic(team):
        # The API server begins to heed a new policy a second or two after it took it.
        install_policies(cluster)
        wait_for("the policies inject", policies_inject)
        remove_webhook(cluster)
        wait_for("the webhook is gone", lambda: not webhook.get("pods", SELECTOR))

    build(team, "policies")
