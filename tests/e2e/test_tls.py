"""Who gets in: mutual TLS on a real daemon."""

import base64

import pytest

from buildkit_operator.kube.manifests import condition
from hack.cluster.kubectl import Kubectl
from tests.support.jobs import BUILD, JobError, builder, run, wait_ready

WORKERS = "buildctl --addr $BUILDKIT_HOST"
# In TLS 1.3 the client has begun to send when the daemon refuses its certificate, so it may see only the broken pipe.
TURNED_AWAY = "certificate|broken pipe|reset by peer|EOF"


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with two builders with TLS and one without."""
    team_for_module.apply(builder("mine"), builder("theirs"), builder("open", shared={"tls": {"mode": "Disabled"}}))
    for name in ("mine", "theirs", "open"):
        wait_ready(team_for_module, name)
    return team_for_module


def test_a_client_with_the_connection_secret_gets_in(team: Kubectl) -> None:
    log = run(team, f"{WORKERS} --tlsdir /etc/buildkit debug workers", connection="mine-connection")

    assert "PLATFORMS" in log


@pytest.mark.parametrize("tls", ["", "--tlscacert /etc/buildkit/ca.crt"])
def test_a_client_without_a_certificate_is_refused(team: Kubectl, tls: str) -> None:
    with pytest.raises(JobError, match=TURNED_AWAY):
        run(team, f"{WORKERS} {tls} debug workers", connection="mine-connection")


def test_a_client_with_another_builders_certificate_is_refused(team: Kubectl) -> None:
    authority = base64.b64decode(team.get("secret", "mine-connection")["data"]["ca.crt"]).decode()
    # The client is made to trust the daemon, so that it is the daemon that has to turn it away.
    trusting = "--tlscacert ca.crt --tlscert /etc/buildkit/tls.crt --tlskey /etc/buildkit/tls.key"

    with pytest.raises(JobError, match=TURNED_AWAY):
        run(
            team,
            f"buildctl --addr tcp://mine-buildkitd:1234 {trusting} debug workers",
            files={"ca.crt": authority},
            connection="theirs-connection",
        )


def test_a_builder_without_tls_lets_anyone_in_and_says_so(team: Kubectl) -> None:
    run(team, f"{WORKERS} debug workers", connection="open-connection")

    assert "TLS is disabled" in condition(team.get("bkb", "open"), "Ready")["message"]
    assert set(team.get("secret", "open-connection")["data"]) == {"BUILDKIT_HOST"}


def test_a_tls_builder_builds_through_any_of_its_names(team: Kubectl) -> None:
    for host in ("mine-buildkitd", f"mine-buildkitd.{team.namespace}.svc.cluster.local"):
        command = BUILD.replace("$BUILDKIT_HOST", f"tcp://{host}:1234")
        run(team, command, connection="mine-connection")
