"""Generated specs through the real API server and operator: nothing crashes, and nobody is left without an answer.

Every refusal is a sentence of a rule, every builder that is taken gets a status of each of its generations, and what is
rendered is read by the programs that it is for: buildkitd's loader, HAProxy, a shell, the API server.
"""

import statistics
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from buildkit_operator.api import names
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.fuzz.api import BUILDERS, Api, connected
from tests.integration.fuzz.campaign import Campaign
from tests.integration.fuzz.found import FOUND
from tests.integration.fuzz.generated import generate
from tests.integration.fuzz.specs import CLAIM, PROVIDER, SECRET, Life
from tests.integration.fuzz.tools import Tools, haproxy
from tests.integration.fuzz.trial import OperatorLog, Tally, Trial
from tests.support.fuzzing import SEED, SPECS

AT_A_TIME: Final = 12
"""How many builders live at the same time: most of the time each waits for somebody else."""


@pytest_asyncio.fixture
async def trials(
    fuzz_plane: ControlPlane, fuzz_operator: BuilderOperator, tmp_path: Path
) -> AsyncIterator[list[Trial]]:
    tools, tally, log = Tools(tmp_path, haproxy()), Tally(), OperatorLog(fuzz_operator.log)
    async with connected(fuzz_plane) as api:
        await prepare(api, PROVIDER["namespace"])
        await provide(api)
        made = [Trial(api, tools, log, tally, f"fuzz-{number}") for number in range(AT_A_TIME)]
        for trial in made:
            await prepare(api, trial.namespace)
        try:
            yield made
        finally:
            await tools.close()


async def prepare(api: Api, namespace: str) -> None:
    """Make a namespace with what specs name, if it is not there."""
    core = f"/api/v1/namespaces/{namespace}"
    files = dict.fromkeys(("ca.crt", "tls.crt", "tls.key"), "-----BEGIN CERTIFICATE-----")
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    for path, manifest in (
        ("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": {"fuzz": "yes"}}}),
        (f"{core}/secrets", {"metadata": {"name": SECRET}, "stringData": files}),
        (f"{core}/configmaps", {"metadata": {"name": SECRET}, "data": files}),
        (f"{core}/persistentvolumeclaims", {"metadata": {"name": CLAIM}, "spec": claim}),
    ):
        answer = await api.ask("POST", path, manifest)
        assert answer.code in (201, 409), answer


async def provide(api: Api) -> None:
    """Make the builder whose daemons others may use, if it is not there."""
    selector = {"matchLabels": {"fuzz": "yes"}}
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": PROVIDER["name"]},
        "spec": {"mode": "Shared", "shared": {"allowedNamespaces": {"selector": selector}}},
    }
    answer = await api.ask("POST", BUILDERS.format(PROVIDER["namespace"]), manifest)
    assert answer.code in (201, 409), answer


@pytest.mark.fuzz
async def test_every_spec_is_answered(trials: list[Trial], fuzz_operator: BuilderOperator) -> None:
    campaign = Campaign(trials, SEED, SPECS)
    try:
        await campaign.run()
    finally:
        # Of a run that is interrupted, too: a long one.
        print(told(campaign))

    found = await campaign.found()
    if not fuzz_operator.running:
        found.append("the operator's process has ended")
    assert not found, "\n\n".join([f"FUZZ_SEED={SEED} FUZZ_SPECS={SPECS}", *found])


@pytest.mark.parametrize("life", FOUND.values(), ids=FOUND)
async def test_what_was_found_once_is_not_found_again(trials: list[Trial], life: Life) -> None:
    await trials[0].live(life)


def test_the_same_seed_generates_the_same() -> None:
    assert generate(1, 0, 3) == generate(1, 0, 3) != generate(2, 0, 3)


def told(campaign: Campaign) -> str:
    """Return the figures of a run."""
    trial = campaign.trials[0]
    tally, tools = trial.tally, trial.tools
    seconds = tally.seconds or [0.0]
    lines = [
        f"seed {campaign.seed}: {tally.specs.total()} specs in {campaign.seconds:.0f} s",
        f"a status after {statistics.median(seconds):.2f} s, the slowest after {max(seconds):.1f} s",
        f"read: {tools.loaded} buildkitd.toml, {tools.checked} haproxy.cfg, {tools.scripts} scripts",
    ]
    for title, counter in (
        ("answers", tally.specs),
        ("refused by", tally.refusals),
        ("reasons of statuses", tally.reasons),
        ("labelled pods", tally.pods),
        ("warnings of the operator", trial.log.warnings),
        ("failures", campaign.failures),
    ):
        lines += [f"{title}:", *(f"  {count:6} {what}" for what, count in counter.most_common())]
    return "\n".join(["", *lines])
