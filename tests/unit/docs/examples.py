"""A builder in each state that pure functions find, as its users see it: the examples of the pages on reasons."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.conditions import explained
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.injection_probe import admitted
from buildkit_operator.controller.ownership import ownership_conflict
from buildkit_operator.controller.reconcile import failure
from buildkit_operator.desired import cert_manager, consumers
from buildkit_operator.desired.autoscaling import Demand, Target, decide
from buildkit_operator.desired.certificate_permission import NOTHING_MORE
from buildkit_operator.desired.claims import seen_claims
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.desired.isolation import Level, PodSecurity
from buildkit_operator.desired.scripts import BUSY, CACHE_BROKEN
from buildkit_operator.kube.resources import SERVICE, Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import Usage
from buildkit_operator.pki.rotation import Authorities
from buildkit_operator.status import (
    ConsumerObserved,
    DaemonsObserved,
    Observed,
    Pending,
    ProbeResult,
    SidecarObserved,
    status_for,
    status_for_failed,
)
from buildkit_operator.status.diagnosis import drain
from buildkit_operator.status.diagnosis.daemons import Finding, diagnose_namespace
from buildkit_operator.status.diagnosis.surroundings import authority_of_the_future, stands_back
from tests.support.reason_pages import Condition
from tests.unit.make import (
    FAKE_CERTIFICATES,
    NOW,
    children_of,
    container_status,
    make_builder,
    make_claim,
    make_deployment,
    make_pod,
    make_stateful_set,
)

POD: Final = "demo-buildkitd-7c9d-x2x4z"
BUILDER: Final = make_builder()
SIDECAR: Final = make_builder(mode="Sidecar")
CONSUMER: Final = make_builder("builder", shared={"from": {"namespace": "shared", "name": "demo"}})
ON_CLAIMS: Final = make_builder(cache={"size": "50Gi", "persistentVolumeClaim": {"storageClassName": "fast"}})
PROVIDER: Final = BuildKitBuilder.model_validate(
    {
        "metadata": {"name": "demo", "namespace": "shared", "uid": "1-2-3", "generation": 1},
        "spec": {"mode": "Shared", "shared": {"allowedNamespaces": {"names": ["ci"]}}},
    }
)


def of(observed: Observed, builder: BuildKitBuilder = BUILDER) -> list[Condition]:
    conditions: list[Condition] = status_for(builder, observed, {}, NOW)["conditions"]
    return conditions


def with_pod(**status: Any) -> list[Condition]:
    return of(DaemonsObserved([make_deployment()], [make_pod(POD, **status)]))


def waiting(reason: str, message: str) -> list[Condition]:
    return with_pod(containerStatuses=container_status(state={"waiting": {"reason": reason, "message": message}}))


def ended(**how: Any) -> list[Condition]:
    backing_off = {"waiting": {"reason": "CrashLoopBackOff"}}
    return with_pod(containerStatuses=container_status(state=backing_off, lastState={"terminated": how}))


def on_claims(claim: Manifest, *pods: Manifest) -> list[Condition]:
    seen = seen_claims(ON_CLAIMS, [], [claim], {})
    return of(DaemonsObserved([make_stateful_set()], pods, claims=seen), ON_CLAIMS)


def incompatible_cache() -> list[Condition]:
    said = (
        "ids.sh: the cache was written with other ids behind those of builds (100000 65536), than the daemon has now "
        "(1 999, 1001 64535)."
    )
    backing_off = {"waiting": {"reason": "CrashLoopBackOff"}}
    ending = {"terminated": {"exitCode": 1, "message": said}}
    statuses = container_status(state=backing_off, lastState=ending)
    return on_claims(make_claim(0), make_pod("demo-buildkitd-0", containerStatuses=statuses))


def unschedulable(name: str, message: str) -> Manifest:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return make_pod(name, conditions=[condition])


def stalled(builder: BuildKitBuilder) -> list[Condition]:
    """Return what is said of a builder that no objects can be made of."""
    try:
        children_of(builder, FAKE_CERTIFICATES)
    except TerminalError as problem:
        return of(DaemonsObserved(blocked=problem), builder)
    raise AssertionError("nothing is wrong with it")


def refused_by_provider(provider: BuildKitBuilder | None, watched: tuple[str, ...] = ()) -> list[Condition]:
    try:
        consumers.granting_provider(CONSUMER, provider, {}, watched)
    except TerminalError as problem:
        return of(ConsumerObserved(blocked=problem), CONSUMER)
    raise AssertionError("it is admitted")


def unsuitable_issuer() -> list[Condition]:
    secret = {"metadata": {"name": "demo-buildkitd-tls"}, "data": {}}
    try:
        cert_manager.issued(secret, secret, NOW)
    except TerminalError as problem:
        return of(DaemonsObserved(blocked=problem))
    raise AssertionError("it has an authority")


def certificate_not_allowed() -> list[Condition]:
    issuer = {"kind": "ClusterIssuer", "name": "corporate"}
    builder = make_builder(shared={"tls": {"mode": "CertManager", "issuerRef": issuer}})
    try:
        NOTHING_MORE.check(builder)
    except TerminalError as problem:
        return of(DaemonsObserved(blocked=problem), builder)
    raise AssertionError("it may be ordered")


def pending_certificate() -> list[Condition]:
    said = {"type": "Ready", "message": "Issuing certificate as Secret does not exist"}
    waits = cert_manager.why_not_issued({"status": {"conditions": [said]}}, "demo-buildkitd-tls")
    return of(DaemonsObserved(blocked=Pending(Reason.CERTIFICATE_PENDING, waits)))


def provider_not_ready() -> list[Condition]:
    status = {"conditions": [{"type": "Ready", "status": "False", "reason": "ImagePullFailed"}]}
    authority = issue_authority("demo", timedelta(days=10), NOW)
    client = issue_leaf(authority, "client", Usage.CLIENT, [], timedelta(days=1), NOW)
    return of(ConsumerObserved(grant=Grant(PROVIDER, status, authority.certificate, client, NOW)), CONSUMER)


def name_conflict() -> list[Condition]:
    problem = ownership_conflict(BUILDER, [(SERVICE, {"metadata": {"name": "demo-buildkitd"}})])
    assert isinstance(problem, TerminalError)
    return of(DaemonsObserved(blocked=problem))


def failed() -> list[Condition]:
    """Return what a status says of a mistake in the operator."""
    conditions: list[Condition] = status_for_failed(1, failure(KeyError("spec")), {}, NOW)["conditions"]
    return conditions


def denied_by_namespace() -> list[Condition]:
    sidecar = make_builder(mode="Sidecar")
    finding = diagnose_namespace(sidecar, PodSecurity(Level.BASELINE))
    return of(SidecarObserved(probe=ProbeResult(served=False, finding=finding)), sidecar)


def refused_pods() -> list[Condition]:
    message = (
        'pods "demo-buildkitd-7c9d-" is forbidden: exceeded quota: compute, requested: limits.memory=8Gi, used: '
        "limits.memory=12Gi, limited: limits.memory=16Gi"
    )
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return of(DaemonsObserved([make_deployment(total=0, conditions=[condition])]))


def lost_builds() -> list[Condition]:
    """Return the event of a daemon that was ended while it was busy, in the shape of a condition."""
    ended = {"terminated": {"exitCode": 137, "message": BUSY}}
    ((_, finding),) = drain.cut_short([deleted(make_pod(POD, containerStatuses=container_status(state=ended)))])
    return [{"message": explained(finding.reason, finding.message)}]


def scaled() -> list[Condition]:
    """Return the event of a number of daemons that autoscaling has changed."""
    target = Target.of(make_builder(shared={"autoscaling": {"maxReplicas": 4, "runnersPerReplica": 2}}).shared)
    assert target is not None
    return [{"message": decide(target, Demand(5), 1, {}, NOW).message}]


def deleted(pod: Manifest, at: str = "2026-11-24T11:00:00Z", **metadata: Any) -> Manifest:
    """Return a pod on a node that was to be gone at a time."""
    found = {**pod["metadata"], "deletionTimestamp": at, **metadata}
    return {**pod, "metadata": found, "spec": {"nodeName": "worker-2"}}


def held(pod: Manifest) -> list[Condition]:
    """Return what is said of a builder with a PVC whose only pod is this."""
    seen = seen_claims(ON_CLAIMS, [], [make_claim(0)], {})
    return of(DaemonsObserved([make_stateful_set(ready=0)], [pod], claims=seen), ON_CLAIMS)


SILENT_NODE: Final = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]


FULL_VOLUME: Final = "buildkitd: write /home/user/.local/share/buildkit/root/cache.db: no space left on device"


def ended_on_claim(message: str) -> Manifest:
    """Return a pod with a PVC whose daemon ended with a message."""
    ended = container_status(
        state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 1, "message": message}}
    )
    pod = make_pod("demo-buildkitd-0", containerStatuses=ended)
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-buildkitd", "uid": "1", "controller": True}
    return {**pod, "metadata": {**pod["metadata"], "ownerReferences": [owner]}}


def told(finding: Finding | None) -> list[Condition]:
    """Return the event of something that no condition holds, in the shape of one."""
    assert finding is not None
    return [{"message": explained(finding.reason, finding.message)}]


def of_the_future() -> list[Condition]:
    """Return the event of an authority that begins in the future."""
    made = issue_authority("demo", timedelta(days=3650), NOW + timedelta(hours=2))
    certificates = replace(FAKE_CERTIFICATES, authorities=Authorities(made))
    return told(authority_of_the_future("demo", certificates, NOW))


VOLUME_OWNER: Final = {
    "name": "buildkit-volume",
    "state": {"terminated": {"exitCode": 1, "message": "chown: /volume: Operation not permitted"}},
}

EXAMPLES: Final[dict[Reason, list[Condition]]] = {
    Reason.AVAILABLE: of(DaemonsObserved([make_deployment(total=1, ready=1)])),
    Reason.PROGRESSING: of(DaemonsObserved([make_deployment(total=1, ready=0)])),
    Reason.SUSPENDED: of(DaemonsObserved([make_deployment(total=1, ready=1)]), make_builder(suspend=True)),
    Reason.SCALED: scaled(),
    Reason.SCALED_TO_ZERO: of(DaemonsObserved([make_deployment(total=0)]), make_builder(shared={"replicas": 0})),
    Reason.TLS_DISABLED: of(
        DaemonsObserved([make_deployment(total=1, ready=1)]), make_builder(shared={"tls": {"mode": "Disabled"}})
    )[1:],
    Reason.CERTIFICATE_PENDING: pending_certificate(),
    Reason.PROVIDER_NOT_READY: provider_not_ready(),
    Reason.INVALID_SPEC: stalled(
        make_builder(
            daemon={
                "registries": [
                    {"host": "a.example.com", "mirrors": ["mirror.example.com"], "plainHTTP": True},
                    {"host": "b.example.com", "mirrors": ["mirror.example.com"]},
                ]
            }
        )
    ),
    Reason.INVALID_TOML: stalled(make_builder(daemon={"toml": "[worker.oci]\nmax-paralelism = 4"})),
    Reason.ISSUER_UNSUITABLE: unsuitable_issuer(),
    Reason.CERTIFICATE_NOT_ALLOWED: certificate_not_allowed(),
    Reason.PROVIDER_NOT_WATCHED: refused_by_provider(PROVIDER, ("ci",)),
    Reason.NOT_ADMITTED: refused_by_provider(None),
    Reason.NAME_CONFLICT: name_conflict(),
    Reason.RECONCILE_FAILED: failed(),
    Reason.INJECTION_NOT_SERVED: of(
        SidecarObserved(probe=admitted(SIDECAR, {}, {"metadata": {}})),
        SIDECAR,
    ),
    Reason.POD_SECURITY_DENIED: denied_by_namespace(),
    Reason.PODS_REFUSED: refused_pods(),
    Reason.UNSCHEDULABLE: of(
        DaemonsObserved([make_deployment()], [unschedulable(POD, "0/3 nodes are available: 3 Insufficient cpu.")])
    ),
    Reason.CLAIM_PENDING: on_claims(
        make_claim(0, phase="Pending", storage_class="fast"),
        unschedulable("demo-buildkitd-0", "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    ),
    Reason.CLAIM_LOST: on_claims(make_claim(0, phase="Lost")),
    Reason.VOLUME_NOT_WRITABLE: on_claims(
        make_claim(0), make_pod("demo-buildkitd-0", initContainerStatuses=[VOLUME_OWNER])
    ),
    Reason.CACHE_INCOMPATIBLE: incompatible_cache(),
    Reason.IMAGE_PULL_FAILED: waiting("ImagePullBackOff", 'Back-off pulling image "mirror.example.com/buildkit:1"'),
    Reason.CONTAINER_CONFIG_ERROR: waiting("CreateContainerConfigError", 'secret "proxy" not found'),
    Reason.USER_NAMESPACE_DENIED: ended(
        exitCode=1,
        message="[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 17 [...] failed: "
        "newuidmap: write to uid_map failed: Operation not permitted",
    ),
    Reason.OUT_OF_MEMORY: ended(exitCode=137, reason="OOMKilled"),
    Reason.EVICTED: with_pod(
        phase="Failed",
        reason="Evicted",
        message='Usage of EmptyDir volume "buildkit-state" exceeds the limit "20Gi". ',
    ),
    Reason.CRASH_LOOP: ended(exitCode=1, message="buildkitd: no worker found, rebuild the buildkit daemon?"),
    Reason.VOLUME_FULL: on_claims(make_claim(0), ended_on_claim(FULL_VOLUME)),
    Reason.CACHE_BROKEN: on_claims(make_claim(0), ended_on_claim(f"{CACHE_BROKEN}panic: freepages: failed to get all")),
    Reason.NODE_LOST: held({**make_pod("demo-buildkitd-0", conditions=SILENT_NODE), "spec": {"nodeName": "worker-2"}}),
    Reason.TERMINATION_STUCK: held(deleted(make_pod("demo-buildkitd-0"), finalizers=["example.com/hold"])),
    Reason.DRAIN_TIMED_OUT: lost_builds(),
    Reason.CLOCK_WRONG: of_the_future(),
    Reason.MANAGED_ELSEWHERE: told(stands_back("second/buildkit-operator", "buildkit-operator/buildkit-operator")),
}
