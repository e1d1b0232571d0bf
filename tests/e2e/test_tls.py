"""Who gets in: mutual TLS on a real daemon."""

import base64

import pytest

from buildkit_operator.kube.manifests import condition
from hack.cluster.kubectl import Kubectl
from tests.support.daemons import daemon_pods
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


LISTENERS = """\
for inode in $(awk '$4 == "0A" { print $10 }' /proc/net/tcp /proc/net/tcp6); do
  ls -l /proc/[0-9]*/fd 2>/dev/null | grep "socket:.$inode]" || true
done
"""


def test_the_daemons_container_has_no_key_no_certificate_and_no_port(team: Kubectl) -> None:
    (pod,) = daemon_pods(team, "mine")

    def said(script: str) -> str:
        return str(team("exec", pod, "--container=buildkitd", "--", "sh", "-c", script))

    assert "buildkitd" in said("ls -l /proc/[0-9]*/exe 2>/dev/null; true"), "the daemon's own processes are looked at"
    assert said(LISTENERS).strip() == ""
    mounted = said("cat /proc/mounts")
    assert "/etc/buildkit-operator" in mounted
    assert "tls" not in mounted
    assert (
        said("find / -xdev \\( -name '*.key' -o -name 'tls.crt' \\) -not -path '/proc/*' 2>/dev/null || true").strip()
        == ""
    )
