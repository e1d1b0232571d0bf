"""What to do about each reason, in general; a condition's message says the same of the one builder. No I/O.

One place for the command line and for the pages of the documentation, which have the long of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from buildkit_operator.api.conditions import Reason

DELIBERATE: Final = frozenset({Reason.AVAILABLE, Reason.SUSPENDED, Reason.SCALED_TO_ZERO})
"""States that a builder is left in on purpose: nothing is to be done, and nobody is to be woken."""

REMEDIES: Final[Mapping[str, str]] = {
    Reason.AVAILABLE: "Nothing is to be done. If the message names a caveat, it names its remedy too.",
    Reason.PROGRESSING: (
        "Wait: the operator is at work. If nothing changes for minutes, look at the builder's events with kubectl "
        "describe, and whether the operator runs."
    ),
    Reason.SUSPENDED: "Nothing, if that is meant. The operator goes on when spec.suspend is false.",
    Reason.SCALED_TO_ZERO: (
        "Nothing, if that is meant. Raise spec.shared.replicas, by kubectl scale or an autoscaler, to have daemons."
    ),
    Reason.TLS_DISABLED: (
        "Set spec.shared.tls.mode to SelfSigned or CertManager, or let only the right pods reach the port with "
        "spec.shared.networkPolicy."
    ),
    Reason.CERTIFICATE_PENDING: (
        "Wait for cert-manager. If it does not come, kubectl describe certificate in the builder's namespace says what "
        "its issuer lacks."
    ),
    Reason.PROVIDER_NOT_READY: (
        "Wait for the builder that spec.shared.from names, or see what ails it. This one follows by itself."
    ),
    Reason.INVALID_SPEC: "Correct the field of the spec that the message names, and apply the builder again.",
    Reason.INVALID_TOML: (
        "Correct spec.daemon.toml as the message says: buildkitd would not start with it, or would pass it over."
    ),
    Reason.SECRET_NOT_FOUND: (
        "Create the Secret that the message names in the builder's namespace, with the key that it names; or take the "
        "reference to it out of the spec."
    ),
    Reason.CLAIM_NOT_FOUND: (
        "Create the PersistentVolumeClaim that spec.injection.localCache names in the builder's namespace; "
        "ReadWriteMany if jobs run on several nodes."
    ),
    Reason.CERT_MANAGER_NOT_FOUND: "Install cert-manager, or set spec.shared.tls.mode to SelfSigned.",
    Reason.ISSUER_UNSUITABLE: (
        "Name an issuer in spec.shared.tls.issuerRef that puts its authority into ca.crt, such as one of kind CA. "
        "ACME's do not."
    ),
    Reason.PROVIDER_NOT_WATCHED: (
        "Have the administrator add the provider's namespace to those that the operator watches "
        "(BUILDKIT_OPERATOR_WATCH_NAMESPACES, with the Roles for it), or name another builder in spec.shared.from."
    ),
    Reason.NOT_ADMITTED: (
        "Ask the owners of the builder that spec.shared.from names to admit this namespace in its "
        "spec.shared.allowedNamespaces. Check its name and namespace, too."
    ),
    Reason.NAME_CONFLICT: (
        "Delete or rename the object that the message names, if nobody needs it; or give the builder another name."
    ),
    Reason.REJECTED: (
        "Have the API server take what the message names: a quota, an admission policy or a webhook of the cluster "
        "refuses it, or the operator lacks a right. Look at those, or at the field of the spec that it quotes."
    ),
    Reason.INJECTION_NOT_SERVED: (
        "Install one of the engines that inject: the admission policies from Kubernetes 1.36 on, the webhook before "
        "that. Where it is installed, see whether it answers: the command doctor tells."
    ),
    Reason.POD_SECURITY_DENIED: (
        "Set spec.isolation to UserNamespace, which Pod Security level baseline admits, or label the namespace with "
        "the level that the message names."
    ),
    Reason.PODS_REFUSED: (
        "Change what refuses the pods, in the words of the message: most often a quota, a limit range, or an admission "
        "policy of the cluster."
    ),
    Reason.UNSCHEDULABLE: (
        "Make room on the nodes, or ask for less in spec.resources; see whether spec.shared.pod (nodeSelector, "
        "tolerations, affinity) fits any node."
    ),
    Reason.CLAIM_PENDING: (
        "Look at what the storage says, which the message quotes: name a storage class that exists and can make "
        "volumes of this size and access mode in spec.cache.persistentVolumeClaim."
    ),
    Reason.CLAIM_LOST: (
        "Delete the claim and its pod, which the message names: both are made anew, with an empty cache."
    ),
    Reason.VOLUME_NOT_WRITABLE: (
        "Make the top directory of the volume writable for uid 1000, or use a storage class whose volumes are."
    ),
    Reason.IMAGE_PULL_FAILED: (
        "Correct spec.image, give credentials for its registry in spec.imagePullSecrets, or let the nodes reach it. A "
        "runner pod pulls with its own imagePullSecrets."
    ),
    Reason.CONTAINER_CONFIG_ERROR: (
        "Create the Secret or ConfigMap that spec.env refers to, with the key that it names; or take the reference out."
    ),
    Reason.USER_NAMESPACE_DENIED: (
        "Let the daemon make a user namespace: exempt its pods from policies that set allowPrivilegeEscalation: false, "
        "or change the node's setting that the message names."
    ),
    Reason.OUT_OF_MEMORY: (
        "Raise spec.resources.limits.memory, or lower spec.daemon.maxParallelism: build steps count towards the "
        "daemon's memory."
    ),
    Reason.EVICTED: (
        "If the cache outgrew its volume, raise spec.cache.size or lower spec.daemon.garbageCollection.maxUsedSpace. "
        "If the node ran short of something, ask for it in spec.resources.requests."
    ),
    Reason.CRASH_LOOP: (
        "Read the daemon's log by the command in the message; it says why the daemon ended. What was last changed in "
        "the spec is the likeliest cause."
    ),
    Reason.DRAIN_TIMED_OUT: (
        "Raise spec.shared.drainTimeoutSeconds above the longest build, and give daemons that time when you stop them."
    ),
}
"""One or two sentences for each reason."""

UNKNOWN: Final = "This version does not know the reason: go by the message, or use the operator's own version."


def remedy(reason: str) -> str:
    """Return what to do about a reason as a condition has it, also where a newer operator wrote one that is new."""
    return REMEDIES.get(reason, UNKNOWN)
