"""RBAC manifests: the rights.py of each program, as kustomize's base and components and the chart have them.

The chart gets the rules alone, as named templates: which kind of role has them, and its name, depends on values.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from buildkit_operator.api import generated, names
from buildkit_operator.controller import rights as operator
from buildkit_operator.kube.rbac import PolicyRule, allow
from buildkit_operator.webhook import rights as webhook
from hack.generate.paths import CHART, KUSTOMIZE

_HEAD: Final = generated.head("each program's rights.py")
_GROUP: Final = "rbac.authorization.k8s.io"
_API_VERSION: Final = f"{_GROUP}/v1"
_WIDTH: Final = 120

Rules = tuple[PolicyRule, ...]


@dataclass(frozen=True)
class Account:
    """A ServiceAccount of ours, with its rights."""

    component: str
    """What its program is called; empty for the operator."""
    folder: str
    """Where kustomize has its program."""
    rules: Rules
    """In the whole cluster, or in each namespace that is watched."""
    cluster_rules: Rules = ()
    """In the whole cluster in any case, as no Role can grant them."""
    own_namespace_rules: Rules = ()
    public_rules: Rules = ()
    """In its own namespace, for every ServiceAccount of the cluster."""

    @property
    def name(self) -> str:
        """Name of the account, and of its roles."""
        return f"{names.OPERATOR}-{self.component}" if self.component else names.OPERATOR

    @property
    def program(self) -> str:
        """What it is for, in a word."""
        return self.component or "operator"


ACCOUNTS: Final = (
    Account("", "base", operator.RULES, (), operator.OWN_NAMESPACE_RULES, operator.PUBLIC_RULES),
    Account("webhook", "components/webhook", webhook.RULES, webhook.CLUSTER_RULES, webhook.OWN_NAMESPACE_RULES),
)

USERS: Final[Mapping[str, Rules]] = {
    "view": (
        allow(names.BUILDER, "get", "list", "watch"),
        allow(names.BUILDER, "get", subresource="scale"),
    ),
    "edit": (
        allow(names.BUILDER, "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
        allow(names.BUILDER, "get", "update", "patch", subresource="scale"),
    ),
}
"""What people may do with builders, by the cluster's own role that they have."""

_AGGREGATED_TO: Final = {"view": ("view",), "edit": ("edit", "admin")}
_USERS_HEAD: Final = f"""\
{generated.head("hack/generate/rbac.py")}\
# What people may do with builders: who has the cluster's own role view, edit or admin, for a namespace or everywhere,
# has this with it. edit has all of view, and admin all of edit.
"""


def files() -> Mapping[Path, str]:
    """Return the text of each file."""
    found = {KUSTOMIZE / "base" / "user-roles.yaml": f"{_USERS_HEAD}{_documents(map(_user_role, USERS))}"}
    for account in ACCOUNTS:
        found[KUSTOMIZE / account.folder / "rbac.yaml"] = f"{_HEAD}{_documents(_cluster_wide(account))}"
        rights = KUSTOMIZE / "components" / "namespaced" / "rights" / account.program
        found[rights / "rbac.yaml"] = f"{_HEAD}{_documents(_namespaced(account))}"
    found[CHART / "templates" / "_rules.tpl"] = _chart()
    return found


def _cluster_wide(account: Account) -> Iterator[str]:
    yield _object("v1", "ServiceAccount", account.name, _labels(account), names.OPERATOR)
    yield _role("ClusterRole", account, (*account.rules, *account.cluster_rules))
    yield _binding("ClusterRole", account)
    if account.own_namespace_rules:
        yield _role("Role", account, account.own_namespace_rules, names.OPERATOR)
        yield _binding("Role", account, names.OPERATOR)
    if account.public_rules:
        name, labels = f"{account.name}-lease", _labels(account)
        role = _object(_API_VERSION, "Role", name, labels, names.OPERATOR)
        yield f"{role}rules:\n{rules_yaml(account.public_rules)}"
        yield (
            _object(_API_VERSION, "RoleBinding", name, labels, names.OPERATOR)
            + f"roleRef: {{apiGroup: {_GROUP}, kind: Role, name: {name}}}\n"
            + f"subjects:\n- {{apiGroup: {_GROUP}, kind: Group, name: 'system:serviceaccounts'}}\n"
        )


def _namespaced(account: Account) -> Iterator[str]:
    """Yield what gives an account its rights in a namespace, which whoever uses it names."""
    yield _role("Role", account, account.rules)
    yield _binding("Role", account)


def _user_role(role: str) -> str:
    aggregated = "".join(f'\n    {_GROUP}/aggregate-to-{to}: "true"' for to in _AGGREGATED_TO[role])
    labels = f"\n    app.kubernetes.io/name: {names.OPERATOR}{aggregated}"
    role_object = _object(_API_VERSION, "ClusterRole", f"{names.OPERATOR}-{role}", labels)
    return f"{role_object}rules:\n{rules_yaml(USERS[role])}"


def _role(kind: str, account: Account, rules: Rules, namespace: str = "") -> str:
    role = _object(_API_VERSION, kind, account.name, _labels(account), namespace)
    return f"{role}rules:\n{rules_yaml(rules)}"


def _binding(kind: str, account: Account, namespace: str = "") -> str:
    return (
        _object(_API_VERSION, f"{kind}Binding", account.name, _labels(account), namespace)
        + f"roleRef: {{apiGroup: {_GROUP}, kind: {kind}, name: {account.name}}}\n"
        + f"subjects:\n- {{kind: ServiceAccount, name: {account.name}, namespace: {names.OPERATOR}}}\n"
    )


def _object(api_version: str, kind: str, name: str, labels: str, namespace: str = "") -> str:
    where = f"  namespace: {namespace}\n" if namespace else ""
    return f"apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n{where}  labels:{labels}\n"


def _labels(account: Account) -> str:
    component = f", app.kubernetes.io/component: {account.component}" if account.component else ""
    return f" {{app.kubernetes.io/name: {names.OPERATOR}{component}}}"


def _documents(texts: Iterable[str]) -> str:
    return "---\n".join(texts)


def rules_yaml(rules: Iterable[PolicyRule]) -> str:
    """Return policy rules as YAML, each under its reason; a reason that several share stands above the first."""
    lines: list[str] = []
    reason = ""
    for rule in rules:
        if rule.reason != reason:
            lines += textwrap.wrap(rule.reason, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        reason = rule.reason
        lines += [f"- apiGroups: {_flow([rule.group])}", f"  resources: {_flow(rule.resources)}"]
        if rule.resource_names:
            lines.append(f"  resourceNames: {_flow(rule.resource_names)}")
        lines.append(f"  verbs: {_flow(rule.verbs)}")
    return "".join(f"{line}\n" for line in lines)


def _flow(words: Iterable[str]) -> str:
    text = yaml.safe_dump(list(words), default_flow_style=True, width=1000)
    return str(text).strip().replace("''", '""')


def _chart() -> str:
    templates: dict[str, Rules] = {f"{role}Rules": rules for role, rules in USERS.items()}
    for account in ACCOUNTS:
        templates[f"{account.program}Rules"] = account.rules
        templates[f"{account.program}ClusterRules"] = account.cluster_rules
        templates[f"{account.program}OwnNamespaceRules"] = account.own_namespace_rules
        templates[f"{account.program}PublicRules"] = account.public_rules
    head = f"{{{{- /* {_HEAD.removeprefix('# ').rstrip()} */}}}}\n"
    return head + "".join(_template(name, rules) for name, rules in templates.items() if rules)


def _template(name: str, rules: Rules) -> str:
    # The objects that are meant have the names of the release.
    text = rules_yaml(rules).replace(f"[{names.WEBHOOK}]", '[{{ include "buildkit-operator.webhookName" . }}]')
    text = text.replace(f"[{names.OPERATOR}]", '[{{ include "buildkit-operator.fullname" . }}]')
    return f'{{{{- define "buildkit-operator.{name}" -}}}}\n{text}{{{{- end -}}}}\n'
