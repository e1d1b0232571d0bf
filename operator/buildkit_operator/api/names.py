"""Names of the API: group, kind, field manager, labels, annotations, and what a builder's child objects are called."""

from __future__ import annotations

from typing import Final

from buildkit_operator import NAME
from buildkit_operator.api import published
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.kube.resources import Resource

GROUP: Final = "buildkit-operator.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "BuildKitBuilder"
PLURAL: Final = "buildkitbuilders"
SINGULAR: Final = "buildkitbuilder"
SHORT_NAME: Final = "bkb"
CATEGORY: Final = "buildkit"

BUILDER: Final = Resource(GROUP, VERSION, PLURAL, KIND)
"""The kind, as the API server addresses it."""

DOCUMENTATION: Final = published.DOCUMENTATION
"""Where the documentation is read."""

OPERATOR: Final = NAME
"""The operator's own name: of its Deployment, namespace and Lease, and in app.kubernetes.io labels."""

WEBHOOK: Final = f"{OPERATOR}-webhook"
"""Name of the webhook's Deployment, Service and configuration: see deploy/kustomize/components/webhook."""

FIELD_MANAGER: Final = OPERATOR
"""Field manager of every server-side apply, children and status alike."""

METRICS_PREFIX: Final = "buildkit_operator"
"""What every metric's name begins with."""

CONTROLLER: Final = f"{GROUP}/builder-controller"
"""The component that events are reported by."""

DAEMON: Final = "buildkitd"
"""Name of the daemon's container, shared or injected."""

VOLUME_OWNER: Final = "buildkit-volume"
"""Name of the init container that gives a claim's volume to the daemon."""

CONNECTOR: Final = "buildkit-connector"
"""Name of the container that is injected in mode Shared, and leads to the shared daemons."""

FRONT: Final = "buildkit-front"
"""Name of the container in a shared daemon's pod that clients connect to."""

SIDECARS: Final = (DAEMON, CONNECTOR)
"""Names of the containers that are injected: a pod gets one of them."""

NAME_LABEL: Final = "app.kubernetes.io/name"
"""On every child: what it is. Beside the owner's label, buildkitd selects daemons; no runner pod may be labelled so."""

OWNER_LABEL: Final = f"{GROUP}/owner"
"""On every child, and on every pod with a daemon, shared or injected: the name of the builder it belongs to."""

ARCHITECTURE_LABEL: Final = f"{GROUP}/architecture"
"""On the pods of a shared builder that says spec.shared.architectures: the one that theirs is of."""

BUILDER_LABEL: Final = f"{GROUP}/builder"
"""On a runner pod: the name of the builder, of the pod's own namespace, that it asks for."""

INJECTED_LABEL: Final = f"{GROUP}/injected"
"""On a runner pod: the name of the builder whose sidecar it got."""

INJECTION_LABEL: Final = f"{GROUP}/injection"
"""On a namespace: `enabled` lets builders pick its pods by spec.injection.podSelector."""

CONTAINERS_ANNOTATION: Final = f"{GROUP}/containers"
"""On a runner pod: the containers that were given the builder, joined with commas."""

CACHE_KEY_ANNOTATION: Final = f"{GROUP}/cache-key"
"""On a runner pod: whose builds it runs. Pods with the same key build on the same replica of a shared builder."""

SKIP_ANNOTATIONS: Final = {
    "eks.amazonaws.com/skip-containers": ",",
    "azure.workload.identity/skip-containers": ";",
    "pod-identity.alibabacloud.com/skip-containers": ",",
}
"""On a runner pod: containers that are to be left without the cloud identity of the pod's ServiceAccount, and what they
are separated by (amazon-eks-pod-identity-webhook, azure-workload-identity, ack-pod-identity-webhook; Google's is asked
for by the network).
"""

SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""On a pod: whether cluster-autoscaler may evict it, to remove its node."""

KEEP_ANNOTATIONS: Final = {SAFE_TO_EVICT: "false", "karpenter.sh/do-not-disrupt": "true"}
"""On a runner pod, unless it says otherwise: an autoscaler leaves its node alone until it has ended. Its job is lost
with it, however much time it is given.
"""

DELETION_COST_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
"""On a daemon's pod: its ReplicaSet takes away the pods with the lowest first (KEP-2255)."""

NOT_INJECTED_ANNOTATION: Final = f"{GROUP}/not-injected"
"""On a runner pod: why it got nothing, in a sentence."""

ENGINE_SIGNS: Final = (f"Policy '{OPERATOR}", f"policy '{OPERATOR}", f'.{GROUP}" denied', f'.{GROUP}":')
"""How the API server names our admission policies and webhooks when one of them refuses a pod or cannot be asked."""

HOST_VARIABLE: Final = "BUILDKIT_HOST"
"""Environment variable with the daemon's address, in the daemon's container, the connector's and a job's."""

SERVED_VARIABLE: Final = "BUILDX_CONTAINERS"
"""Environment variable of an injected container: the job's containers that want buildx, see buildx.sh."""

STEP_LOG_SIZE: Final = "BUILDKIT_STEP_LOG_MAX_SIZE"
STEP_LOG_SPEED: Final = "BUILDKIT_STEP_LOG_MAX_SPEED"
"""Environment variables of the daemon: bytes of a step's output, and bytes per second, beyond which it is cut."""

RESERVED_VARIABLES: Final = (HOST_VARIABLE, SERVED_VARIABLE, "HOME", "USER", "XDG_RUNTIME_DIR", "TMPDIR")
"""Environment variables of the daemon that are not the user's: what we set, and what BuildKit's image does."""

RESERVED_VARIABLE_PREFIX: Final = "BUILDKITD_"
"""What buildkitd reads its options from (cmd/buildkitd/main.go): another configuration, a listener for debugging."""

WATCHED_ANNOTATION: Final = f"{GROUP}/watched-namespaces"
"""On the operator's Lease: the namespaces that it serves, with commas; none where it serves all."""

APPLIED_HASH: Final = f"{GROUP}/applied-hash"
"""Annotation on a child: digest of what was last applied, so that an unchanged child needs no write."""

CONFIG_HASH: Final = f"{GROUP}/config-hash"
"""Annotation on a pod template: digest of what the daemon reads only at its start (configuration, certificates)."""

RESERVED_PREFIXES: Final = (
    f"{GROUP}/",
    "app.kubernetes.io/",
    # Kubernetes' own controllers, and kubectl
    "apps.kubernetes.io/",
    "controller-revision-hash",
    "deployment.kubernetes.io/",
    "kubectl.kubernetes.io/last-applied-configuration",
    "pod-template-hash",
    "statefulset.kubernetes.io/",
    # who owns an object, and may prune it
    "applyset.kubernetes.io/",
    "argocd.argoproj.io/",
    "cli-utils.sigs.k8s.io/",
    "config.k8s.io/",
    "configsync.gke.io/",
    "crossplane.io/",
    "fluxcd.controlplane.io/",
    "helm.sh/",
    "helm.toolkit.fluxcd.io/",
    "kapp.k14s.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "objectset.rio.cattle.io/",
    "resourceset.fluxcd.controlplane.io/",
)
"""What keys of labels and annotations may not begin with that users give to our objects: ours, those of Kubernetes'
controllers, and those by which GitOps tools and package managers would claim, change or prune an object.
"""

MAX_NAME_LENGTH: Final = 40
"""Longest builder name in characters, so that every derived name fits, a pod's controller-revision-hash label too."""

MAX_NAME_LENGTH_WITH_ARCHITECTURES: Final = MAX_NAME_LENGTH - max(len(f"-{each}") for each in Architecture)
"""The same where architectures are a part of names; of the longest, so that it is one number."""


def reason_page(reason: str) -> str:
    """Name the page of the documentation that is about a reason: docs/reasons/<reason>.md."""
    return f"{DOCUMENTATION}/reasons/{reason}/"


def daemon(builder: str, architecture: Architecture | None = None) -> str:
    """Name the shared daemon's workload, Service, ServiceAccount, ConfigMap and PodDisruptionBudget.

    With an architecture, those of the workload, Services and PodDisruptionBudget that there are for each.
    """
    return f"{builder}-buildkitd" if architecture is None else f"{builder}-buildkitd-{architecture}"


def daemons(builder: str) -> tuple[str, ...]:
    """Return all that `daemon` may return for a builder: what it has been given names of before is among them."""
    return tuple(daemon(builder, architecture) for architecture in (None, *Architecture))


def sidecar(builder: str) -> str:
    """Name the ConfigMap of the daemons in runner pods, which is none of the shared daemon's: a mode may change."""
    return f"{builder}-buildkitd-sidecar"


def headless(builder: str, architecture: Architecture | None = None) -> str:
    """Name the headless Service, by which each daemon can be told from the others; of an architecture, if of one."""
    return f"{daemon(builder, architecture)}-headless"


def connector(builder: str) -> str:
    """Name the ConfigMap with what leads runner pods to the shared daemons."""
    return f"{builder}-connector"


def front(builder: str) -> str:
    """Name the ConfigMap of what is in front of each shared daemon."""
    return f"{builder}-buildkitd-front"


def authority_secret(builder: str) -> str:
    """Name the Secret with the builder's own CA; its key never leaves the operator."""
    return f"{builder}-buildkitd-ca"


def server_secret(builder: str) -> str:
    """Name the Secret with the certificate that the daemon presents."""
    return f"{builder}-buildkitd-tls"


def client_secret(builder: str) -> str:
    """Name the Secret that cert-manager fills with a client's certificate; jobs get the one below."""
    return f"{builder}-buildkitd-client-tls"


def connection_secret(builder: str) -> str:
    """Name the Secret a job mounts to reach the builder from outside injection."""
    return f"{builder}-connection"
