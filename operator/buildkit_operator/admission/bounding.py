"""A ValidatingAdmissionPolicy with the binding that puts it into force: for what RBAC cannot say."""

from __future__ import annotations

from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest

_API_VERSION = "admissionregistration.k8s.io/v1"


def manifests(name: str, spec: Manifest) -> list[Manifest]:
    """Return the policy, which refuses also where it cannot be judged, and its binding, which denies everywhere."""
    metadata = {"name": name, "labels": {names.NAME_LABEL: names.OPERATOR}}
    kind = "ValidatingAdmissionPolicy"
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": {"failurePolicy": "Fail", **spec}},
        {"apiVersion": _API_VERSION, "kind": f"{kind}Binding", "metadata": metadata, "spec": binding},
    ]
