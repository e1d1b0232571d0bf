"""Where the project is published: the table [tool.buildkit-operator] of pyproject.toml, and every name that follows it.

published.json has what the checkout names now. Where the table says something else, each tracked file that names the
old one is written with the new one, before anything is generated from it.
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hack.generate.paths import TOP

RECORD: Final = Path(__file__).with_name("published.json")
MODULE: Final = TOP / "operator/buildkit_operator/api/published.py"
_SETTING: Final = TOP / "pyproject.toml"

UNRELEASED_IMAGE: Final = "unreleased.invalid/buildkit-operator"
"""The image's name while nobody publishes one: no DNS has names below .invalid (RFC 2606), so no node pulls it."""
UNRELEASED_CHARTS: Final = "registry.example.com/charts"
"""Where samples then have the chart from: a registry of the reader's, to which they push it."""
UNRELEASED_DOCUMENTATION: Final = "https://docs.unreleased.invalid"
"""The documentation's address then: nobody can publish remedies below it, as below a domain that is not ours."""

UNRELEASED_REPOSITORY: Final = "https://git.example.com/platform/buildkit-operator"
"""Where samples then have the source from: a copy of the reader's."""

_OWNER: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*|")
_REGISTRY: Final = re.compile(r"[a-z0-9.-]+(?::[0-9]{1,5})?")
_ADDRESS: Final = re.compile(r"https://[a-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*|")


class SettingError(Exception):
    """The table says something that cannot be; the message says what it may."""


@dataclass(frozen=True)
class Published:
    """The names under which the project is found."""

    image: str
    """The operator's image, without a tag."""
    charts: str
    """Where its chart lies in an OCI registry, without oci:// and the chart's own name."""
    documentation: str
    """The documentation's URL, without a slash at its end."""
    repository: str
    """The source's URL at the code host, without a slash at its end."""

    @property
    def released(self) -> bool:
        """Tell whether somebody publishes it."""
        return self.image != UNRELEASED_IMAGE


def setting(table: Mapping[str, Any] | None = None) -> Published:
    """Return what the table says, by default pyproject.toml's. Raises SettingError."""
    if table is None:
        table = tomllib.loads(_SETTING.read_text())["tool"]["buildkit-operator"]
    keys = ("owner", "registry", "documentation", "repository")
    owner, registry, documentation, repository = (str(table[key]) for key in keys)
    for key, value, pattern, may in (
        ("owner", owner, _OWNER, "be in lower case, as image names are, or empty"),
        ("registry", registry, _REGISTRY, "be a host, with a port if it has one"),
        ("documentation", documentation, _ADDRESS, "be an https:// address without a slash at its end, or empty"),
        ("repository", repository, _ADDRESS, "be an https:// address without a slash at its end, or empty"),
    ):
        if not pattern.fullmatch(value):
            raise SettingError(f'pyproject.toml, [tool.buildkit-operator]: {key} = "{value}" must {may}.')
    if not owner:
        return Published(
            UNRELEASED_IMAGE,
            UNRELEASED_CHARTS,
            documentation or UNRELEASED_DOCUMENTATION,
            repository or UNRELEASED_REPOSITORY,
        )
    return Published(
        f"{registry}/{owner}/buildkit-operator",
        f"{registry}/{owner}/charts",
        documentation or pages(owner),
        repository or source(owner),
    )


def pages(owner: str, repository: str = "buildkit-operator") -> str:
    """Return the address of a repository's pages at the code host, without a slash at its end."""
    return f"https://{owner.partition('/')[0]}.github.io/{repository}"


def source(owner: str, repository: str = "buildkit-operator") -> str:
    """Return the address of a repository at the code host, without a slash at its end."""
    return f"https://github.com/{owner.partition('/')[0]}/{repository}"


def recorded() -> Published:
    """Return what the checkout names now."""
    return Published(**json.loads(RECORD.read_text()))


def module(published: Published) -> str:
    """Return the text of the module by which the operator knows it."""
    return (
        '"""Where the project is published. Generated from pyproject.toml by `make generate`; do not edit."""\n\n'
        "from typing import Final\n\n"
        f'DOCUMENTATION: Final = "{published.documentation}"\n'
        '"""URL of the documentation, without a slash at its end."""\n'
    )


def renamed(text: str, old: Published, new: Published) -> str:
    """Return a text with the new names in place of the old ones."""
    names = dict(zip(asdict(old).values(), asdict(new).values(), strict=True))
    whole = "|".join(re.escape(before) for before in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w.-])(?<![^/]/)(?:{whole})(?![\w-]|\.\w)", lambda found: names[found[0]], text)


def follow() -> bool:
    """Write what the table says into every file that names it; tell whether anything changed. Raises SettingError."""
    old, new = recorded(), setting()
    if old == new and MODULE.read_text() == module(new):
        return False
    for file in _tracked():
        before = file.read_text()
        if (after := renamed(before, old, new)) != before:
            file.write_text(after)
    MODULE.write_text(module(new))
    RECORD.write_text(json.dumps(asdict(new), indent=2) + "\n")
    return True


def _tracked() -> Iterator[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, text=True, capture_output=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        file = TOP / name
        if file not in {RECORD, Path(__file__)} and file.is_file() and b"\0" not in file.read_bytes():
            yield file
