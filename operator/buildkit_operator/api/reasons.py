"""The reasons of conditions and events, a table with one row for each: what it means for those who see it. No I/O.

A row's remedy says what to do in general; a condition's message says the same of the one builder, and the page of the
reason in docs/reasons has the long of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, Literal, TypeAlias

from buildkit_operator.api.versions import POLICIES


class Reason(StrEnum):
    """Why a builder is in the state it is in."""

    # good
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    SUSPENDED = "Suspended"
    SCALED = "Scaled"
    SCALED_TO_ZERO = "ScaledToZero"
    TLS_DISABLED = "TLSDisabled"
    CERTIFICATE_PENDING = "CertificatePending"
    PROVIDER_NOT_READY = "ProviderNotReady"
    # somebody must change the builder or what it refers to
    INVALID_SPEC = "InvalidSpec"
    INVALID_TOML = "InvalidToml"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105  no password
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CERT_MANAGER_NOT_FOUND = "CertManagerNotFound"
    ISSUER_UNSUITABLE = "IssuerUnsuitable"
    CERTIFICATE_NOT_ALLOWED = "CertificateNotAllowed"
    PROVIDER_NOT_WATCHED = "ProviderNotWatched"
    NOT_ADMITTED = "NotAdmitted"
    NAME_CONFLICT = "NameConflict"
    REJECTED = "Rejected"
    # the operator itself is wrong
    RECONCILE_FAILED = "ReconcileFailed"
    # no pod gets the sidecar
    INJECTION_NOT_SERVED = "InjectionNotServed"
    # pods cannot be made or cannot start
    POD_SECURITY_DENIED = "PodSecurityDenied"
    PODS_REFUSED = "PodsRefused"
    UNSCHEDULABLE = "Unschedulable"
    CLAIM_PENDING = "ClaimPending"
    CLAIM_LOST = "ClaimLost"
    VOLUME_NOT_WRITABLE = "VolumeNotWritable"
    CACHE_INCOMPATIBLE = "CacheIncompatible"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    USER_NAMESPACE_DENIED = "UserNamespaceDenied"
    OUT_OF_MEMORY = "OutOfMemory"
    EVICTED = "Evicted"
    CRASH_LOOP = "CrashLoop"
    VOLUME_FULL = "VolumeFull"
    CACHE_BROKEN = "CacheBroken"
    NODE_LOST = "NodeLost"
    TERMINATION_STUCK = "TerminationStuck"
    # a daemon was ended before it was done
    DRAIN_TIMED_OUT = "DrainTimedOut"
    # what is around the builder is wrong
    CLOCK_WRONG = "ClockWrong"
    MANAGED_ELSEWHERE = "ManagedElsewhere"


class TerminalError(Exception):
    """Something that no retry solves: a user must act, and the builder is Stalled until then.

    Its objects stay as they are. Named after reconcile.TerminalError of controller-runtime.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        """Take the reason and a sentence that names what is wrong and the remedy, without secrets in it."""
        super().__init__(message)
        self.reason = reason
        self.message = message


EventType: TypeAlias = Literal["Normal", "Warning"]
"""Types of events, as Kubernetes has them."""


@dataclass(frozen=True)
class Row:
    """What a reason means."""

    remedy: str
    """What to do about it, in one or two sentences."""
    event_type: EventType
    """Of the event that tells of it; a message of type Warning names the page of its reason."""
    user_must_act: bool
    """Whether it is terminal: the operator, or Kubernetes, can try as often as it likes."""
    is_intentional: bool
    """Whether somebody asked for this state."""
    waiting_helps: bool
    """Whether it ends by itself as a rule."""


INSTALL_ENGINE: Final = (
    "Install an engine: with Helm, helm upgrade --reset-then-reuse-values --set injection.engine=Auto; with kustomize, "
    f"apply deploy/kustomize/overlays/policies (before Kubernetes {POLICIES}: overlays/webhook) with your image."
)
"""What to do where nothing injects. The condition, its page and doctor all say it with these words."""

INSTALL_AGAIN: Final = "with Helm, helm upgrade; with kustomize, apply your overlay"
"""How what is installed beside the operator is brought to this version, part of a sentence."""

_FINE: Final = partial(Row, event_type="Normal", user_must_act=False, is_intentional=False, waiting_helps=False)
_INTENTIONAL: Final = partial(Row, event_type="Normal", user_must_act=False, is_intentional=True, waiting_helps=False)
_TRANSIENT: Final = partial(Row, event_type="Normal", user_must_act=False, is_intentional=False, waiting_helps=True)
_RETRIED: Final = partial(Row, event_type="Warning", user_must_act=False, is_intentional=False, waiting_helps=False)
"""Something is wrong, but Kubernetes or the operator go on trying, and may succeed."""
_TERMINAL: Final = partial(Row, event_type="Warning", user_must_act=True, is_intentional=False, waiting_helps=False)

REASONS: Final[Mapping[str, Row]] = {
    Reason.AVAILABLE: _FINE("Nothing is to be done. If the message names a caveat, it names its remedy too."),
    Reason.PROGRESSING: _TRANSIENT(
        "Wait: the operator is at work. If nothing changes for minutes, look at the builder's events with kubectl "
        "describe, and whether the operator runs."
    ),
    Reason.SUSPENDED: _INTENTIONAL("Nothing, if that is meant. The operator goes on when spec.suspend is false."),
    Reason.SCALED: _FINE("Nothing is to be done: spec.shared.autoscaling has set another number of daemons."),
    Reason.SCALED_TO_ZERO: _INTENTIONAL(
        "Nothing, if that is meant. Raise spec.shared.replicas, by kubectl scale or an autoscaler, to have daemons; "
        "with spec.shared.autoscaling a runner pod brings the first one."
    ),
    Reason.TLS_DISABLED: _INTENTIONAL(
        "Set spec.shared.tls.mode to SelfSigned or CertManager, or let only the right pods reach the port with "
        "spec.shared.networkPolicy."
    ),
    Reason.CERTIFICATE_PENDING: _TRANSIENT(
        "Wait for cert-manager. If it does not come, kubectl describe certificate in the builder's namespace says what "
        "its issuer lacks."
    ),
    Reason.PROVIDER_NOT_READY: _TRANSIENT(
        "Wait for the builder that spec.shared.from names, or see what is wrong with it. This one follows by itself."
    ),
    Reason.INVALID_SPEC: _TERMINAL(
        "Correct the field of the spec that the message names, and apply the builder again."
    ),
    Reason.INVALID_TOML: _TERMINAL(
        "Correct spec.daemon.toml as the message says: buildkitd would not start with it, or would pass it over."
    ),
    Reason.SECRET_NOT_FOUND: _TERMINAL(
        "Create the Secret that the message names in the builder's namespace, with the key that it names; or take the "
        "reference to it out of the spec."
    ),
    Reason.CONFIG_MAP_NOT_FOUND: _TERMINAL(
        "Create the ConfigMap that the message names in the builder's namespace, with the key that it names; or take "
        "the reference to it out of the spec."
    ),
    Reason.CLAIM_NOT_FOUND: _TERMINAL(
        "Create the PersistentVolumeClaim that the message names in the builder's namespace; ReadWriteMany if jobs run "
        "on several nodes."
    ),
    Reason.CERT_MANAGER_NOT_FOUND: _TERMINAL("Install cert-manager, or set spec.shared.tls.mode to SelfSigned."),
    Reason.ISSUER_UNSUITABLE: _TERMINAL(
        "Name an issuer in spec.shared.tls.issuerRef that puts its CA into ca.crt, such as one of kind CA. "
        "ACME's do not."
    ),
    Reason.CERTIFICATE_NOT_ALLOWED: _TERMINAL(
        "Name an Issuer of the builder's own namespace and no further dnsNames; or have the administrator allow them: "
        "with Helm by the values certificates.*, with kustomize by the operator's variables "
        "BUILDKIT_OPERATOR_CERTIFICATE_*."
    ),
    Reason.PROVIDER_NOT_WATCHED: _TERMINAL(
        "Have the administrator add the provider's namespace to those that the operator watches (with Helm by "
        "watchNamespaces; with kustomize in your copy of overlays/namespaced, which has the Roles), or name another "
        "builder in spec.shared.from."
    ),
    Reason.NOT_ADMITTED: _TERMINAL(
        "Ask the owners of the builder that spec.shared.from names to admit this namespace in its "
        "spec.shared.allowedNamespaces. Check its name and namespace, too."
    ),
    Reason.NAME_CONFLICT: _TERMINAL(
        "After a restore, run the command in the message. Else delete or rename what it names, if nobody needs it; or "
        "give the builder another name."
    ),
    Reason.REJECTED: _TERMINAL(
        "Change what refuses it: a quota, an admission policy or a webhook of the cluster, or the field of the spec "
        f"that the message quotes. Where the operator lacks a right: {INSTALL_AGAIN}."
    ),
    Reason.RECONCILE_FAILED: _TERMINAL(
        "Look for the builder's name in the operator's log, and report what it says there; a newer version may have "
        "fixed it. What was last changed in the spec is the likeliest cause."
    ),
    Reason.INJECTION_NOT_SERVED: _RETRIED(f"{INSTALL_ENGINE} If one is there, run doctor."),
    Reason.POD_SECURITY_DENIED: _TERMINAL(
        "Set spec.isolation to UserNamespace, which Pod Security level baseline admits, or label the namespace with "
        "the level that the message names."
    ),
    Reason.PODS_REFUSED: _RETRIED(
        "Change what refuses the pods, in the words of the message: most often a quota, a limit range, or an admission "
        "policy of the cluster."
    ),
    Reason.UNSCHEDULABLE: _RETRIED(
        "Make room on the nodes, or ask for less in spec.resources; see whether spec.shared.pod (nodeSelector, "
        "tolerations, affinity) fits any node."
    ),
    Reason.CLAIM_PENDING: _RETRIED(
        "Look at what the storage says, which the message quotes: name a storage class that exists and can make "
        "volumes of this size and access mode in spec.cache."
    ),
    Reason.CLAIM_LOST: _TERMINAL(
        "Delete the PVC and its pod, which the message names: both are recreated, with an empty cache."
    ),
    Reason.VOLUME_NOT_WRITABLE: _RETRIED(
        "Make the top directory of the volume writable for uid 1000, or use a storage class whose volumes are."
    ),
    Reason.CACHE_INCOMPATIBLE: _TERMINAL(
        "Delete the PVC and its pod, which the message names: both are recreated, with an empty cache. Or create the "
        "builder again, with the isolation and highestID that it had before. In mode Sidecar, begin with the cache of "
        "a builder that has the same."
    ),
    Reason.IMAGE_PULL_FAILED: _RETRIED(
        "Correct spec.image, give credentials for its registry in spec.imagePullSecrets, or let the nodes reach it. A "
        "runner pod pulls with its own imagePullSecrets."
    ),
    Reason.CONTAINER_CONFIG_ERROR: _RETRIED(
        "Create the Secret or ConfigMap that spec.env refers to, with the key that it names; or take the reference out."
    ),
    Reason.USER_NAMESPACE_DENIED: _TERMINAL(
        "Let the daemon make a user namespace: exempt its pods from policies that set allowPrivilegeEscalation: false, "
        "or change the node's setting that the message names."
    ),
    Reason.OUT_OF_MEMORY: _RETRIED(
        "Raise spec.resources.limits.memory, or lower spec.daemon.maxParallelism: build steps count towards the "
        "daemon's memory."
    ),
    Reason.EVICTED: _RETRIED(
        "If the cache outgrew its volume, raise spec.cache.size or lower spec.daemon.garbageCollection.maxUsedSpace. "
        "If the node ran short of something, ask for it in spec.resources.requests."
    ),
    Reason.CRASH_LOOP: _RETRIED(
        "Read the daemon's log by the command in the message; it says why the daemon ended. What was last changed in "
        "the spec is the likeliest cause."
    ),
    Reason.VOLUME_FULL: _RETRIED(
        "Raise spec.cache.size, where the StorageClass allows volume expansion; else delete the PVC and its pod, which "
        "the message names: both are recreated, with an empty cache. In mode Sidecar the next pod has the room."
    ),
    Reason.CACHE_BROKEN: _RETRIED(
        "Wait: the daemon begins with an empty cache by itself. If it happens again, look at the node and its storage."
    ),
    Reason.NODE_LOST: _RETRIED(
        "Repair the node that the message names. If it is gone for good, delete its Node object, or taint it as out of "
        "service: its pods go then, and other daemons take their place."
    ),
    Reason.TERMINATION_STUCK: _RETRIED(
        "See that whoever set the finalizer that the message names removes it; where there is none, look at the node. "
        "Only once the pod has gone another daemon takes its place."
    ),
    Reason.DRAIN_TIMED_OUT: _RETRIED(
        "Raise spec.shared.drainTimeoutSeconds above the longest build, and give daemons that time when you stop them."
    ),
    Reason.CLOCK_WRONG: _RETRIED(
        "Correct the clock of the API server, or of the node that the message names. If it is right now, delete the "
        "Secret that the message names: all certificates of the builder are recreated."
    ),
    Reason.MANAGED_ELSEWHERE: _RETRIED(
        "Uninstall one of the two installations that the message names, or have each serve namespaces of its own: with "
        "Helm by watchNamespaces, with kustomize by a copy of overlays/namespaced."
    ),
}

UNKNOWN: Final = _RETRIED(
    "This version does not know the reason: go by the message, or use the operator's own version."
)


def row(reason: str) -> Row:
    """Return what a reason means as a condition has it, also where a newer operator wrote one that is new."""
    return REASONS.get(reason, UNKNOWN)
