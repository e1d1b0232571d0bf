"""Diagnosis of what is around a builder: clocks that cannot be right, another installation of the operator. No I/O."""

from __future__ import annotations

from datetime import datetime

from buildkit_operator.api import names
from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.pki.keypairs import is_of_the_future, parse
from buildkit_operator.status.diagnosis.daemons import Finding


def authority_of_the_future(builder: str, certificates: Certificates | None, now: datetime) -> Finding | None:
    """Return what to tell of a builder whose authority has not begun yet, or None where it has."""
    if certificates is None or certificates.authorities is None:
        return None
    authority = parse(certificates.authorities.active.certificate)
    if authority is None or not is_of_the_future(authority, now):
        return None
    secret, begin = names.authority_secret(builder), authority.not_valid_before_utc.isoformat()
    return Finding(
        Reason.CLOCK_WRONG,
        f"The CA in Secret {secret} begins at {begin}, which is in the future: a clock is wrong, or was when it was "
        "made. It is kept, as replacing it would shut out every client. Correct the clock of the API server; if that "
        "is right, delete the Secret, and all certificates are recreated.",
    )


def stands_back(own: str, other: str) -> Finding:
    """Return what to tell of a builder that another installation is in charge of."""
    return Finding(
        Reason.MANAGED_ELSEWHERE,
        f"Installation {own} of the operator leaves this builder to {other}, which is in charge of it: both serve its "
        "namespace, and two would undo each other's work. Uninstall one of them, or have each serve namespaces of its "
        f"own. {own} takes over when {other} is gone.",
    )
