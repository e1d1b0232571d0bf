"""What tenants of one shared daemon can see of each other, and do to each other, as docs/security.md says.

Another tenant builds; then somebody in a pod tries each thing of the table with what they hold. One pod tries all of it
in a row, because the daemon and its cache are one.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from hack.cluster import pins
from hack.cluster.kubectl import Kubectl
from tests.support.jobs import BUILD, Job, JobError, builder, run, wait_ready
from tests.support.runners import Runner, step
from tests.support.threat_model import REACH, Holder, Row, cells

TLS: Final = "--tlscacert /workspace/ca.crt --tlscert /etc/buildkit/tls.crt --tlskey /etc/buildkit/tls.key"

# What steps print does not stand in their commands, which logs show as well.
VICTIMS_FILE: Final = f"""\
FROM {pins.BUSYBOX_IMAGE}
RUN printf 'lay%s\\n' er
ARG TOKEN
RUN --mount=type=cache,id=dependencies,target=/cache printf 'written by %s\\n' victim | tee /cache/file
"""
MOUNTING: Final = f"""\
FROM {pins.BUSYBOX_IMAGE}
ARG SALT
RUN --mount=type=cache,id=dependencies,target=/cache cat /cache/file && printf 'written by %s\\n' another > /cache/file
"""
FILES: Final = {"Dockerfile": VICTIMS_FILE, "mounting": MOUNTING}

TRIALS: Final = r"""
set +ex
try() {
  name=$1; shift
  if (eval "$*") >/tmp/said 2>&1; then echo "$name: able"; else echo "$name: unable"; tail -n 5 /tmp/said; fi
}
build() { $BUILDCTL build --progress plain --frontend dockerfile.v0 --local context=. --local dockerfile=. "$@"; }
same() { build --opt build-arg:TOKEN=mine >/tmp/same 2>&1; }
mounting() { build --opt filename=mounting --opt build-arg:SALT=$1 2>&1; }
refs() { $BUILDCTL debug histories --format '{{.Record.Ref}}'; }
cd $(TMPDIR=/tmp mktemp -d); cp -L /workspace/* .
try speak '$BUILDCTL debug workers'
try history "\$BUILDCTL debug histories --format '{{json .}}' | grep TOKEN-of-the-victim"
try logs 'for ref in $(refs); do $BUILDCTL debug logs --progress plain $ref; done 2>&1 | grep "written by victim"'
try layers 'same && ! grep " layer$" /tmp/same'
# What an earlier holder has built is not built again.
try mounts 'mounting $HOSTNAME | grep "written by victim" && mounting $HOSTNAME-again | grep "written by another"'
try prune '$BUILDCTL prune --all && same && grep " layer$" /tmp/same'
try forget 'test -n "$(refs)" && $BUILDCTL prune-histories && test -z "$(refs)"'
keys() { find / -path /proc -prune -o \( -name tls.key -o -name 'client.pem*' \) -print 2>/dev/null; }
try key '$BUILDCTL debug workers && test -n "$(keys)"'
"""
"""What a pod tries, in an order in which nothing spoils what follows."""


@dataclass(frozen=True)
class Tenants:
    """A namespace with a shared builder and another one, and a namespace that the first builder admits."""

    provider: Kubectl
    admitted: Kubectl

    @property
    def address(self) -> str:
        return f"tcp://demo-buildkitd.{self.provider.namespace}:1234"


@pytest.fixture(scope="module")
def tenants(cluster: Kubectl, team_for_module: Kubectl) -> Iterator[Tenants]:
    """Have the builders, ready."""
    name = f"{team_for_module.namespace}-admitted"
    admitted = cluster.create_namespace(name)
    team_for_module.apply(builder(shared={"allowedNamespaces": {"names": [name]}}), builder("theirs"))
    origin = {"from": {"namespace": team_for_module.namespace, "name": "demo"}}
    borrower = builder("borrower")
    admitted.apply({**borrower, "spec": {"mode": "Shared", "shared": origin}})
    wait_ready(team_for_module)
    wait_ready(team_for_module, "theirs")
    wait_ready(admitted, "borrower")
    yield Tenants(team_for_module, admitted)
    cluster("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def able(tenants: Tenants) -> dict[Holder, set[str]]:
    """Return what each holder could do."""
    return {holder: tried(tenants, holder) for holder in Holder}


def tried(tenants: Tenants, holder: Holder) -> set[str]:
    """Let the other tenant build, and then somebody try everything; return the names of what they could do."""
    # Not with --no-cache, which gives a build cache mounts of its own.
    token = f"TOKEN-of-the-victim-of-{holder.name}"
    log = run(tenants.provider, f"{BUILD} --opt build-arg:TOKEN={token}", files=FILES)
    assert "written by victim" in log
    return set(re.findall(r"^(\w+): able$", said_by(tenants, holder), re.MULTILINE))


def said_by(tenants: Tenants, holder: Holder) -> str:
    """Return the log of somebody's pod."""
    match holder:
        case Holder.LABEL:
            runner = Runner.start(tenants.provider, step(script("$BUILDKIT_HOST")), files=FILES)
            runner.succeed()
            return runner.log()
        case Holder.SECRET:
            return job(tenants.provider, script("$BUILDKIT_HOST --tlsdir /etc/buildkit"), "demo-connection")
        case Holder.ADMITTED:
            return job(tenants.admitted, script("$BUILDKIT_HOST --tlsdir /etc/buildkit"), "borrower-connection")
        case Holder.ANOTHER_BUILDERS:
            return job(tenants.provider, script(f"{tenants.address} {TLS}"), "theirs-connection", trusted(tenants))
        case Holder.NOTHING:
            # In a namespace of its own builder, but with nothing of it.
            reach = f"{tenants.address} --tlscacert /workspace/ca.crt"
            return job(tenants.admitted, script(reach), None, trusted(tenants))


def trusted(tenants: Tenants) -> dict[str, str]:
    """Return the file by which a client trusts the daemon, so that it is the daemon that has to turn it away."""
    return {"ca.crt": base64.b64decode(tenants.provider.get("secret", "demo-connection")["data"]["ca.crt"]).decode()}


def script(address: str) -> str:
    return f'BUILDCTL="buildctl --addr {address}"\n{TRIALS}'


def job(kubectl: Kubectl, text: str, connection: str | None, more: dict[str, str] | None = None) -> str:
    return Job.start(kubectl, text, files=FILES | (more or {}), connection=connection).finish()


@pytest.mark.parametrize(
    ("row", "holder"),
    cells(REACH, Holder),
    ids=lambda value: value.name if isinstance(value, Row) else value.name.lower(),
)
def test_a_cell(able: dict[Holder, set[str]], row: Row, holder: Holder) -> None:
    assert (row.name in able[holder]) is (holder in row.able)


def test_a_network_policy_keeps_out_whom_it_does_not_name_where_the_network_enforces_it(team: Kubectl) -> None:
    labelled = {"podSelector": {"matchLabels": {"buildkit-operator.dev/builder": "demo"}}}
    team.apply(builder())
    wait_ready(team)
    ask = "buildctl --addr $BUILDKIT_HOST --tlsdir /etc/buildkit debug workers"
    run(team, ask)
    nobody = {"podSelector": {}, "policyTypes": ["Ingress"]}
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "nobody"}}
    team.apply({**policy, "spec": nobody})
    if not is_kept_out(team, ask):
        pytest.skip("The network of this cluster enforces no NetworkPolicy.")

    team("delete", "networkpolicy", "nobody")
    team.apply(builder(shared={"networkPolicy": {"from": [labelled]}}))
    wait_ready(team)

    assert is_kept_out(team, ask)
    Runner.start(team, step("buildctl debug workers")).succeed()


def is_kept_out(team: Kubectl, ask: str) -> bool:
    """Tell whether somebody with a good certificate does not get through, once the network had time to notice."""
    for _ in range(5):
        try:
            run(team, ask)
        except JobError:
            return True
    return False
