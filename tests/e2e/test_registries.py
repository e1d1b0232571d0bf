"""Registries in the cluster, each spoken to as it wants, in both modes and past a proxy that answers nobody.

The daemons' proxy is a port where nothing listens: each build here also shows that the cluster's names go without it.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import REGISTRY, tags
from hack.cluster.kubectl import Kubectl
from tests.e2e.registries import PrivateRegistry, private_registry
from tests.support import jobs, runners
from tests.support.jobs import REGISTRIES, JobError, builder, wait_ready
from tests.support.runners import Runner, step

PROXY: Final = "http://127.0.0.1:9"
ABSENT: Final = "absent.example.com"
"""A registry that does not exist; a mirror has its images."""
LOOPBACK: Final = "127.0.0.1"
LINK_LOCAL: Final = "169.254.20.10"
"""Where Kubernetes' NodeLocal DNSCache listens."""

FILES: Final = {
    "base": f"FROM {pins.BUSYBOX_IMAGE}\nRUN echo made > /made\n",
    "mirrored": f"FROM {ABSENT}/org/base\nRUN cat /made\n",
    "outside": "FROM registry.example.com/org/base\n",
    "resolver": f"FROM {pins.BUSYBOX_IMAGE}\nRUN cat /etc/resolv.conf\n",
}

Build = Callable[..., str]
"""Runs a build with these further arguments in a job, and returns its log."""


@pytest.fixture(scope="module")
def private(team_for_module: Kubectl) -> PrivateRegistry:
    return private_registry(team_for_module, "registry", "mirror")


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl, private: PrivateRegistry) -> Kubectl:
    """Return a namespace with a builder of each mode, and one with name servers of its own, all ready."""
    registry, mirror = private.hosts
    registries = [
        *REGISTRIES,
        {"host": registry, "caSecretName": private.authority_secret},
        # The mirror has no entry of its own.
        {"host": ABSENT, "mirrors": [f"{mirror}/mirrored"], "caSecretName": private.authority_secret},
    ]
    spec: Manifest = {
        "daemon": {"registries": registries},
        "env": [{"name": name, "value": PROXY} for name in ("HTTP_PROXY", "HTTPS_PROXY")],
    }
    loopback = {"daemon": {"dns": {"nameservers": [LOOPBACK]}}}
    # Nothing is said of the private registry: the authority alone has to do.
    trusting: Manifest = {
        "daemon": {"certificateAuthorities": [{"secretName": private.authority_secret}]},
        "env": spec["env"],
    }
    team_for_module.apply(
        builder("shared", **spec),
        builder("sidecar", mode="Sidecar", **spec),
        builder("loopback", mode="Sidecar", **loopback),
        builder("trusting", **trusting),
        builder("trusting-sidecar", mode="Sidecar", **trusting),
    )
    for name in ("shared", "sidecar", "loopback", "trusting", "trusting-sidecar"):
        wait_ready(team_for_module, name)
    return team_for_module


def in_shared_mode(team: Kubectl, *arguments: str) -> str:
    return jobs.run(team, command(jobs.BUILD, arguments), files=FILES, connection="shared-connection")


def through_the_connector(team: Kubectl, *arguments: str) -> str:
    return in_a_runner(team, "shared", arguments)


def in_sidecar_mode(team: Kubectl, *arguments: str) -> str:
    return in_a_runner(team, "sidecar", arguments)


def in_a_runner(team: Kubectl, asks_for: str, arguments: Sequence[str], **pod: Any) -> str:
    runner = Runner.start(team, step(command(runners.BUILD, arguments)), asks_for=asks_for, files=FILES, **pod)
    runner.succeed()
    return runner.log()


def command(build: str, arguments: Sequence[str]) -> str:
    return " ".join([build, *arguments])


def push(image: str) -> str:
    return f"--output type=image,name={image},push=true"


@pytest.mark.parametrize("build", [in_shared_mode, through_the_connector, in_sidecar_mode])
def test_a_private_authority_and_a_mirror_of_a_host_that_does_not_exist(
    team: Kubectl, private: PrivateRegistry, build: Build
) -> None:
    tag = build.__name__.replace("_", "-")
    build(team, "--opt filename=base", push(f"{private.hosts[0]}/mirrored/org/base:latest"))

    build(team, "--opt filename=mirrored --no-cache", push(f"{REGISTRY}/org/mirrored:{tag}"))

    assert tag in tags(team, "org/mirrored")


@pytest.mark.parametrize("mode", ["shared", "sidecar"])
def test_an_authority_is_trusted_for_git_and_files_and_a_remote_cache(
    team: Kubectl, private: PrivateRegistry, mode: str
) -> None:
    image = f"{private.hosts[0]}/trusting/{mode}"
    arguments = [
        f"--opt context=https://{private.files_host}/repository.git#{private.commit}",
        f"--opt build-arg:URL=https://{private.files_host}/added.txt",
        f"--export-cache type=registry,ref={image}:cache",
        push(f"{image}:latest"),
    ]
    if mode == "shared":
        build = command(jobs.BUILD, arguments)
        log = jobs.run(team, without_local_context(build), connection="trusting-connection")
    else:
        runner = Runner.start(
            team, step(without_local_context(command(runners.BUILD, arguments))), asks_for="trusting-sidecar"
        )
        runner.succeed()
        log = runner.log()

    assert re.search(r"^#\d+ [\d.]+ added from the company$", log, re.MULTILINE)


def without_local_context(build: str) -> str:
    """Return the command of a build whose context is a Git repository."""
    return re.sub(r"--local \S+ ?", "", build)


def test_what_is_outside_goes_through_the_proxy(team: Kubectl) -> None:
    with pytest.raises(JobError, match=r"proxyconnect tcp: dial tcp 127\.0\.0\.1:9"):
        in_shared_mode(team, "--opt filename=outside")


# Name servers of build steps


def test_a_step_asks_a_link_local_resolver_and_no_loopback_one(team: Kubectl) -> None:
    servers = [team.within("kube-system").get("service", "kube-dns")["spec"]["clusterIP"], LINK_LOCAL, LOOPBACK]

    assert seen_by_a_step(team, servers) == servers[:2]


def test_a_step_asks_public_resolvers_where_there_are_only_loopback_ones(team: Kubectl) -> None:
    assert seen_by_a_step(team, [LOOPBACK])[0] == "8.8.8.8"


def test_a_step_asks_a_loopback_resolver_that_the_builder_names(team: Kubectl) -> None:
    assert seen_by_a_step(team, [LOOPBACK], asks_for="loopback") == [LOOPBACK]


def seen_by_a_step(team: Kubectl, servers: list[str], asks_for: str = "sidecar") -> list[str]:
    """Return the name servers of a build step, in a pod with these."""
    address = team.within("registry").get("service", "registry")["spec"]["clusterIP"]
    log = in_a_runner(
        team,
        asks_for,
        ["--opt filename=resolver --no-cache"],
        dnsPolicy="None",
        dnsConfig={"nameservers": servers},
        # The daemon finds the registry whatever the name servers are.
        hostAliases=[{"ip": address, "hostnames": [REGISTRY.partition(":")[0]]}],
    )
    return re.findall(r"^#\d+ [\d.]+ nameserver (\S+)$", log, re.MULTILINE)
