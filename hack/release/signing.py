"""cosign with a key pair of this run's own, without a transparency log: nothing leaves the machine."""

import json
import os
import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hack.cluster import artifacts

# Signatures are for a registry on this machine: no log is written, and none is asked for.
_SIGNING: Final = ("--yes", "--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry")
_VERIFYING: Final = ("--insecure-ignore-tlog=true", "--allow-http-registry")


class SignatureError(Exception):
    """cosign refuses; the message is what it said."""


@dataclass(frozen=True)
class Cosign:
    """A key pair in a folder, and what is signed and verified with it."""

    folder: Path
    _password: str = field(default_factory=secrets.token_urlsafe, repr=False)

    @property
    def public_key(self) -> Path:
        """Where whoever verifies has the key from."""
        return self.folder / "cosign.pub"

    def make_keys(self) -> None:
        """Make the pair."""
        self.folder.mkdir()
        self._run("generate-key-pair")

    def sign(self, reference: str, *flags: str) -> None:
        """Sign what a digest of a registry names. Raises SignatureError."""
        self._run("sign", *_SIGNING, *flags, "--key=cosign.key", reference)

    def attest(self, reference: str, kind: str, predicate: Path) -> None:
        """Attach a signed statement about it, such as an SBOM. Raises SignatureError."""
        self._run("attest", *_SIGNING, f"--type={kind}", f"--predicate={predicate}", "--key=cosign.key", reference)

    def verify(self, reference: str, key: Path | None = None) -> list[Any]:
        """Return the signatures that are good by this key. Raises SignatureError where none is."""
        return list(json.loads(self._run("verify", *_VERIFYING, f"--key={key or self.public_key}", reference)))

    def statement(self, reference: str, kind: str) -> str:
        """Return the verified statement of this kind. Raises SignatureError."""
        flags = (*_VERIFYING, f"--type={kind}", f"--key={self.public_key}")
        return self._run("verify-attestation", *flags, reference)

    def _run(self, *arguments: str) -> str:
        program = artifacts.ensure("cosign")["cosign"] / "cosign"
        done = subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env={**os.environ, "COSIGN_PASSWORD": self._password, "HOME": str(self.folder), "NO_PROXY": "localhost"},
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise SignatureError(f"cosign {arguments[0]}: {done.stderr.strip()}")
        return done.stdout
