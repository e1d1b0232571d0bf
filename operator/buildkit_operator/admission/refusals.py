"""Admission refusals: why a pod gets no builder, each as a sentence for people and as the condition of both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from buildkit_operator.admission import cel, mounts
from buildkit_operator.admission.variables import CONTAINER_LISTS, Variables
from buildkit_operator.api import names
from buildkit_operator.api.builder import Isolation
from buildkit_operator.api.conditions import ConditionType
from buildkit_operator.kube.manifests import condition

NO_BUILDER: Final = (
    'there is no BuildKitBuilder "{builder}" in namespace "{namespace}", which the pod asks for with the label '
    f"{names.BUILDER_LABEL}. Those there are: kubectl get {names.SHORT_NAME} -n {{namespace}}"
)
"""For a pod whose builder is not there, so that nothing can be said of it."""

BEGINNING: Final = 'BuildKitBuilder "{builder}" in namespace "{namespace}" cannot serve this pod: '
_HINT: Final = f" See: kubectl describe {names.SHORT_NAME} {{builder}} -n {{namespace}}"
_COMMON: Final = {"builder": "params.metadata.name", "namespace": "request.namespace"}

APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
"""Annotations by which a pod gives its containers an AppArmor profile begin with it, a container's name follows."""

Values = dict[str, str]


class PodRefused(Exception):  # noqa: N818  an answer, not a failure
    """A pod cannot have the builder."""

    def __init__(self, message: str, *, is_permanent: bool = True) -> None:
        """Take the sentence for the pod's author, and whether to ask again later is of no use."""
        super().__init__(message)
        self.message = message
        self.is_permanent = is_permanent


@dataclass(frozen=True)
class Rule:
    """A reason for which a pod gets no builder."""

    sentence: str
    """What is wrong and what to do, after the words that name the builder. In it stand {placeholders}."""
    find: Callable[[Variables], Values | None]
    """Python: return the values of the placeholders where the rule applies, else None."""
    condition: str
    """CEL: whether it applies."""
    values: Values = field(default_factory=dict)
    """CEL: expressions for the placeholders."""
    is_permanent: bool = True
    """Whether the pod will be refused for as long as nobody changes anything.

    Only the webhook can answer otherwise: 429, so that the client tries again. A policy refuses with 422 in any case.
    """


def check(variables: Variables) -> None:
    """Raise PodRefused for the first rule that applies."""
    for rule in RULES:
        values = rule.find(variables)
        if values is not None:
            template = BEGINNING + rule.sentence
            message = template.format(builder=variables.name, namespace=variables.namespace, **values)
            raise PodRefused(message, is_permanent=rule.is_permanent)


_FOUND: Final = {
    "readyMessages": cel.expression("""
        (has(params.status.conditions) ? params.status.conditions : [])
          .filter(c, c.type == 'Ready').map(c, c.message)
    """),
    "takenContainers": cel.expression("""
        (variables.initContainers + variables.containers)
          .filter(c, c.name in variables.ourNames).map(c, c.name)
    """),
    "takenVolumes": cel.expression("""
        variables.volumes.filter(v, variables.ourVolumes.exists(ours, ours.name == v.name)).map(v, v.name)
    """),
    "profiles": cel.expression(
        """
        variables.ourNames.filter(n, has(object.metadata.annotations) && ($prefix + n) in object.metadata.annotations)
        """,
        prefix=cel.literal(APP_ARMOR),
    ),
    **mounts.VARIABLES,
}
"""CEL: what the rules look for; of what one finds, its sentence tells the first."""


_HAS_DAEMON: Final = cel.expression("'$DAEMON' in variables.ourNames")


def _unready(variables: Variables) -> Values | None:
    if variables.params.is_rendered:
        return None
    message = condition(variables.params.builder, ConditionType.READY).get("message")
    return None if message is None else {"message": message}


def _unseen(variables: Variables) -> Values | None:
    return None if variables.params.is_rendered else {}


def _sharing(host_field: str) -> Callable[[Variables], Values | None]:
    return lambda variables: {} if variables.spec.get(host_field) and variables.params.has_daemon else None


def _with_process_namespace(variables: Variables) -> Values | None:
    return {} if variables.spec.get("shareProcessNamespace") else None


def _with_nodes_processes(variables: Variables) -> Values | None:
    return {} if variables.spec.get("hostPID") and not variables.params.has_daemon else None


def _on_windows(variables: Variables) -> Values | None:
    system = (variables.spec.get("os") or {}).get("name")
    selected = (variables.spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    return {} if "windows" in (system, selected) else None


def _against_user_namespace(variables: Variables) -> Values | None:
    is_ruled_out = variables.params.injection.get("hostUsers") is False
    return {} if is_ruled_out and variables.spec.get("hostUsers") is True else None


def _for_user_namespace(variables: Variables) -> Values | None:
    is_ruled_out = variables.params.has_daemon and "hostUsers" not in variables.params.injection
    return {} if is_ruled_out and variables.spec.get("hostUsers") is False else None


def _with_our_container(variables: Variables) -> Values | None:
    ours = variables.params.container_names
    return _first(c["name"] for listed in CONTAINER_LISTS for c in variables.listed(listed) if c["name"] in ours)


def _with_our_volume(variables: Variables) -> Values | None:
    ours = variables.params.volume_names
    return _first(v["name"] for v in variables.listed("volumes") if v["name"] in ours)


def _first(found: Iterator[str]) -> Values | None:
    name = next(found, None)
    return None if name is None else {"name": name}


def _with_profile(variables: Variables) -> Values | None:
    return _first(
        name for name in sorted(variables.params.container_names) if APP_ARMOR + name in variables.annotations
    )


def _like_a_daemon(variables: Variables) -> Values | None:
    return {} if variables.labels.get(names.NAME_LABEL) == names.DAEMON else None


def _mounting(find: Callable[[Variables], Iterator[tuple[str, str]]], variable: str, sentence: str, what: str) -> Rule:
    """Return the rule on mounts that are found, whose sentence tells the container and the rest by the name `what`."""

    def first(variables: Variables) -> Values | None:
        found = next(find(variables), None)
        return None if found is None else {"container": found[0], what: found[1]}

    values = {"container": f"variables.{variable}[0][0]", what: f"variables.{variable}[0][1]"}
    return Rule(f"the pod's container {{container}} {sentence}", first, f"variables.{variable}.size() > 0", values)


RULES: Final = (
    Rule(
        f"it is not ready: {{message}}{_HINT}",
        _unready,
        "!has(params.status.injection) && variables.readyMessages.size() > 0",
        {"message": "variables.readyMessages[0]"},
    ),
    Rule(
        f"it is not ready: the operator has not looked at it yet.{_HINT}",
        _unseen,
        "!has(params.status.injection)",
        is_permanent=False,
    ),
    *(
        Rule(
            f"the pod has {shared}: true, and what a Dockerfile runs would be let into its node's {what} too. "
            "Remove it.",
            _sharing(shared),
            f"{_HAS_DAEMON} && has(object.spec.{shared}) && object.spec.{shared}",
        )
        for shared, what in {"hostNetwork": "network", "hostPID": "processes", "hostIPC": "IPC"}.items()
    ),
    Rule(
        "the pod has hostPID: true, and its containers would be let into the processes of the injected one. Remove it.",
        _with_nodes_processes,
        f"!({_HAS_DAEMON}) && has(object.spec.hostPID) && object.spec.hostPID",
    ),
    Rule(
        "the pod has shareProcessNamespace: true, and its containers and the injected one would be let into each "
        "other's processes. Remove it.",
        _with_process_namespace,
        "has(object.spec.shareProcessNamespace) && object.spec.shareProcessNamespace",
    ),
    Rule(
        f"the pod runs on Windows nodes, where BuildKit cannot. Remove the label {names.BUILDER_LABEL}.",
        _on_windows,
        cel.expression("""
            has(object.spec.os) && object.spec.os.name == 'windows'
            || has(object.spec.nodeSelector) && 'kubernetes.io/os' in object.spec.nodeSelector
               && object.spec.nodeSelector['kubernetes.io/os'] == 'windows'
        """),
    ),
    Rule(
        f"the pod has hostUsers: true, but the builder's isolation is {Isolation.USER_NAMESPACE}. Remove hostUsers, or "
        f"set isolation to {Isolation.ROOTLESS}.",
        _against_user_namespace,
        "has(variables.injection.hostUsers) && has(object.spec.hostUsers) && object.spec.hostUsers",
    ),
    Rule(
        f"the pod has hostUsers: false, under which the builder's isolation {Isolation.ROOTLESS} cannot work. Set the "
        f"builder's isolation to {Isolation.USER_NAMESPACE}.",
        _for_user_namespace,
        f"{_HAS_DAEMON} && !has(variables.injection.hostUsers) && has(object.spec.hostUsers) && !object.spec.hostUsers",
    ),
    Rule(
        "the pod has a container named {name}, which is the name of the injected one. Rename it.",
        _with_our_container,
        "variables.takenContainers.size() > 0",
        {"name": "variables.takenContainers[0]"},
    ),
    Rule(
        "the pod has a volume named {name}, which is the name of an injected one. Rename it.",
        _with_our_volume,
        "variables.takenVolumes.size() > 0",
        {"name": "variables.takenVolumes[0]"},
    ),
    Rule(
        f"the pod's annotation {APP_ARMOR}{{name}} would change the injected container. Remove it.",
        _with_profile,
        "variables.profiles.size() > 0",
        {"name": "variables.profiles[0]"},
    ),
    Rule(
        f"the pod is labelled {names.NAME_LABEL}: {names.DAEMON}, and would count as one of the builder's daemons. "
        "Remove that label.",
        _like_a_daemon,
        cel.expression("'$NAME_LABEL' in object.metadata.labels && object.metadata.labels['$NAME_LABEL'] == '$DAEMON'"),
    ),
    _mounting(
        mounts.taken,
        "takenMounts",
        "mounts the injected volume {volume} otherwise than the builder gives it. Remove that mount.",
        "volume",
    ),
    _mounting(
        mounts.covering,
        "coveredMounts",
        "mounts a volume of its own at {path}, where the builder's goes. Mount it elsewhere.",
        "path",
    ),
    _mounting(
        mounts.unclear,
        "unclearMounts",
        'mounts a volume at {path}. Write that path without "..".',
        "path",
    ),
)
"""In the order in which they are asked. From the second on, a rule may rely on a builder that has been rendered."""


def _first_reason() -> str:
    """Return the CEL of the first sentence that applies, without its beginning; of an empty string where none does."""
    cases = [f"{rule.condition}\n? {cel.sentence(rule.sentence, _COMMON | rule.values)}" for rule in RULES]
    return "\n: ".join([*cases, "''"])


VARIABLES: Final = {
    **_FOUND,
    "reason": _first_reason(),
    "refusal": f"variables.reason == '' ? ''\n: {cel.sentence(BEGINNING, _COMMON)} + variables.reason",
}
"""The same as check, for the policies: `refusal` is the sentence that a pod is refused with, or an empty string."""
