"""What a release's workflow does, on one machine: image, files and chart into the registry, signatures beside them."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster import artifacts, installation
from hack.cluster.kubectl import Kubectl
from hack.cluster.pins import VERSION
from hack.cluster.problems import ClusterError
from hack.release import pages
from hack.release.checkout import TAG, Checkout
from hack.release.registry import OWNER, Registry
from hack.release.signing import Cosign

PLATFORMS: Final = ("linux/amd64", "linux/arm64")
EARLIER: Final = "0.0.0"
"""A release before this one, whose documentation is made up."""
MACHINES: Final = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
SOURCE: Final = "https://git.example.com/rehearsal/buildkit-operator"


@dataclass(frozen=True)
class Release:
    """What was published: the image and the chart by digest, and the folder of files."""

    image: str
    chart: str
    files: Path

    @property
    def sbom(self) -> Path:
        """The list of the image's Python packages."""
        return self.files / f"buildkit-operator-{VERSION}.cdx.json"


def build_image(team: Kubectl, builder: str, checkout: Checkout, registry: Registry, scratch: Path) -> str:
    """Build and push the image for both architectures from the checkout's Dockerfile; return its name by digest."""
    checkout.run("deploy/fetch-wheels.sh", sys.executable, *MACHINES.values())
    base = registry.add_base()
    told = scratch / "built.json"
    arguments = {"BASE": base, "VERSION": VERSION, "REVISION": checkout.commit, "SOURCE": SOURCE}
    with (
        installation.connection_files(team, f"{builder}-connection") as tls,
        team.port_forward(f"service/{builder}-buildkitd", 1234) as port,
    ):
        command = [
            str(team.program.with_name("buildctl")),
            f"--addr=tcp://localhost:{port}",
            f"--tlsdir={tls}",
            "build",
            "--frontend=dockerfile.v0",
            f"--local=context={checkout.folder}",
            f"--local=dockerfile={checkout.folder / 'deploy'}",
            f"--opt=platform={','.join(PLATFORMS)}",
            *(f"--opt=build-arg:{name}={value}" for name, value in arguments.items()),
            "--opt=attest:provenance=mode=max",
            f"--metadata-file={told}",
            f"--output=type=image,name={installation.REGISTRY}/{OWNER}/buildkit-operator:{VERSION},push=true",
        ]
        built = subprocess.run(command, text=True, capture_output=True, check=False)
    if built.returncode:
        raise ClusterError(f"The image could not be built:\n{built.stderr[-3000:]}")
    digest = json.loads(told.read_text())["containerimage.digest"]
    return f"{registry.host}/{OWNER}/buildkit-operator@{digest}"


def write_files(checkout: Checkout) -> Path:
    """Run `make release` in the checkout, with the packages that are installed; return the folder it writes."""
    checkout.run("make", "--old-file=venv", "release", f"TAG={TAG}", f"REPOSITORY={SOURCE}")
    return checkout.folder / "dist/release"


def assemble_pages(files: Path, scratch: Path) -> list[str]:
    """Make the site of this release and an earlier one, whose documentation is the same; return its versions."""
    archives = scratch / "archives"
    archives.mkdir()
    for version in (VERSION, EARLIER):
        shutil.copy(files / f"documentation-{VERSION}.tar.gz", archives / f"documentation-{version}.tar.gz")
    return pages.assemble(archives, scratch / "pages")


def push_chart(files: Path, registry: Registry) -> str:
    """Push the chart; return its name by digest. Raises ClusterError."""
    charts = f"{registry.host}/{OWNER}/charts"
    package = files / f"buildkit-operator-{VERSION}.tgz"
    command = [str(helm()), "push", "--plain-http", str(package), f"oci://{charts}"]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    found = re.search(r"^Digest: (sha256:[0-9a-f]{64})$", done.stdout, re.MULTILINE)
    if done.returncode or found is None:
        raise ClusterError(f"helm push: {done.stdout.strip()}")
    return f"{charts}/buildkit-operator@{found[1]}"


def sign(release: Release, cosign: Cosign) -> None:
    """Sign the image, with what it is for each architecture, and the chart, and attach the SBOM to the image."""
    cosign.sign(release.image, "--recursive")
    cosign.attest(release.image, "cyclonedx", release.sbom)
    cosign.sign(release.chart)


def helm() -> Path:
    """Return helm."""
    return artifacts.ensure("helm")["helm"] / "helm"
