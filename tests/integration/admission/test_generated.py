"""What holds of every pod, tried with generated ones through both engines: `make fuzz` sends 5,000.

The same answer from both; a labelled pod is admitted with exactly the injection and nothing else changed, or refused in
a sentence; no container has a volume that is not its own; whoever did not ask gets nothing; a second time is like once.
"""

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from buildkit_operator.kube import quantity
from buildkit_operator.kube.resources import Manifest
from tests.integration.admission.engines import Engine, Refusal, comparable, stored_builders
from tests.integration.admission.generated import pods
from tests.support.fuzzing import PODS, SEED

LABEL: Final = "buildkit-operator.dev/builder"
MARK: Final = "buildkit-operator.dev/injected"
NOTE: Final = "buildkit-operator.dev/not-injected"
BEGINNINGS: Final = (
    "BuildKitBuilder ",
    "there is no BuildKitBuilder ",
    "the pod is labelled buildkit-operator.dev/injected",
)
OUR_KEYS: Final = (
    *("buildkit-operator.dev/injected", "buildkit-operator.dev/owner", "buildkit-operator.dev/containers"),
    *(
        "buildkit-operator.dev/cache-key",
        "eks.amazonaws.com/skip-containers",
        "azure.workload.identity/skip-containers",
        "pod-identity.alibabacloud.com/skip-containers",
    ),
)
KEPT: Final = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}

outcomes: Final[Counter[str]] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _figures() -> Iterator[None]:
    yield
    print(f"\n{sum(outcomes.values())} pods, seed {SEED}: {dict(outcomes.most_common())}")


@pytest.mark.fuzz
@seed(SEED)
@settings(
    max_examples=PODS,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
@given(pods())
def test_every_pod_is_answered_alike_and_gets_what_it_should(policies: Engine, webhook: Engine, pod: Manifest) -> None:
    by_policies, by_webhook = policies.create(pod), webhook.create(pod)
    outcome = kind_of(pod, by_policies, by_webhook)
    outcomes[outcome] += 1

    if isinstance(by_policies, Refusal) or isinstance(by_webhook, Refusal):
        assert isinstance(by_policies, Refusal), (by_policies, by_webhook)
        assert isinstance(by_webhook, Refusal), (by_policies, by_webhook)
        if is_ours(by_policies):
            assert by_policies.sentence == by_webhook.sentence
        assert by_policies.code == 422, by_policies
        assert by_webhook.code in (422, 429), by_webhook
        return
    assert comparable(by_policies) == comparable(by_webhook)
    if outcome == "injected":
        check_injected(pod, by_policies, builder_of(policies, by_policies))
    else:
        check_untouched(pod, by_policies)
    again = policies.create(as_written(by_policies)), webhook.create(as_written(by_policies))
    assert comparable(again[0]) == comparable(again[1]) == comparable(by_policies)


def is_ours(refusal: Refusal) -> bool:
    """Tell whether it is one of our sentences, and not the API server's on a pod that it would not take anyway."""
    return refusal.sentence.startswith(BEGINNINGS)


def kind_of(pod: Manifest, by_policies: Manifest | Refusal, by_webhook: Manifest | Refusal) -> str:
    if isinstance(by_policies, Refusal) or isinstance(by_webhook, Refusal):
        both = [isinstance(said, Refusal) and is_ours(said) for said in (by_policies, by_webhook)]
        return "refused" if all(both) else "refused, invalid too" if any(both) else "invalid"
    if MARK in labels_of(by_policies) and MARK not in labels_of(pod):
        return "injected"
    if NOTE in annotations_of(by_policies) and by_policies["metadata"].get("annotations") != annotations_of(pod):
        return "passed over"
    return "marked" if MARK in labels_of(pod) else "untouched"


def labels_of(pod: Manifest) -> dict[str, str]:
    return pod["metadata"].get("labels") or {}


def annotations_of(pod: Manifest) -> dict[str, str]:
    return pod["metadata"].get("annotations") or {}


def builder_of(engine: Engine, pod: Manifest) -> Manifest:
    namespace, name = pod["metadata"]["namespace"], labels_of(pod)[MARK]
    if not _builders:
        _builders.extend(stored_builders(engine.control_plane).items)
    return next(b for b in _builders if (b["metadata"]["namespace"], b["metadata"]["name"]) == (namespace, name))


_builders: Final[list[Manifest]] = []


def as_written(pod: Manifest) -> Manifest:
    """Return a pod as a controller copies it."""
    generated = {"uid", "creationTimestamp", "managedFields", "generation"}
    metadata = {key: value for key, value in pod["metadata"].items() if key not in generated}
    return {"metadata": metadata, "spec": pod["spec"]}


def check_untouched(pod: Manifest, created: Manifest) -> None:
    """Check that a pod that nobody serves has nothing that its author did not write."""
    assert labels_of(created) == labels_of(pod)
    assert {k: v for k, v in annotations_of(created).items() if k != NOTE} == {
        k: v for k, v in annotations_of(pod).items() if k != NOTE
    }
    assert is_kept(pod["spec"], created["spec"])
    assert names(created, "initContainers") == names(pod, "initContainers")
    assert names(created, "volumes") == names(pod, "volumes")


def check_injected(pod: Manifest, created: Manifest, builder: Manifest) -> None:
    """Check that an injected pod is what its author wrote and what the builder's status says."""
    given = builder["status"]["injection"]
    spec, before = created["spec"], pod["spec"]
    ours = given["initContainers"]

    assert is_kept(ours, spec["initContainers"][: len(ours)])
    assert names(created, "initContainers") == [c["name"] for c in ours] + names(pod, "initContainers")
    assert names(created, "volumes") == names(pod, "volumes") + [volume["name"] for volume in given["volumes"]]
    assert is_kept(given["volumes"], spec["volumes"][len(names(pod, "volumes")) :])
    assert spec.get("hostUsers") == before.get("hostUsers", given.get("hostUsers"))
    for key in ("hostNetwork", "hostPID", "shareProcessNamespace"):
        assert bool(spec.get(key)) == bool(before.get(key))
    has_daemon = any(container["name"] == "buildkitd" for container in ours)
    assert not (has_daemon and any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")))
    assert not spec.get("shareProcessNamespace")
    served = []
    for old, new in zip(every(before), itertools.islice(every(spec), len(ours), None), strict=True):
        is_served = not given.get("containers") or old["name"] in given["containers"]
        served += [old["name"]] * is_served
        check_container(old, new, given, is_served=is_served)
    check_metadata(pod, created, given, served)


def check_container(old: Manifest, new: Manifest, given: Manifest, *, is_served: bool) -> None:
    wanted = copy.deepcopy(old)
    mine = {variable["name"] for variable in old.get("env") or ()}
    if is_served:
        group = [variable["name"] for variable in given.get("buildxEnv") or ()]
        added = [v for v in given.get("env") or () if v["name"] not in mine]
        if not mine & set(group):
            added += [
                {**v, "value": v["value"].replace("{container}", old["name"])} for v in given.get("buildxEnv") or ()
            ]
        wanted["env"] = [*(old.get("env") or ()), *added]
        present = {(mount["name"], mount["mountPath"]) for mount in old.get("volumeMounts") or ()}
        missing = [m for m in given["volumeMounts"] if (m["name"], m["mountPath"]) not in present]
        wanted["volumeMounts"] = [*(old.get("volumeMounts") or ()), *missing]
    assert is_kept(wanted, new), (wanted, new)
    assert len(new.get("volumeMounts", ())) == len(wanted.get("volumeMounts") or ())
    assert len(new.get("env", ())) == len(wanted.get("env") or ())
    ours = {volume["name"] for volume in given["volumes"]}  # another volume of such a name is the pod's own
    private = ours - {"buildkit-local-cache"}
    allowed = [(m["name"], m["mountPath"]) for m in given["volumeMounts"]] if is_served else []
    for mount in new.get("volumeMounts") or ():
        if mount["name"] in private:
            assert (mount["name"], mount["mountPath"]) in allowed
            assert set(mount) == {"name", "mountPath"}
        assert is_served or mount["name"] not in ours


def check_metadata(pod: Manifest, created: Manifest, given: Manifest, served: list[str]) -> None:
    ours = {key: labels_of(created).get(key) for key in given["labels"]}
    assert ours == given["labels"]
    theirs = {key: value for key, value in labels_of(pod).items() if key not in OUR_KEYS}
    assert {key: value for key, value in labels_of(created).items() if key not in OUR_KEYS} == theirs
    annotations = annotations_of(created)
    assert annotations["buildkit-operator.dev/containers"] == ",".join(served)
    assert NOTE not in annotations
    for cloud, separator in {
        "eks.amazonaws.com": ",",
        "azure.workload.identity": ";",
        "pod-identity.alibabacloud.com": ",",
    }.items():
        skipped = annotations[f"{cloud}/skip-containers"]
        assert skipped.split(separator)[0] == given["initContainers"][0]["name"]
        assert '"' not in skipped
        assert skipped.endswith(annotations_of(pod).get(f"{cloud}/skip-containers", "").replace('"', ""))
    theirs = {key: value for key, value in annotations_of(pod).items() if key not in (*OUR_KEYS, NOTE)}
    assert {key: value for key, value in annotations.items() if key not in OUR_KEYS} == {**KEPT, **theirs}


def is_kept(written: Any, stored: Any) -> bool:
    """Tell whether all of it is stored, where the API server may add defaults and leave out what is empty."""
    if stored is None:
        return not written
    if isinstance(written, dict):
        return all(is_kept(value, stored.get(key)) for key, value in written.items())
    if isinstance(written, list):
        return len(written) == len(stored) and all(map(is_kept, written, stored))
    return bool(written == stored) or quantity.is_same(str(written), str(stored))


def every(spec: Manifest) -> Iterator[Manifest]:
    return itertools.chain(spec.get("initContainers") or (), spec["containers"])


def names(pod: Manifest, field: str) -> list[Any]:
    return [item["name"] for item in pod["spec"].get(field) or ()]
