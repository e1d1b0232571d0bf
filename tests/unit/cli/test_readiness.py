"""How builders are, and their certificates."""

from datetime import timedelta
from typing import Any

import pytest

from buildkit_operator.api.reasons import Reason, row
from buildkit_operator.cli.checks.cluster_state import WebhookState
from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import Usage
from tests.unit.cli.cluster_states import FORBIDDEN, cluster, found, installed_webhook, live, messages, ready, result
from tests.unit.make import NOW


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ready(), CheckResult.OK),
        (ready("False", "Suspended"), CheckResult.OK),
        (ready("True", "ScaledToZero"), CheckResult.OK),
        (ready("False", "Progressing"), CheckResult.WARNING),
        (ready("False", "CertificatePending"), CheckResult.WARNING),
        (ready("False", "ProviderNotReady"), CheckResult.WARNING),
        ({"observedGeneration": -1}, CheckResult.WARNING),
        (ready() | {"observedGeneration": 0}, CheckResult.WARNING),
        (ready("False", "ImagePullFailed"), CheckResult.FAILED),
        (ready("False", "Novel"), CheckResult.FAILED),
    ],
)
def test_what_ails_a_builder_fails_unless_it_may_pass(status: Manifest, expected: CheckResult) -> None:
    assert result("Builders", cluster(builders=[live(status=status)])) is expected


def test_a_builder_that_is_not_ready_is_told_with_remedy_and_page() -> None:
    (finding,) = found("Builders", cluster(builders=[live(status=ready("False", "Evicted", "It is gone."))]))

    assert finding.message == "BuildKitBuilder ci/demo: Evicted: It is gone."
    assert finding.remedy == row(Reason.EVICTED).remedy
    assert finding.page == "https://docs.unreleased.invalid/reasons/Evicted/"


def test_builders_that_are_well_are_counted() -> None:
    builders = [live("a"), live("b", status=ready("True", "ScaledToZero")), live("c", status={})]

    assert "2 of 3 builders are well, 1 of them suspended or scaled to zero on purpose." in messages(
        "Builders", cluster(builders=builders)
    )


def test_going_without_tls_is_a_warning() -> None:
    status = ready()
    status["conditions"].append({"type": "Insecure", "status": "True", "reason": "TLSDisabled", "message": "No TLS."})

    seen = cluster(builders=[live(status=status)])

    assert result("Builders", seen) is CheckResult.WARNING
    assert row(Reason.TLS_DISABLED).remedy in messages("Builders", seen)


DAY = timedelta(days=1)
CERT_MANAGER: Manifest = {"shared": {"tls": {"mode": "CertManager", "issuerRef": {"name": "ca"}}}}
CONSUMER: Manifest = {"shared": {"from": {"namespace": "a", "name": "b"}}}


@pytest.mark.parametrize(
    ("left", "spec", "expected", "said"),
    [
        (60 * DAY, {}, CheckResult.OK, "of one builder are renewed in time; the first ends at 2027-01-23 12:00 UTC"),
        (16 * DAY, {}, CheckResult.OK, "ends at"),
        (14 * DAY, {}, CheckResult.WARNING, "renewal is overdue"),
        (0 * DAY, {}, CheckResult.FAILED, "nobody can connect"),
        (-DAY, CERT_MANAGER, CheckResult.FAILED, "kubectl describe certificate -n ci"),
        (DAY / 24, CERT_MANAGER, CheckResult.OK, "ends at"),
        (DAY / 3, CONSUMER, CheckResult.OK, "ends at"),
        (DAY / 8, CONSUMER, CheckResult.WARNING, "renewal is overdue"),
        (None, {}, CheckResult.OK, "No builder has a certificate."),
    ],
)
def test_a_builders_certificate_is_renewed_in_time(
    left: timedelta | None, spec: Manifest, expected: CheckResult, said: str
) -> None:
    end = {} if left is None else {"certificateNotAfterTime": (NOW + left).strftime("%Y-%m-%dT%H:%M:%SZ")}
    seen = cluster(builders=[live(status=ready() | end, **spec)])

    assert result("Certificates", seen) is expected
    assert said in messages("Certificates", seen)


def certificate(made: timedelta) -> bytes:
    """Return a webhook's certificate for 90 days, made that long ago."""
    authority = issue_authority("test", 1000 * DAY, NOW - made)
    return issue_leaf(authority, "test", Usage.SERVER, ["localhost"], 90 * DAY, NOW - made).certificate


@pytest.mark.parametrize(
    ("presented", "expected", "said"),
    [
        (certificate(DAY), CheckResult.OK, "The webhook's certificate ends at 2027-02-21"),
        (certificate(74 * DAY), CheckResult.OK, "ends at"),
        (certificate(76 * DAY), CheckResult.WARNING, "renewal is overdue"),
        (certificate(91 * DAY), CheckResult.FAILED, "which is over"),
        (b"", CheckResult.FAILED, "no certificate"),
        (None, CheckResult.FAILED, "no certificate"),
        (FORBIDDEN, CheckResult.UNKNOWN, FORBIDDEN.sentence),
    ],
)
def test_the_webhooks_certificate_is_renewed_in_time(presented: Any, expected: CheckResult, said: str) -> None:
    seen = cluster(webhook=WebhookState(installed_webhook(), certificate=presented))

    assert result("Certificates", seen) is expected
    assert said in messages("Certificates", seen)


def test_without_a_webhook_nothing_is_said_of_its_certificate() -> None:
    assert "webhook" not in messages("Certificates", cluster())
