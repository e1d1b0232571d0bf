"""The vocabulary of conditions and events: every reason that a builder can be in, and the error that carries one."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from buildkit_operator.api import names


class ConditionType(StrEnum):
    """Types of conditions, as kstatus reads them (cli-utils, pkg/kstatus/README.md)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    INSECURE = "Insecure"
    """No type of kstatus, which passes it over: nothing is broken, but somebody decided to go without protection."""


class Reason(StrEnum):
    """Why a builder is in the state it is in."""

    # good
    AVAILABLE = "Available"
    PROGRESSING = "Progressing"
    SUSPENDED = "Suspended"
    SCALED_TO_ZERO = "ScaledToZero"
    TLS_DISABLED = "TLSDisabled"
    CERTIFICATE_PENDING = "CertificatePending"
    PROVIDER_NOT_READY = "ProviderNotReady"
    # somebody must change the builder or what it refers to
    INVALID_SPEC = "InvalidSpec"
    INVALID_TOML = "InvalidToml"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105  no password
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CERT_MANAGER_NOT_FOUND = "CertManagerNotFound"
    ISSUER_UNSUITABLE = "IssuerUnsuitable"
    PROVIDER_NOT_WATCHED = "ProviderNotWatched"
    NOT_ADMITTED = "NotAdmitted"
    NAME_CONFLICT = "NameConflict"
    REJECTED = "Rejected"
    # no pod gets the sidecar
    INJECTION_NOT_SERVED = "InjectionNotServed"
    # pods cannot be made or cannot start
    POD_SECURITY_DENIED = "PodSecurityDenied"
    PODS_REFUSED = "PodsRefused"
    UNSCHEDULABLE = "Unschedulable"
    CLAIM_PENDING = "ClaimPending"
    CLAIM_LOST = "ClaimLost"
    VOLUME_NOT_WRITABLE = "VolumeNotWritable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CONTAINER_CONFIG_ERROR = "ContainerConfigError"
    USER_NAMESPACE_DENIED = "UserNamespaceDenied"
    OUT_OF_MEMORY = "OutOfMemory"
    EVICTED = "Evicted"
    CRASH_LOOP = "CrashLoop"
    # a daemon was ended before it was done
    DRAIN_TIMED_OUT = "DrainTimedOut"


CALM: Final = frozenset(
    {
        Reason.AVAILABLE,
        Reason.PROGRESSING,
        Reason.SUSPENDED,
        Reason.SCALED_TO_ZERO,
        Reason.TLS_DISABLED,
        Reason.CERTIFICATE_PENDING,
        Reason.PROVIDER_NOT_READY,
    }
)
"""Reasons that are no cause for a warning."""

_SEE: Final = f" See {names.DOCUMENTATION}/"


def explained(reason: Reason, message: str) -> str:
    """Return a message with the page of its reason, where the reason is one that somebody has to do with."""
    return message if reason in CALM else f"{message} See {names.reason_page(reason)}."


def fitted(message: str, limit: int) -> str:
    """Return a message of at most `limit` bytes in UTF-8: what is too much is cut, but not the page at its end."""
    if len(message.encode()) <= limit:
        return message
    told, see, page = message.rpartition(_SEE)
    end = f"…{see}{page}" if see else "…"
    text = told if see else message
    return text.encode()[: limit - len(end.encode())].decode(errors="ignore") + end


class Problem(Exception):  # noqa: N818  it is raised, but above all it is a state that a builder is in
    """Something only a person can mend: the builder is Stalled until it is, and its children stay as they are."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Take the reason and a sentence that names what is wrong and the remedy, without secrets in it."""
        super().__init__(message)
        self.reason = reason
        self.message = message
