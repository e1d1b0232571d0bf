"""Pods without injection: those that asked for a builder and have none, and why as far as one can see later. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from buildkit_operator.admission import refusals
from buildkit_operator.admission.matching import NotAsked, why_not_asked
from buildkit_operator.admission.params import Params
from buildkit_operator.admission.variables import Variables
from buildkit_operator.api import names
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, failed, or_ok, unknown, warning
from buildkit_operator.kube.resources import Manifest

_AGAIN: Final = "Have the pod recreated: a pod that exists cannot be given anything."


def uninjected(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look for pods that ask for a builder that is there, and run without it."""
    if isinstance(cluster.asking, Unasked):
        yield unknown("Whether pods run without the builder that they ask for", cluster.asking)
    else:
        count = len([pod for pod in cluster.asking if _asked_for(pod) in _by_name(cluster)])
        asking = "No pod asks" if count == 0 else f"{count} {'pod asks' if count == 1 else 'pods ask'}"
        yield from or_ok(
            [*_without(cluster, cluster.asking), *_passed_over(cluster)],
            f"{asking} for a builder that is there{', and none runs without it' if count else ''}.",
        )


def _without(cluster: ClusterState, asking: Any) -> Iterator[CheckFinding]:
    builders = _by_name(cluster)
    for pod in asking:
        labels = pod["metadata"]["labels"]
        builder = builders.get((pod["metadata"]["namespace"], labels[names.BUILDER_LABEL]))
        if names.INJECTED_LABEL not in labels and builder is not None:
            why, remedy = why_not(pod, builder)
            yield failed(
                f"Pod {_title(pod)} asks for builder {labels[names.BUILDER_LABEL]} and got nothing: {why}", remedy
            )


def why_not(pod: Manifest, builder: Manifest) -> tuple[str, str]:
    """Return why a pod did not get a builder that is there, and what to do."""
    metadata = pod["metadata"]
    not_asked = why_not_asked(pod, metadata["namespace"])
    if not_asked is NotAsked.NAMESPACE:
        why = f"pods of namespace {metadata['namespace']} are never looked at."
        return why, "Run the job in another namespace, with a builder of its own."
    if not_asked is NotAsked.MIRROR:
        why = "a kubelet runs it from a file, and only shows it to the API server."
        return why, "Make it a pod of the API server's."
    if metadata["creationTimestamp"] < builder["metadata"]["creationTimestamp"]:
        return "it is older than the builder.", _AGAIN
    try:
        refusals.check(Variables(pod, Params(builder), metadata["namespace"]))
    except refusals.PodRefused as refused:
        return f"as it is, it is refused: {refused.message}", ""
    return "when it was made, no engine served it.", f"{_AGAIN} Which engine serves now is said by the check Engine."


def _passed_over(cluster: ClusterState) -> Iterator[CheckFinding]:
    if isinstance(cluster.picked, Unasked):
        yield unknown("Whether pods that builders pick got them", cluster.picked)
        return
    for pod in cluster.picked:
        said = (pod["metadata"].get("annotations") or {}).get(names.NOT_INJECTED_ANNOTATION)
        if said:
            yield warning(f"Pod {_title(pod)}, which a builder picks, got nothing: {said}", _AGAIN)
        else:
            yield warning(
                f"Pod {_title(pod)}, which a builder picks, got nothing: it is older than the builder, its podSelector "
                "or the namespace's label, or no engine served it.",
                _AGAIN,
            )


def unheard_of(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look for pods whose label names no builder."""
    if isinstance(cluster.asking, Unasked):
        yield unknown("Whether pods name builders that are not there", cluster.asking)
    else:
        builders = _by_name(cluster)
        wrong = [pod for pod in cluster.asking if _asked_for(pod) not in builders]
        yield from or_ok(map(_names_nobody, wrong), "Every pod that names a builder names one that is there.")


def _names_nobody(pod: Manifest) -> CheckFinding:
    namespace, name = _asked_for(pod)
    return failed(
        f'Pod {_title(pod)} asks for builder "{name}", which namespace {namespace} does not have.',
        f"Make that builder, or label the pods with the name of one that is there: kubectl get bkb -n {namespace}",
    )


def refused(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look for workloads whose pods were refused over their builder. The API server keeps events for an hour."""
    if isinstance(cluster.refusals, Unasked):
        yield unknown("Whether pods were refused over their builder", cluster.refusals)
    else:
        yield from or_ok(_refused(cluster.refusals), "No event tells of pods that were refused over their builder.")


def _refused(events: Any) -> Iterator[CheckFinding]:
    told: dict[tuple[str, str, str], str] = {}
    for event in events:
        note = str(event.get("message", ""))
        if any(sign in note for sign in names.ENGINE_SIGNS):
            about = event["involvedObject"]
            told[about.get("kind", ""), about.get("namespace", ""), about.get("name", "")] = note
    for (kind, namespace, name), note in sorted(told.items()):
        yield warning(
            f"Pods of {kind} {namespace}/{name} were refused: {' '.join(note.split())}",
            "Do as the message says; the workload tries again by itself.",
        )


def _by_name(cluster: ClusterState) -> Mapping[tuple[str, str], Manifest]:
    return {(b["metadata"]["namespace"], b["metadata"]["name"]): b for b in cluster.live_builders()}


def _asked_for(pod: Manifest) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["labels"][names.BUILDER_LABEL]


def _title(pod: Manifest) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
