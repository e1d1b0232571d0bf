"""Every version the test cluster is made of, and the public names of its images, once."""

from importlib.metadata import version
from typing import Final

from hack.generate import published

KUBERNETES: Final = "1.37.2"
# The oldest that the operator serves, of which there is only what says whether it takes our CRD.
OLDEST_KUBERNETES: Final = "1.31.14"
ETCD: Final = "3.7.0"
# Also in kubeadm's own list of images, which names the tag that the node image must hold.
COREDNS: Final = "1.14.6"
CONTAINERD: Final = "2.4.2"
RUNC: Final = "1.5.2"
CNI_PLUGINS: Final = "1.9.1"
CRICTL: Final = "1.36.0"
KIND: Final = "0.33.0"
BUILDKIT: Final = "0.34.2"
# The one that BuildKit's Dockerfile puts into its rootless image.
ROOTLESSKIT: Final = "3.2.0"
BUILDX: Final = "0.38.2"
# Of the client, and of Docker's own images. The one that buildx requires.
DOCKER: Final = "29.8.2"
HELM: Final = "4.3.1"
# Puts images into the registry of the cluster and lists what is there.
CRANE: Final = "0.22.1"
# Signs what a rehearsed release consists of, and verifies it.
COSIGN: Final = "3.1.3"
# Of their CRDs alone, and ARC's chart.
CERT_MANAGER: Final = "1.21.2"
KEDA: Final = "2.21.0"
PROMETHEUS_OPERATOR: Final = "0.85.0"
TEKTON: Final = "1.15.0"
# The newest that is a version of the Go module: its runner scale sets are those of chart 0.6.1.
ARC: Final = "0.27.6"
# Of Flux, kustomize-controller runs in the tests; of source-controller there are the CRDs.
KUSTOMIZE_CONTROLLER: Final = "1.9.6"
SOURCE_CONTROLLER: Final = "1.9.6"
# Of its CRDs. What it runs our health script in is GOPHER_LUA.
ARGO_CD: Final = "3.5.7"
# What GitOps tools read a resource's status with: kstatus, and Argo CD's Lua.
CLI_UTILS: Final = "0.37.2"
GOPHER_LUA: Final = "1.1.2"
# Makes nodes and pods that only say that they run, for the benchmark of scale.
KWOK: Final = "0.8.0"
DEBIAN_SUITE: Final = "bookworm"
# Of HAProxy, which is too old in the other one: `hash-key` is from 3.0.
HAPROXY_SUITE: Final = "trixie"
HAPROXY: Final = "3.0.11"

# The oldest Go that all modules accept, and what is installed where the machine has none.
GO_MINIMUM: Final = (1, 26, 8)

# Where go.mod files have these versions. A test keeps both equal.
GO_MODULES: Final = {
    "arc": {"github.com/actions/actions-runner-controller": ARC},
    "kube": {
        "go.etcd.io/etcd/server/v3": ETCD,
        "k8s.io/kubernetes": KUBERNETES,
    },
    "tools": {
        "github.com/containerd/containerd/v2": CONTAINERD,
        "github.com/containernetworking/plugins": CNI_PLUGINS,
        "github.com/coredns/coredns": COREDNS,
        "github.com/docker/buildx": BUILDX,
        "github.com/docker/cli": f"{DOCKER}+incompatible",
        "github.com/moby/buildkit": BUILDKIT,
        "github.com/opencontainers/runc": RUNC,
        "github.com/rootless-containers/rootlesskit/v3": ROOTLESSKIT,
        "helm.sh/helm/v4": HELM,
        "sigs.k8s.io/cri-tools": CRICTL,
        "sigs.k8s.io/kind": KIND,
    },
    "buildkitd-config": {"github.com/moby/buildkit": BUILDKIT},
    "argocd": {"github.com/argoproj/argo-cd/v3": ARGO_CD},
    "cert-manager": {"github.com/cert-manager/cert-manager": CERT_MANAGER},
    "cosign": {"github.com/sigstore/cosign/v3": COSIGN},
    "crane": {"github.com/google/go-containerregistry": CRANE},
    # Swarm's client, which it brings along, needs an older raft than etcd does.
    "docker": {"github.com/docker/cli": f"{DOCKER}+incompatible"},
    "oldest": {"k8s.io/apiextensions-apiserver": OLDEST_KUBERNETES.replace("1.", "0.", 1)},
    # Cloud SDKs by the dozen, which its decryption brings along.
    "flux": {"github.com/fluxcd/kustomize-controller": KUSTOMIZE_CONTROLLER},
    "flux-sources": {"github.com/fluxcd/source-controller": SOURCE_CONTROLLER},
    "frontend": {"github.com/moby/buildkit": BUILDKIT},
    "gitops-health": {"github.com/yuin/gopher-lua": GOPHER_LUA, "sigs.k8s.io/cli-utils": CLI_UTILS},
    "kwok": {"sigs.k8s.io/kwok": KWOK},
    "keda": {"github.com/kedacore/keda/v2": KEDA},
    "prometheus-operator": {"github.com/prometheus-operator/prometheus-operator": PROMETHEUS_OPERATOR},
    "tekton": {"github.com/tektoncd/pipeline": TEKTON},
}

BUILDKIT_IMAGE: Final = f"docker.io/moby/buildkit:v{BUILDKIT}-rootless"
DOCKER_IMAGE: Final = f"docker.io/library/docker:{DOCKER}-cli"
DIND_IMAGE: Final = f"docker.io/library/docker:{DOCKER}-dind"
HAPROXY_IMAGE: Final = f"docker.io/library/haproxy:{HAPROXY}"
REGISTRY_IMAGE: Final = "docker.io/library/registry:2.8.2"
# What test builds begin with: small, as every daemon unpacks it anew. The version that Debian has.
BUSYBOX_IMAGE: Final = "docker.io/library/busybox:1.35.0"
PYTHON_IMAGE: Final = "docker.io/library/python:3.11-slim-bookworm"
VERSION: Final = version("buildkit-operator")
OPERATOR_IMAGE: Final = f"{published.recorded().image}:{VERSION}"
