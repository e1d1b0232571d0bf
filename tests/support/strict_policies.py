"""The common rules of policy engines for pods, as ValidatingAdmissionPolicies: what strict clusters ask of every pod.

They are those of Kubernetes' Pod Security Standards, of Kyverno's and of Gatekeeper's libraries, each by itself. A rule
warns in namespaces labelled `warn: all`, and refuses in those that are labelled with its name.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from buildkit_operator.kube.resources import Manifest

_ALL: Final = (
    "(object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])).all(c, {each})"
)
_VOLUMES: Final = "(!has(object.spec.volumes) || object.spec.volumes.all(v, {each}))"


def _each(expression: str) -> str:
    return _ALL.format(each=expression)


def _context(expression: str) -> str:
    return _each(f"has(c.securityContext) && {expression}")


def _not_in_context(field: str, bad: str) -> str:
    return _each(f"!has(c.securityContext) || !has(c.securityContext.{field}) || !({bad})")


_PROFILES: Final = "c.securityContext.seccompProfile.type in ['RuntimeDefault', 'Localhost']"
_TYPES: Final = (
    "configMap csi downwardAPI emptyDir ephemeral persistentVolumeClaim projected secret".split()  # noqa: SIM905  read aloud
)

RULES: Final[dict[str, str]] = {
    "no privileged container": _not_in_context("privileged", "c.securityContext.privileged"),
    "no host namespaces": " && ".join(
        f"(!has(object.spec.{field}) || !object.spec.{field})" for field in ("hostNetwork", "hostPID", "hostIPC")
    ),
    "no host ports": _each("!has(c.ports) || c.ports.all(p, !has(p.hostPort))"),
    "volumes of harmless types": _VOLUMES.format(each=" || ".join(f"has(v.{kind})" for kind in _TYPES)),
    "no AppArmor profile Unconfined": _not_in_context(
        "appArmorProfile", "c.securityContext.appArmorProfile.type == 'Unconfined'"
    ),
    "no seccomp profile Unconfined": _not_in_context(
        "seccompProfile", "c.securityContext.seccompProfile.type == 'Unconfined'"
    ),
    "a seccomp profile": _context(f"has(c.securityContext.seccompProfile) && {_PROFILES}"),
    "procMount Default": _not_in_context("procMount", "c.securityContext.procMount != 'Default'"),
    "runAsNonRoot": _context("has(c.securityContext.runAsNonRoot) && c.securityContext.runAsNonRoot"),
    "no capability is added": _not_in_context(
        "capabilities", "has(c.securityContext.capabilities.add) && size(c.securityContext.capabilities.add) > 0"
    ),
    "all capabilities are dropped": _context(
        "has(c.securityContext.capabilities) && has(c.securityContext.capabilities.drop) && "
        "'ALL' in c.securityContext.capabilities.drop"
    ),
    "allowPrivilegeEscalation: false": _context(
        "has(c.securityContext.allowPrivilegeEscalation) && !c.securityContext.allowPrivilegeEscalation"
    ),
    "a read-only root file system": _context(
        "has(c.securityContext.readOnlyRootFilesystem) && c.securityContext.readOnlyRootFilesystem"
    ),
    "requests and limits of CPU and memory": _each(
        "has(c.resources) && has(c.resources.requests) && has(c.resources.limits) && "
        "['cpu', 'memory'].all(r, r in c.resources.requests && r in c.resources.limits)"
    ),
    "a limit of ephemeral storage": _each(
        "has(c.resources) && has(c.resources.limits) && 'ephemeral-storage' in c.resources.limits"
    ),
    "images of one registry": _each("c.image.startsWith('registry.example.com/')"),
    "images by digest": _each("c.image.contains('@sha256:')"),
    "no tag latest": _each("!c.image.endsWith(':latest')"),
    "imagePullPolicy Always": _each("c.imagePullPolicy == 'Always'"),
    "a probe in each container": (
        "object.spec.containers.all(c, has(c.livenessProbe) || has(c.readinessProbe) || has(c.startupProbe))"
    ),
    "liveness and readiness probes in each container": (
        "object.spec.containers.all(c, has(c.livenessProbe) && has(c.readinessProbe))"
    ),
    "a probe in each native sidecar": (
        "!has(object.spec.initContainers) || object.spec.initContainers.all(c, !has(c.restartPolicy) || "
        "has(c.livenessProbe) || has(c.readinessProbe) || has(c.startupProbe))"
    ),
    "no API token": ("has(object.spec.automountServiceAccountToken) && !object.spec.automountServiceAccountToken"),
    "no Secret in a variable": _each(
        "!has(c.env) || c.env.all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef))"
    ),
    "the label app.kubernetes.io/name": (
        "has(object.metadata.labels) && 'app.kubernetes.io/name' in object.metadata.labels"
    ),
    "a size limit of each emptyDir": _VOLUMES.format(each="!has(v.emptyDir) || has(v.emptyDir.sizeLimit)"),
}
"""By what they demand: the expression that tells whether a pod is so."""


def key(rule: str) -> str:
    """Return a rule's name as objects and labels have it."""
    words = "".join(letter if letter.isalnum() else " " for letter in rule.lower()).split()
    return f"strict-{'-'.join(words)}"


OF_A_COMPANY: Final = {"the label team": "has(object.metadata.labels) && 'team' in object.metadata.labels"}
"""A rule that nobody can obey who does not know it."""


def manifests(rules: Mapping[str, str]) -> Iterator[Manifest]:
    """Yield policies for rules, with their bindings."""
    version = "admissionregistration.k8s.io/v1"
    for rule, expression in rules.items():
        name = key(rule)
        yield {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                    ]
                },
                "validations": [{"expression": expression, "message": f"Pods here need: {rule}."}],
            },
        }
        for action, label in (("Warn", {"warn": "all"}), ("Deny", {name: "deny"})):
            yield {
                "apiVersion": version,
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": f"{name}-{action.lower()}"},
                "spec": {
                    "policyName": name,
                    "validationActions": [action],
                    "matchResources": {"namespaceSelector": {"matchLabels": label}},
                },
            }
