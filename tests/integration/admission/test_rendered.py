"""What the operator renders passes through either engine whole: quantities, hooks, field references and all."""

from typing import Any

import pytest

from buildkit_operator.kube import quantity
from tests.integration.admission.engines import RENDERED, Engine, Refusal, comparable, render


def pod(builder: str) -> dict[str, Any]:
    labels = {"buildkit-operator.dev/builder": builder}
    spec = {"containers": [{"name": "job", "image": "app"}]}
    return {"metadata": {"name": "rendered", "namespace": "ci", "labels": labels}, "spec": spec}


@pytest.mark.parametrize("name", RENDERED)
def test_a_pod_gets_what_is_rendered(policies: Engine, webhook: Engine, name: str) -> None:
    by_policies, by_webhook = policies.create(pod(name)), webhook.create(pod(name))

    assert comparable(by_policies) == comparable(by_webhook)
    assert not isinstance(by_policies, Refusal)
    rendered = render(name)
    for field in ("initContainers", "volumes"):
        assert is_kept(rendered[field], by_policies["spec"][field])


def is_kept(rendered: Any, stored: Any) -> bool:
    """Tell whether all of it is stored, where the API server may only add defaults and write quantities its own way."""
    if isinstance(rendered, dict):
        return all(is_kept(value, stored.get(key)) for key, value in rendered.items() if value != {})
    if isinstance(rendered, list):
        return len(rendered) == len(stored) and all(map(is_kept, rendered, stored))
    return bool(rendered == stored) or quantity.is_same(str(rendered), str(stored))
