"""What becomes of a pod, for every sort of pod that we know of: the same with either engine, and what the files say."""

import re
from typing import Final

import pytest
import yaml

from buildkit_operator.admission.refusals import RULES, Rule
from tests.integration.admission.described import described
from tests.integration.admission.engines import HERE, Engine, Refusal, comparable

PODS: Final = sorted(file.stem for file in (HERE / "pods").glob("*.yaml"))
GOLDEN: Final = HERE / "golden"

SEEN_AT_ONCE: Final = {"app-armor-of-the-injected-container", "local-cache-as-a-device"}
"""Pods that the API server itself refuses, in its own words, as soon as a policy has given them nothing."""


def says(sentence: str, rule: Rule) -> bool:
    """Tell whether a sentence is the rule's, whatever stands in its placeholders."""
    return re.search(".*".join(re.escape(part) for part in re.split(r"\{\w+\}", rule.sentence)), sentence) is not None


def is_permanent(sentence: str) -> bool:
    """Tell whether the webhook refuses with 422, and does not ask to come again."""
    return all(rule.is_permanent for rule in RULES if says(sentence, rule))


@pytest.mark.parametrize("name", PODS)
def test_a_pod_becomes_the_same_with_either_engine(
    name: str, *, policies: Engine, webhook: Engine, request: pytest.FixtureRequest
) -> None:
    pod = yaml.safe_load((HERE / "pods" / f"{name}.yaml").read_text())

    by_policies, by_webhook = policies.create(pod), webhook.create(pod)

    if name in SEEN_AT_ONCE:
        assert isinstance(by_policies, Refusal)
        by_policies = by_webhook
    assert comparable(by_policies) == comparable(by_webhook)
    text = described(by_policies)
    if request.config.getoption("--update-golden"):
        (GOLDEN / f"{name}.yaml").write_text(text)
    assert text == (GOLDEN / f"{name}.yaml").read_text()
    if isinstance(by_policies, Refusal) and isinstance(by_webhook, Refusal):
        assert "BuildKitBuilder" in by_policies.sentence
        assert by_policies.code == 422
        assert by_webhook.code == (422 if is_permanent(by_webhook.sentence) else 429)


def test_there_is_a_golden_file_for_each_pod_and_no_other() -> None:
    assert sorted(file.stem for file in GOLDEN.glob("*.yaml")) == PODS
    assert len(PODS) > 60


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.sentence)
def test_each_rule_refuses_one_of_the_pods(rule: Rule) -> None:
    assert any(says(file.read_text(), rule) for file in GOLDEN.glob("*.yaml"))
