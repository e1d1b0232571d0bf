"""The certificate and the trust in it: made, renewed and mended while pods are created, by however many replicas."""

import json
import time
from typing import Final

import pytest
from cryptography import x509

from hack.cluster.kubectl import wait_for
from tests.integration.admission.engines import Refusal
from tests.integration.webhook.conftest import StartInstallation
from tests.integration.webhook.installation import CONFIGURATION, NAME, NAMESPACE, SECRET, Installation
from tests.integration.webhook.webhook_process import WebhookProcess

SECONDS: Final = 1 / 86400
SHORT_LIVES: Final = {"certificate_days": 165 * SECONDS, "authority_days": 180 * SECONDS}
"""The certificate is due after 10 seconds, the authority after 20: each begins five minutes early."""


def test_renewals_lose_no_pod(start_installation: StartInstallation) -> None:
    installation = start_installation()
    asked = installation.install(**SHORT_LIVES)
    other = installation.start_ready(**SHORT_LIVES)

    with installation.traffic() as traffic:
        traffic.wait_for_more(1)
        wait_for_renewal(installation, of_authority=False)
        before, after = wait_for_renewal(installation, of_authority=True)
        # The old one is trusted for as long as a certificate of it may be presented.
        old, *_ = x509.load_pem_x509_certificates(before["ca.crt"])
        new, kept, *_ = x509.load_pem_x509_certificates(after["ca.crt"])
        assert kept == old != new
        wait_for("it to be presented", lambda: all(map(installation.presented_by, (asked, other))), 10)
        traffic.wait_for_more()

    assert traffic.lost == []
    wait_for("it to be trusted", installation.trusts_stored_authorities, 10)
    assert all(process.running for process in (asked, other))


def wait_for_renewal(installation: Installation, *, of_authority: bool) -> list[dict[str, bytes]]:
    """Wait until the certificate is renewed, with its authority or without; return the Secret before and after."""
    seen = [installation.secret()]

    def renewed() -> bool:
        seen.append(installation.secret())
        changed = {key for key in ("tls.crt", "ca.crt") if seen[-1][key] != seen[-2][key]}
        return changed == ({"tls.crt", "ca.crt"} if of_authority else {"tls.crt"})

    wait_for("a new authority" if of_authority else "a new certificate of the same authority", renewed)
    return seen[-2:]


def test_replicas_that_start_at_once_agree(start_installation: StartInstallation) -> None:
    installation = start_installation()
    processes = [installation.start() for _ in range(3)]
    installation.configure(processes[0])
    for process in processes:
        process.wait_ready()

    assert all(installation.presented_by(process) for process in processes)
    assert all(told(process) == lifetime(process) for process in processes)
    assert installation.trusts_stored_authorities()
    writes = [r for r in installation.control_plane.audit() if r.writes and r.user_agent.startswith(NAME)]
    assert [r.code for r in writes if r.resource == "secrets" and r.code < 400] == [201]
    assert {r.code for r in writes if r.resource == "secrets" and r.code >= 400} <= {409}

    mark = installation.control_plane.mark()
    time.sleep(5)

    at_rest = [r for r in installation.control_plane.audit(mark) if r.user_agent.startswith(NAME)]
    # After a watch has begun, its builders are compared with a list.
    assert [r for r in at_rest if (r.verb, r.resource) != ("list", "buildkitbuilders")] == []


def told(process: WebhookProcess) -> list[float]:
    """Return when the certificate begins and ends, by the process's metrics."""
    name = "buildkit_operator_webhook_certificate_{}_timestamp_seconds"
    return [process.metric(name.format(end)) for end in ("not_before", "not_after")]


def lifetime(process: WebhookProcess) -> list[float]:
    """Return when the certificate begins and ends that a process presents."""
    presented = process.certificate()
    return [presented.not_valid_before_utc.timestamp(), presented.not_valid_after_utc.timestamp()]


@pytest.fixture(scope="module")
def installation(shared: Installation) -> Installation:
    """Return the shared installation: what these tests break, the webhook mends."""
    return shared


def test_a_ca_bundle_that_somebody_removes_is_put_back(installation: Installation) -> None:
    patch = [{"op": "remove", "path": f"/webhooks/{number}/clientConfig/caBundle"} for number in range(2)]
    before = installation.trusted()

    installation.control_plane.kubectl(
        "patch", "mutatingwebhookconfiguration", NAME, "--type=json", f"--patch={json.dumps(patch)}"
    )

    wait_for("it to be back", installation.trusts_stored_authorities, 5)
    assert installation.trusted() == before
    installation.wait_until_effective()


def test_a_ca_bundle_that_somebody_replaces_is_put_back(installation: Installation) -> None:
    replaced = installation.find(CONFIGURATION)
    assert replaced is not None
    # Any certificate will do; this one is not an authority.
    stranger = installation.find(SECRET)
    assert stranger is not None
    for webhook in replaced["webhooks"]:
        webhook["clientConfig"]["caBundle"] = stranger["data"]["tls.crt"]
    installation.control_plane.request("PUT", CONFIGURATION, replaced)

    wait_for("it to be back", installation.trusts_stored_authorities, 5)
    installation.wait_until_effective()


def test_nothing_else_of_the_configuration_is_touched(installation: Installation) -> None:
    (process,) = installation.processes
    before = installation.find(CONFIGURATION)
    assert before is not None
    owned = next(m for m in before["metadata"]["managedFields"] if m["manager"] == NAME)["fieldsV1"]
    assert set(owned) == {"f:webhooks"}
    for fields in owned["f:webhooks"].values():
        assert set(fields) - {".", "f:name"} == {"f:clientConfig"}
        assert set(fields["f:clientConfig"]) == {"f:caBundle", "f:service"}
        assert set(fields["f:clientConfig"]["f:service"]) == {"f:path"}

    # As GitOps tools do at each turn: the manifest names no caBundle and no path, and so leaves ours alone.
    mark = installation.control_plane.mark()
    installation.configure(process)

    time.sleep(1)
    assert installation.trusts_stored_authorities()
    assert [r for r in installation.control_plane.audit(mark) if r.writes and r.user_agent.startswith(NAME)] == []


def test_a_configuration_that_is_gone_is_not_made_anew(installation: Installation) -> None:
    (process,) = installation.processes
    installation.control_plane.request("DELETE", CONFIGURATION)

    time.sleep(1)
    assert installation.find(CONFIGURATION) is None
    assert process.get("/readyz")[0] == 200

    installation.configure(process)
    wait_for("it to be trusted", installation.trusts_stored_authorities, 5)
    installation.wait_until_effective()


@pytest.mark.parametrize("damage", ["deleted", "emptied", "without its key", "garbage"])
def test_a_secret_that_somebody_damages_is_made_anew_and_no_pod_is_lost(
    installation: Installation, damage: str
) -> None:
    (process,) = installation.processes
    before = installation.secret()

    with installation.traffic() as traffic:
        if damage == "deleted":
            installation.control_plane.request("DELETE", SECRET)
        else:
            data = {"emptied": None, "without its key": {"tls.key": None}, "garbage": {"ca.crt": "bm9uZQ=="}}[damage]
            installation.control_plane.kubectl(
                f"--namespace={NAMESPACE}",
                "patch",
                "secret",
                NAME,
                "--type=merge",
                f"--patch={json.dumps({'data': data})}",
            )
        wait_for(
            "a new certificate", lambda: installation.secret().get("tls.crt", before["tls.crt"]) != before["tls.crt"]
        )
        wait_for("it to be presented", lambda: installation.presented_by(process), 10)
        time.sleep(1)

    assert traffic.lost == []
    assert installation.trusts_stored_authorities()


def test_keys_are_neither_logged_nor_anywhere_else(installation: Installation) -> None:
    secret = installation.secret()

    for process in installation.processes:
        log = process.log.read_text()
        assert "PRIVATE KEY" not in log
        assert secret["tls.key"].decode().splitlines()[1] not in log


def test_a_webhook_that_starts_again_uses_what_is_stored(start_installation: StartInstallation) -> None:
    installation = start_installation()
    process = installation.install()
    before = installation.secret()
    process.terminate()
    assert process.wait() == 0
    mark = installation.control_plane.mark()

    again = installation.start_ready(https_port=process.https_port)

    assert not isinstance(installation.create_pod(), Refusal)
    assert installation.secret() == before
    assert installation.presented_by(again)
    assert [r for r in installation.control_plane.audit(mark) if r.writes and r.user_agent.startswith(NAME)] == []
