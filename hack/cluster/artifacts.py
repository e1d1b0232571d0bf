"""What the test cluster is built from, as one table, and `ensure`, which builds those parts that are not in the cache.

Recipes of the same lane share work, so they go one after the other; lanes go side by side.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from hack.cluster import cache, pins, toolchain
from hack.cluster.recipes import DebianTree, GoModuleFiles, GoPrograms, Recipe, RecipeError

KUBE_PROGRAMS: Final = ("etcd", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_PROGRAMS: Final = ("kubeadm", "kubelet", "kube-proxy")

_docker = "github.com/docker/cli"
_component_base = "k8s.io/component-base/version"
_containerd = "github.com/containerd/containerd/v2"
_plugins = "github.com/containernetworking/plugins/plugins"

ARTIFACTS: Final[Mapping[str, Recipe]] = {
    "kube": GoPrograms(
        module="kube",
        packages=(".",),
        links=KUBE_PROGRAMS + (NODE_PROGRAMS if sys.platform == "linux" else ()),
        hint="about 5 minutes the first time",
        # Without these, kubeadm and kubelet call themselves v0.0.0 and refuse each other.
        stamps={
            f"{_component_base}.gitVersion": f"v{pins.KUBERNETES}",
            f"{_component_base}.gitMajor": pins.KUBERNETES.split(".")[0],
            f"{_component_base}.gitMinor": pins.KUBERNETES.split(".")[1],
            f"{_component_base}.gitTreeState": "clean",
        },
    ),
    "containerd": GoPrograms(
        packages=tuple(f"{_containerd}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")),
        stamps={f"{_containerd}/version.Version": f"v{pins.CONTAINERD}"},
        hint="about a minute the first time",
    ),
    "runc": GoPrograms(
        packages=("github.com/opencontainers/runc",),
        tags="seccomp",
        cgo=True,
        needs=(
            toolchain.program("cc", package="gcc", purpose="to build runc"),
            toolchain.header("stdlib.h", package="libc6-dev", purpose="to build runc"),
            toolchain.program("pkg-config", purpose="to build runc"),
            toolchain.header("seccomp.h", package="libseccomp-dev", purpose="to build runc"),
        ),
    ),
    "cni": GoPrograms(
        packages=tuple(
            f"{_plugins}/{name}" for name in ("ipam/host-local", "main/bridge", "main/loopback", "meta/portmap")
        ),
    ),
    "coredns": GoPrograms(packages=("./coredns",)),
    "pause": GoPrograms(packages=("./pause",)),
    "crictl": GoPrograms(
        packages=("sigs.k8s.io/cri-tools/cmd/crictl",),
        stamps={"sigs.k8s.io/cri-tools/pkg/version.Version": f"v{pins.CRICTL}"},
    ),
    "kind": GoPrograms(packages=("sigs.k8s.io/kind",)),
    "buildkit": GoPrograms(
        packages=("github.com/moby/buildkit/cmd/buildkitd", "github.com/moby/buildkit/cmd/buildctl"),
        # seccomp: RUN steps get BuildKit's default profile, as in the upstream image.
        tags="osusergo netgo seccomp",
        stamps={"github.com/moby/buildkit/version.Version": f"v{pins.BUILDKIT}"},
        hint="about a minute the first time",
    ),
    "dockerfile-frontend": GoPrograms(
        module="frontend",
        packages=("github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend",),
        tags="osusergo netgo",
    ),
    "rootlesskit": GoPrograms(packages=("github.com/rootless-containers/rootlesskit/v3/cmd/rootlesskit",)),
    "buildx": GoPrograms(
        packages=("github.com/docker/buildx/cmd/buildx",),
        stamps={"github.com/docker/buildx/version.Version": f"v{pins.BUILDX}"},
    ),
    "docker": GoPrograms(
        module="docker",
        packages=(f"{_docker}/cmd/docker",),
        stamps={f"{_docker}/cli/version.Version": pins.DOCKER},
        # It has no go.mod, for which Go takes it to be written in the language of 1.16.
        flags=(f"-gcflags={_docker}/cmd/docker=-lang=go1.26",),
    ),
    "helm": GoPrograms(
        packages=("helm.sh/helm/v4/cmd/helm",),
        stamps={"helm.sh/helm/v4/internal/version.version": f"v{pins.HELM}"},
        hint="about a minute the first time",
    ),
    "crane": GoPrograms(
        module="crane",
        packages=("github.com/google/go-containerregistry/cmd/crane",),
        stamps={"github.com/google/go-containerregistry/cmd/crane/cmd.Version": pins.CRANE},
    ),
    "cosign": GoPrograms(
        module="cosign",
        packages=("github.com/sigstore/cosign/v3/cmd/cosign",),
        stamps={"sigs.k8s.io/release-utils/version.gitVersion": f"v{pins.COSIGN}"},
        hint="about 3 minutes the first time",
    ),
    "kwok": GoPrograms(
        module="kwok",
        packages=("sigs.k8s.io/kwok/cmd/kwok",),
        hint="about a minute the first time",
    ),
    "oldest": GoPrograms(module="oldest", packages=(".",), hint="about a minute the first time"),
    "flux": GoPrograms(
        module="flux",
        packages=("github.com/fluxcd/kustomize-controller",),
        hint="about 5 minutes the first time",
    ),
    # For the dashboard's picture. Of the ways to find targets it has Kubernetes' alone, and of its pages none.
    "prometheus": GoPrograms(
        module="prometheus",
        packages=("github.com/prometheus/prometheus/cmd/prometheus",),
        tags="remove_all_sd enable_kubernetes_sd",
        hint="about 5 minutes the first time",
    ),
    "gitops-health": GoPrograms(module="gitops-health", packages=(".",)),
    "buildkitd-config": GoPrograms(module="buildkitd-config", packages=(".",)),
    "helm-release": GoPrograms(module="helm-release", packages=(".",)),
    "debian": DebianTree(suite=pins.DEBIAN_SUITE),
    "debian:haproxy": DebianTree(suite=pins.HAPROXY_SUITE),
    "files:arc": GoModuleFiles(
        module="arc", dependency="github.com/actions/actions-runner-controller", folder="charts"
    ),
    "files:argocd": GoModuleFiles(
        module="argocd", dependency="github.com/argoproj/argo-cd/v3", folder="manifests/crds"
    ),
    "files:cert-manager": GoModuleFiles(
        module="cert-manager", dependency="github.com/cert-manager/cert-manager", folder="deploy/crds"
    ),
    "files:flux": GoModuleFiles(
        module="flux", dependency="github.com/fluxcd/kustomize-controller", folder="config/crd/bases"
    ),
    "files:flux-sources": GoModuleFiles(
        module="flux-sources", dependency="github.com/fluxcd/source-controller", folder="config/crd/bases"
    ),
    "files:keda": GoModuleFiles(module="keda", dependency="github.com/kedacore/keda/v2", folder="config/crd/bases"),
    "files:kwok": GoModuleFiles(module="kwok", dependency="sigs.k8s.io/kwok", folder="kustomize/stage"),
    "files:prometheus-operator": GoModuleFiles(
        module="prometheus-operator",
        dependency="github.com/prometheus-operator/prometheus-operator",
        folder="example/prometheus-operator-crd",
    ),
    "files:kind": GoModuleFiles(module="tools", dependency="sigs.k8s.io/kind", folder="images/base/files"),
    "files:tekton": GoModuleFiles(module="tekton", dependency="github.com/tektoncd/pipeline", folder="config/300-crds"),
}


def ensure(*names: str) -> dict[str, Path]:
    """Return the named artifacts' folders in the cache, built first where they are absent.

    Raises RecipeError with the end of the log when a build fails, and toolchain.MissingError when the machine lacks
    something that cannot be installed from here.
    """
    for name in names:
        # Before anything is built: nobody shall wait for minutes to be told what is missing.
        if not folder(name).exists():
            ARTIFACTS[name].prepare()
    lanes: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        lanes.setdefault(ARTIFACTS[name].lane, []).append(name)
    with ThreadPoolExecutor(max_workers=max(1, len(lanes))) as pool:
        built = dict(pair for pairs in pool.map(_ensure_lane, lanes.values()) for pair in pairs)
    return {name: built[name] for name in names}


def folder(name: str) -> Path:
    """Return where the artifact is, or will be."""
    return cache.path(name, ARTIFACTS[name].key())


def _ensure_lane(names: Iterable[str]) -> list[tuple[str, Path]]:
    def one(name: str) -> Path:
        recipe = ARTIFACTS[name]
        return cache.entry(name, recipe.key(), lambda folder: recipe.make(name, folder))

    return [(name, one(name)) for name in names]


def main(arguments: list[str] | None = None) -> int:
    """Build the artifacts named on the command line (all: "all") and print their folders."""
    parser = argparse.ArgumentParser(prog="python -m hack.cluster.artifacts", description=main.__doc__)
    parser.add_argument("names", nargs="+", choices=[*ARTIFACTS, "all"], metavar="NAME", help=", ".join(ARTIFACTS))
    chosen = parser.parse_args(arguments).names
    try:
        folders = ensure(*(ARTIFACTS if "all" in chosen else chosen))
    except (RecipeError, toolchain.MissingError) as problem:
        print(problem, file=sys.stderr)
        return 1
    for path in folders.values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
