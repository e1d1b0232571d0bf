"""The programs that read what is rendered: buildkitd's loader, HAProxy, a shell."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from buildkit_operator.desired import paths
from buildkit_operator.desired.scripts import CONNECTOR_SCRIPTS, FRONT_SCRIPTS
from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts, images, layers, pins
from tests.integration.builders.cert_manager import make_authority

LONGEST_LINE: Final = 2**24


def haproxy() -> list[str] | None:
    """Return the words that run a HAProxy of the version that we inject: the machine's, or the one of our own image.

    None where there is neither, as only root can make the image.
    """
    found = shutil.which("haproxy")
    if found and pins.HAPROXY.rpartition(".")[0] in subprocess.check_output([found, "-v"], text=True):
        return [found]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return None
    base = layers.base("debian:haproxy")
    trees = [base, layers.layer("haproxy", images.SCRIPTS / "haproxy.sh", [base])]
    return layers.program(trees, "usr/sbin/haproxy")


@dataclass
class Tools:
    """Each text is given to its program once."""

    folder: Path
    haproxy: list[str] | None
    loaded: int = 0
    checked: int = 0
    scripts: int = 0
    _seen: set[str] = field(default_factory=set)
    _files: int = 0
    _loader: asyncio.subprocess.Process | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _few_at_a_time: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def __post_init__(self) -> None:
        for name, text in (CONNECTOR_SCRIPTS | FRONT_SCRIPTS).items():
            (self.folder / name).write_text(text)
        authority = make_authority()
        (self.folder / "ca.crt").write_bytes(authority.certificate)
        for name in ("client.pem", "server.pem"):
            (self.folder / name).write_bytes(authority.certificate)
            (self.folder / f"{name}.key").write_bytes(authority.key)

    async def complaint(self, manifests: list[Manifest]) -> str | None:
        """Return what a program says of a text in these objects that it cannot read."""
        for manifest in manifests:
            for name, text in manifest.get("data", {}).items() if manifest["kind"] == "ConfigMap" else ():
                if said := await self._read(name, text):
                    return f"{name}: {said}"
        return None

    async def _read(self, name: str, text: str) -> str | None:
        key = hashlib.sha256(f"{name}\0{text}".encode()).hexdigest()
        if key in self._seen:
            return None
        if name == "buildkitd.toml":
            said = await self._load(text)
        elif name == "haproxy.cfg":
            said = await self._check(text)
        elif name.endswith(".sh"):
            said = await self._parse(text)
        else:
            return None
        if said is None:
            self._seen.add(key)
        return said

    async def _load(self, text: str) -> str | None:
        """Have buildkitd's own function load it, and see that what is ours is as we said."""
        self.loaded += 1
        async with self._one_at_a_time:
            if self._loader is None:
                program = artifacts.ensure("buildkitd-config")["buildkitd-config"] / "buildkitd-config"
                self._loader = await asyncio.create_subprocess_exec(
                    program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE
                )
            assert self._loader.stdin
            assert self._loader.stdout
            self._loader.stdin.write(json.dumps(text).encode() + b"\n")
            answer = json.loads(await self._loader.stdout.readline())
        return answer.get("error") or _taken_over(answer["config"])

    async def _check(self, text: str) -> str | None:
        if self.haproxy is None:
            return None
        self.checked += 1
        here = text.replace(paths.CONFIG_DIRECTORY, str(self.folder)).replace(
            paths.CERTIFICATE_DIRECTORY, str(self.folder)
        )
        return await self._run(here, "haproxy.cfg", *self.haproxy, "-c", "-f")

    async def _parse(self, text: str) -> str | None:
        self.scripts += 1
        return await self._run(text, "script.sh", "sh", "-n")

    async def _run(self, text: str, name: str, *command: str) -> str | None:
        async with self._few_at_a_time:
            self._files += 1
            file = self.folder / f"{self._files}-{name}"
            file.write_text(text)
            process = await asyncio.create_subprocess_exec(
                *command,
                file,
                # As front.sh says, for what is in front of a daemon.
                env={**os.environ, "ANY": "::"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said, _ = await process.communicate()
            file.unlink()
        # A configuration without a warning is what we promise: they are in every connector's log.
        bad = process.returncode or b"[WARNING]" in said or b"[ALERT]" in said
        return said.decode(errors="replace") if bad else None

    async def close(self) -> None:
        if self._loader is not None:
            assert self._loader.stdin
            self._loader.stdin.close()
            await self._loader.wait()


def _taken_over(config: Any) -> str | None:
    """Return what of a loaded configuration is not ours any more."""
    oci, containerd = config["Workers"]["OCI"], config["Workers"]["Containerd"]
    addresses = config["GRPC"]["Address"] or []
    if addresses != [paths.SOCKET]:
        return f"the daemon listens on {addresses}"
    if oci["Enabled"] is not True or containerd["Enabled"] is not False:
        return "the workers are not ours"
    if config["Root"] != paths.ROOT:
        return f"the state is in {config['Root']}"
    return None
