"""What docs/verify.md has people look at, of a release in a local registry; each look raises where it finds nothing."""

import base64
import json
import subprocess
from typing import Any, Final

from hack.release.publish import PLATFORMS, SOURCE, Release
from hack.release.registry import Registry
from hack.release.signing import Cosign, SignatureError

# e_machine in the header of an ELF file, at byte 18.
_ELF: Final = {"linux/amd64": 62, "linux/arm64": 183}


class UnverifiedError(Exception):
    """Something of a release is not what it should be; the message says what."""


def checksums(release: Release) -> int:
    """Check every file against SHA256SUMS; return how many there are."""
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=release.files, text=True, capture_output=True, check=False)
    if done.returncode:
        raise UnverifiedError(done.stdout + done.stderr)
    return len(done.stdout.splitlines())


def signatures(release: Release, registry: Registry, cosign: Cosign, others: Cosign) -> int:
    """Verify image, each architecture of it, and chart by the key, which another key must not do; return how many."""
    repository = release.image.partition("@")[0]
    entries = registry.manifest(release.image)["manifests"]
    each = [f"{repository}@{entry['digest']}" for entry in entries if platform(entry) in PLATFORMS]
    references = (release.image, *each, release.chart)
    for reference in references:
        cosign.verify(reference)
        try:
            cosign.verify(reference, key=others.public_key)
        except SignatureError:
            continue
        raise UnverifiedError(f"{reference} is verified by a key that it was not signed with.")
    return len(references)


def sbom(release: Release, cosign: Cosign) -> int:
    """Verify the SBOM that is attached to the image, which must be that of the files; return its packages' number."""
    envelope = json.loads(cosign.statement(release.image, "cyclonedx").splitlines()[0])
    attached = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    if attached != json.loads(release.sbom.read_text()):
        raise UnverifiedError("The attached SBOM is another one than that of the files.")
    return len(attached["components"])


def provenance(release: Release, registry: Registry, commit: str) -> list[str]:
    """Look for the provenance of each architecture; return the platforms that have one."""
    found = []
    index = registry.manifest(release.image)
    repository = release.image.partition("@")[0]
    platforms = {entry["digest"]: platform(entry) for entry in index["manifests"]}
    for entry in index["manifests"]:
        subject = entry.get("annotations", {}).get("vnd.docker.reference.digest")
        if subject is None:
            continue
        (layer,) = registry.manifest(f"{repository}@{entry['digest']}")["layers"]
        statement = registry.blob(repository, layer["digest"])
        text = json.dumps(statement["predicate"])
        if "slsa.dev/provenance" not in statement["predicateType"] or commit not in text or SOURCE not in text:
            raise UnverifiedError(f"The provenance of {platforms[subject]} does not name the commit {commit}.")
        found.append(platforms[subject])
    if sorted(found) != sorted(PLATFORMS):
        raise UnverifiedError(f"There is provenance of {found} alone.")
    return found


def contents(release: Release, registry: Registry) -> dict[str, int]:
    """Check that the image of each architecture has that architecture's libraries and the same files otherwise.

    Return how many libraries each has.
    """
    libraries = {}
    names = []
    for each in PLATFORMS:
        files = registry.files(release.image, each)
        elf = {name: header for name, header in files.items() if header.startswith(b"\x7fELF")}
        wrong = [name for name, header in elf.items() if int.from_bytes(header[18:20], "little") != _ELF[each]]
        if wrong or not elf:
            raise UnverifiedError(f"{each} has libraries of another architecture: {wrong}")
        libraries[each] = len(elf)
        names.append({name for name in files if name.endswith(".py")})
    if names[0] != names[1]:
        raise UnverifiedError(f"The architectures differ: {sorted(names[0] ^ names[1])[:5]}")
    return libraries


def platform(entry: dict[str, Any]) -> str:
    """Return the platform of an index's entry, as linux/amd64."""
    return f"{entry['platform']['os']}/{entry['platform']['architecture']}"
