"""`make rehearse-release`: everything that a release does, against a local registry and a local Git remote.

A clone of the committed state is told who publishes it, tagged and pushed to a bare repository, and released from
there: the image for two architectures by a builder of the kind cluster, `make release`, the chart as an OCI artifact,
and signatures. Then all of it is verified, and the chart installed from the registry. The cluster of `make cluster-up`
is used if it is up, and else made and removed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from hack.bench.pods import own_namespace
from hack.cluster import cluster, images, installation
from hack.cluster.docker import Docker
from hack.cluster.kubectl import Kubectl, KubectlError
from hack.cluster.pins import VERSION
from hack.cluster.problems import ClusterError
from hack.cluster.progress import step
from hack.cluster.recipes import RecipeError
from hack.cluster.toolchain import MissingError
from hack.release import checkout, publish, verify
from hack.release.publish import Release
from hack.release.registry import OWNER, Registry
from hack.release.signing import Cosign, SignatureError
from hack.release.verify import UnverifiedError

BUILDER: Final = Path(__file__).parents[1] / "demo" / "builder.yaml"
DOCUMENTATION: Final = "https://docs.example.com/buildkit-operator"
_PROBLEMS: Final = (
    ClusterError,
    RecipeError,
    MissingError,
    KubectlError,
    SignatureError,
    UnverifiedError,
    TimeoutError,
)


def main() -> int:
    """Rehearse; what went wrong is a sentence on standard error and the status 1."""
    try:
        with installation.running_cluster() as kubectl:
            for line in rehearse(kubectl):
                print(line, flush=True)
    except _PROBLEMS as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def rehearse(kubectl: Kubectl) -> Iterator[str]:
    """Do it all, and tell what was verified. Raises what the cluster, a program or a look has to say."""
    up = cluster.find()
    if up is None or up.docker is None:
        raise ClusterError("A release is rehearsed in a kind cluster of the project's own: leave CLUSTER unset.")
    with (
        tempfile.TemporaryDirectory() as folder,
        kubectl.within("registry").port_forward("service/registry", 5000) as port,
        own_namespace(kubectl, OWNER) as team,
    ):
        scratch, registry = Path(folder), Registry(up.bin / "crane", port)
        released = yield from _release(team, scratch, registry)
        yield from _look(released, scratch, registry)
        yield from _install(kubectl, released, up.docker, up.node, registry)


def _release(team: Kubectl, scratch: Path, registry: Registry) -> Generator[str, None, Release]:
    with step("Tagging and cloning what is released", "Tagged and cloned what is released"):
        clone = checkout.make(scratch, owner=OWNER, registry=registry.host, documentation=DOCUMENTATION)
    yield f"Git: {checkout.TAG} at {clone.commit[:12]}, cloned from a bare repository"
    with step("Building the image for two architectures", "Built the image for two architectures"):
        team("apply", "--server-side", f"--filename={BUILDER}")
        team("wait", "--for=condition=Ready", "bkb/demo", "--timeout=120s", timeout=130)
        image = publish.build_image(team, "demo", clone, registry, scratch)
    with step("Writing the files", "Wrote the files"):
        files = publish.write_files(clone)
        versions = publish.assemble_pages(files, scratch)
    with step("Pushing the chart", "Pushed the chart"):
        released = Release(image, publish.push_chart(files, registry), files)
    cosign = Cosign(scratch / "keys")
    cosign.make_keys()
    with step("Signing", "Signed"):
        publish.sign(released, cosign)
    yield f"Image: {released.image}"
    yield f"Chart: {released.chart}"
    yield f"Files: {', '.join(sorted(file.name for file in files.iterdir()))}"
    yield f"Documentation: versions {' and '.join(versions)} side by side"
    return released


def _look(released: Release, scratch: Path, registry: Registry) -> Iterator[str]:
    cosign, others = Cosign(scratch / "keys"), Cosign(scratch / "others")
    others.make_keys()
    commit = subprocess.run(
        ["git", "rev-parse", checkout.TAG], cwd=scratch / "remote.git", text=True, capture_output=True, check=True
    ).stdout.strip()
    with step("Verifying", "Verified"):
        told = {
            "checksums": f"{verify.checksums(released)} files",
            "signatures": f"{verify.signatures(released, registry, cosign, others)}, each refused by another key",
            "SBOM": f"{verify.sbom(released, cosign)} packages",
            "provenance": ", ".join(verify.provenance(released, registry, commit)),
            "libraries": ", ".join(f"{count} of {name}" for name, count in verify.contents(released, registry).items()),
        }
    for what, found in told.items():
        yield f"Verified {what}: {found}"


def _install(kubectl: Kubectl, released: Release, docker: Docker, node: str, registry: Registry) -> Iterator[str]:
    """Install the chart from the registry, in a namespace of its own beside the operator that is there."""
    name = f"{registry.host}/{OWNER}/buildkit-operator:{VERSION}"
    with step("Installing the chart from the registry", "Installed the chart from the registry"):
        _load(docker, node, registry, released.image, name)
        chart = f"oci://{registry.host}/{OWNER}/charts/buildkit-operator"
        helm = [str(publish.helm()), f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={OWNER}-install"]
        # No image is named: the chart has its release's. The CRD and all other namespaces are the other operator's.
        chosen = ["--set=crds.enabled=false", f"--set=watchNamespaces={{{OWNER}}}", f"--version={VERSION}"]
        command = [*helm, "install", OWNER, chart, "--plain-http", "--create-namespace", *chosen]
        try:
            done = subprocess.run([*command, "--wait", "--timeout=120s"], text=True, capture_output=True, check=False)
            if done.returncode:
                raise ClusterError(f"helm install: {done.stderr.strip()}")
            operator = kubectl.within(f"{OWNER}-install")
            (deployment,) = operator.get("deployments", f"--selector=app.kubernetes.io/instance={OWNER}")
            target = f"deployment/{deployment['metadata']['name']}"
            version = operator("exec", target, "--", "buildkit-operator", "--version").strip()
        finally:
            subprocess.run(
                [*helm, "uninstall", OWNER, "--ignore-not-found", "--wait"], capture_output=True, check=False
            )
            kubectl("delete", "namespace", f"{OWNER}-install", "--ignore-not-found", "--wait=false")
    ready = deployment["status"]["readyReplicas"]
    yield f"Installed {chart} {VERSION}: {ready} pods ready with {name}, which say they are {version}"


def _load(docker: Docker, node: str, registry: Registry, image: str, name: str) -> None:
    """Bring the released image into the node, which reaches no registry on this machine's ports."""
    if registry.crane("digest", "--insecure", name).strip() != image.partition("@")[2]:
        raise UnverifiedError(f"{name} is not the image that was built.")
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "image.tar"
        registry.crane("pull", "--insecure", f"--platform=linux/{images.architecture()}", name, str(archive))
        docker.load(archive)
    images.load(docker, node, name)


if __name__ == "__main__":
    sys.exit(main())
