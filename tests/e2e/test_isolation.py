"""What keeps a build apart from its node at each level of Pod Security: real builds, or a sentence that helps."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pytest

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import REGISTRY, tags
from hack.cluster.kubectl import Kubectl, KubectlError
from tests.support import jobs, runners
from tests.support.jobs import builder, wait_ready, wait_reason
from tests.support.runners import Runner, sidecar, step

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
VERSION: Final = "pod-security.kubernetes.io/enforce-version"

REPOSITORY: Final = "org/isolation"
LOOKING_AROUND: Final = {
    "Dockerfile": f"""\
FROM {pins.BUSYBOX_IMAGE} AS looking
# One that holds a port, one that holds the step's output: neither is there in the next step.
RUN httpd -p 8099; sleep 1000 & true
RUN httpd -p 8099 && ! cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep 'sleep 100[0]'
RUN for process in /proc/[0-9]*; do echo "process=$(cat $process/comm)"; done
FROM {pins.PYTHON_IMAGE}
ARG HIGHEST
# apt drops its rights before it connects: to nowhere, for there need be no mirror.
RUN echo 'deb http://127.0.0.1:9/ none main' >/nowhere \\
    && apt-get -o Dir::Etc::SourceList=/nowhere -o Dir::Etc::SourceParts=/ -o Acquire::Retries=0 update >/said 2>&1; \\
    grep 'Failed to fetch' /said && ! grep -i 'setgroups\\|invalid argument' /said
RUN useradd --uid 65532 --create-home nonroot && su nonroot -c 'touch /home/nonroot/mine' && su -s /bin/sh nobody -c id
RUN for id in 1 999 1000 1001 64535 64536 65532 65533 65534 $HIGHEST; do \\
    touch /owned-$id && chown $id:$id /owned-$id && test $(stat -c %u:%g /owned-$id) = $id:$id || exit 1; done
COPY --chown=65534:65532 Dockerfile /copied
USER 65532:65534
RUN test "$(id -u):$(id -g)" = 65532:65534 && test $(stat -c %u:%g /copied) = 65534:65532
COPY --from=looking /bin/busybox /looked
""",
}
DAEMON: Final = {"buildkitd", "rootlesskit"}
"""Its processes, as build steps without a sandbox of their own see them."""

NO_SANDBOX: Final = "Build steps can see the daemon's processes"

ROOTLESS: Final[Manifest] = {}
USER_NAMESPACE: Final[Manifest] = {"isolation": "UserNamespace"}
NODE_DEFAULT: Final[Manifest] = {"securityProfiles": "NodeDefault"}

RELABELLED_SECONDS: Final = 60
"""How long a builder may take to see that its namespace is no longer in its way: it looks every ten seconds."""


@contextmanager
def namespace(cluster: Kubectl, name: str, level: str, version: str = "latest") -> Iterator[Kubectl]:
    """Have a namespace that enforces a level of Pod Security within the block."""
    yield cluster.create_namespace(name, **{ENFORCE: level, VERSION: version})
    cluster("delete", "namespace", name, "--wait=false")


@pytest.fixture
def baseline(cluster: Kubectl, fresh_name: str) -> Iterator[Kubectl]:
    """Return kubectl for a namespace that enforces level baseline."""
    with namespace(cluster, fresh_name, "baseline") as team:
        yield team


@pytest.fixture
def restricted(cluster: Kubectl, fresh_name: str) -> Iterator[Kubectl]:
    """Return kubectl for a namespace that enforces level restricted."""
    with namespace(cluster, fresh_name, "restricted") as team:
        yield team


# Builds


@dataclass(frozen=True)
class Case:
    """A builder in a namespace, and whether its build steps see the daemon."""

    spec: Manifest
    level: str = "baseline"
    version: str = "latest"
    sandboxed: bool = False
    remark: bool = False
    """Whether the builder says that there is no sandbox: where it could have one."""
    highest_id: int = 65_534
    """Of those that a build has."""


CASES: Final = {
    "user-namespace": Case(USER_NAMESPACE, sandboxed=True),
    "user-namespace-older-rules": Case(USER_NAMESPACE, version="v1.34", remark=True),
    "node-default": Case(NODE_DEFAULT),
    # The control: what is to be seen where nothing is hidden.
    "rootless": Case(ROOTLESS | {"highestID": 1_500_000_000}, level="privileged", highest_id=1_407_182_137),
}


@pytest.mark.parametrize("mode", ["Sidecar", "Shared"])
@pytest.mark.parametrize("name", CASES)
def test_steps_have_every_id_and_see_the_daemon_only_without_a_sandbox(
    cluster: Kubectl, fresh_name: str, mode: str, name: str
) -> None:
    case, tag = CASES[name], f"{name}-{mode.lower()}"
    with namespace(cluster, fresh_name, case.level, case.version) as team:
        team.apply(builder(mode=mode, **case.spec))
        said = condition(wait_ready(team), "Ready")["message"]
        seen = processes(looked_around(team, mode, tag, case.highest_id))

        assert "sh" in seen
        assert seen & DAEMON == (set() if case.sandboxed else DAEMON)
        assert tag in tags(team, REPOSITORY)
        assert (NO_SANDBOX in said) is case.remark


def looked_around(team: Kubectl, mode: str, tag: str, highest_id: int) -> str:
    """Build and push an image whose build looks for processes and uses ids up to one, and return the log of that."""
    # Nowhere has a rootless daemon the right to make what a step's network by a proxy needs.
    proxied = "--no-cache --proxy-network >/tmp/said 2>&1 && exit 1; grep 'operation not permitted' /tmp/said"
    output = f"--opt build-arg:HIGHEST={highest_id} --output type=image,name={REGISTRY}/{REPOSITORY}:{tag},push=true"
    if mode == "Shared":
        # The node's kube-proxy hears of a daemon a moment after its builder does.
        answering = "buildctl --addr $BUILDKIT_HOST --tlsdir /etc/buildkit debug workers >/dev/null 2>&1"
        await_answer = f"for turn in $(seq 50); do ! {answering} || break; sleep 0.2; done"
        script = f"{await_answer}; {jobs.BUILD} {output}; {jobs.BUILD} {proxied}"
        return jobs.run(team, script, files=LOOKING_AROUND)
    job = Runner.start(team, step(f"{runners.BUILD} {output}; {runners.BUILD} {proxied}"), files=LOOKING_AROUND)
    job.succeed()
    assert job.daemon()["state"]["terminated"]["exitCode"] == 0
    return job.log()


def processes(log: str) -> set[str]:
    """Return the names of the processes that a build step saw."""
    return set(re.findall(r"process=([\w-]+)", log))


# Namespaces that do not admit the daemon


@pytest.mark.parametrize("remedy", ["isolation", "label"])
def test_rootless_at_baseline_says_so_before_any_pod_is_made_and_the_remedy_works(
    baseline: Kubectl, remedy: str
) -> None:
    baseline.apply(sidecar())
    said = wait_reason(baseline, "PodSecurityDenied")["message"]
    relabel = f"label --overwrite namespace {baseline.namespace} {ENFORCE}=privileged"

    assert f"Set spec.isolation to UserNamespace, which level baseline admits, or: kubectl {relabel}" in said
    assert condition(baseline.get("bkb", "demo"), "Stalled")["status"] == "True"
    assert "PodSecurityDenied" in baseline("get", "bkb", "demo")
    with pytest.raises(KubectlError, match=r'violates PodSecurity "baseline:latest".*container "buildkitd"'):
        Runner.start(baseline, step("true"))
    assert baseline.get("pods") == []

    if remedy == "isolation":
        baseline.apply(sidecar(**USER_NAMESPACE))
    else:
        baseline(*relabel.split())
    wait_ready(baseline, seconds=RELABELLED_SECONDS)
    Runner.start(baseline, step("buildctl debug workers")).succeed()


@pytest.mark.parametrize("mode", ["Sidecar", "Shared"])
def test_restricted_admits_no_daemon_and_the_remedy_fits_each(restricted: Kubectl, mode: str) -> None:
    label = f"label --overwrite namespace {restricted.namespace} {ENFORCE}"
    admitted = {"user-namespace": USER_NAMESPACE, "node-default": NODE_DEFAULT}
    restricted.apply(builder("rootless", mode=mode))
    restricted.apply(*(builder(name, mode=mode, **spec) for name, spec in admitted.items()))

    said = wait_reason(restricted, "PodSecurityDenied", "rootless")["message"]
    assert f"UserNamespace and: kubectl {label}=baseline. Or keep it and: kubectl {label}=privileged" in said
    for name in admitted:
        said = wait_reason(restricted, "PodSecurityDenied", name)["message"]
        assert f"Level baseline admits them: kubectl {label}=baseline See https://" in said
    assert restricted.get("pods") == []

    restricted(*f"{label}=baseline".split())
    for name in admitted:
        # A ReplicaSet tries again after pauses that double from one refusal to the next.
        wait_ready(restricted, name, RELABELLED_SECONDS if mode == "Sidecar" else 180)


# Pods that do not suit the isolation


@pytest.mark.parametrize("spec", [USER_NAMESPACE, NODE_DEFAULT], ids=["user-namespace", "node-default"])
def test_a_seccomp_profile_that_the_pod_imposes_is_named_with_the_remedy(baseline: Kubectl, spec: Manifest) -> None:
    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    baseline.apply(sidecar(**spec))
    wait_ready(baseline)
    imposed = Runner.start(baseline, step("true"), securityContext=profile)

    said = wait_reason(baseline, "UserNamespaceDenied")["message"]
    assert f"The daemon in pod {imposed.name} may not make a user namespace" in said
    assert "If the pod's securityContext.seccompProfile does, set that on its other containers instead" in said

    imposed.delete()
    wait_ready(baseline)
    Runner.start(baseline, step("buildctl debug workers", securityContext=profile)).succeed()


def test_an_unconfined_daemon_does_not_mind_the_profile_of_its_pod(team: Kubectl) -> None:
    team.apply(sidecar())
    wait_ready(team)

    profile = {"seccompProfile": {"type": "RuntimeDefault"}}
    Runner.start(team, step("buildctl debug workers"), securityContext=profile).succeed()


@pytest.mark.parametrize(
    ("isolation", "host_users", "remedy"),
    [
        ("UserNamespace", "true", "Remove hostUsers, or set isolation to Rootless."),
        ("Rootless", "false", "Set the builder's isolation to UserNamespace."),
    ],
)
def test_a_pod_with_the_other_sort_of_users_is_refused(
    team: Kubectl, isolation: str, host_users: str, remedy: str
) -> None:
    team.apply(sidecar(isolation=isolation))
    wait_ready(team)

    with pytest.raises(KubectlError) as refused:
        Runner.start(team, step("true"), hostUsers=host_users == "true")

    said = str(refused.value)
    prefix = f'BuildKitBuilder "demo" in namespace "{team.namespace}" cannot serve this pod: '
    assert f"{prefix}the pod has hostUsers: {host_users}, " in said
    assert said.endswith(remedy)
    assert team.get("pods") == []
