"""Generated files are fresh, and policy rules are written as people read them."""

from pathlib import Path

import pytest

from buildkit_operator.kube.rbac import PolicyRule, merged
from hack.generate import chart, kustomize, manifests, rbac, reference
from hack.generate.paths import TOP

FILES = {
    **manifests.files(),
    **rbac.files(),
    **kustomize.naming_the_version(),
    **reference.files(),
    **chart.files(),
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TOP)))
def test_a_generated_file_is_fresh(file: Path) -> None:
    assert file.read_text() == FILES[file], "run `make generate`"


def test_rules_that_differ_by_their_resources_alone_are_one() -> None:
    def rule(group: str, resource: str) -> PolicyRule:
        return PolicyRule(group, (resource,), ("get",), "They are read.")

    services, pods, deployments = rule("", "services"), rule("", "pods"), rule("apps", "deployments")

    assert list(merged([services, pods, deployments])) == [
        PolicyRule("", ("services", "pods"), ("get",), "They are read."),
        deployments,
    ]


def test_a_reason_stands_once_above_all_rules_that_it_is_for() -> None:
    rules = (
        PolicyRule("", ("pods",), ("get", "list"), "They are read."),
        PolicyRule("apps", ("deployments",), ("get",), "They are read."),
        PolicyRule("", ("secrets",), ("get",), resource_names=("one",)),
    )

    assert rbac.rules_yaml(rules) == (
        '# They are read.\n- apiGroups: [""]\n  resources: [pods]\n  verbs: [get, list]\n'
        "- apiGroups: [apps]\n  resources: [deployments]\n  verbs: [get]\n"
        '- apiGroups: [""]\n  resources: [secrets]\n  resourceNames: [one]\n  verbs: [get]\n'
    )
