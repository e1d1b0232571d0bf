"""The keys of buildkitd.toml are those that the pinned BuildKit decodes: read from its Go source, which needs Go."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from buildkit_operator.desired import buildkitd_keys as keys
from hack.cluster import pins, toolchain

TOOLS: Final = Path(__file__).parents[2] / "hack" / "cluster" / "go" / "tools"
SOURCES: Final = (
    "cmd/buildkitd/config/config.go",
    "util/resolver/config/config.go",
    "cache/remotecache/gha/ghatypes/*.go",
)

TYPES: Final[dict[str, Any]] = {
    "string": keys.STRING,
    "bool": keys.BOOLEAN,
    "int": keys.INTEGER,
    "int64": keys.INTEGER,
    "uint64": keys.COUNT,
    "[]string": keys.STRINGS,
    "map[string]string": keys.LABELS,
    "map[string]any": keys.TABLE,
    "Duration": keys.DURATION,
    "DiskSpace": keys.DISK_SPACE,
    # A type of another module, of texts.
    "certificate.Summary": {keys.ANY_KEY: keys.STRING},
}
"""Go's types as buildkitd_keys calls them."""

STRUCT: Final = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
INLINE: Final = re.compile(r"^\t\w+ +struct \{\n(.*?)^\t\} `toml:\"([^\",]+)\"`", re.MULTILINE | re.DOTALL)
FIELD: Final = re.compile(r"^\t+\w+ +(\S+) +`toml:\"([^\",]+)[^`]*`", re.MULTILINE)
EMBEDDED: Final = re.compile(r"^\t([\w.]+)$", re.MULTILINE)


def source() -> Path:
    """Return the folder of BuildKit's module, whose sum go.sum has."""
    module = f"github.com/moby/buildkit@v{pins.BUILDKIT}"
    command = [str(toolchain.go()), "mod", "download", "-json", module]
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    said = subprocess.run(command, cwd=TOOLS, env=environment, text=True, capture_output=True, check=True)
    return Path(json.loads(said.stdout)["Dir"])


def structs(folder: Path) -> dict[str, str]:
    """Return the bodies of Go's structs by name; where two have one name, the second by its package's, too."""
    found = {}
    for pattern in SOURCES:
        for file in folder.glob(pattern):
            for name, body in STRUCT.findall(file.read_text()):
                found[f"{file.parent.name}.{name}" if name in found else name] = body
    return found


def table(body: str, known: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield each key that a struct is decoded from, with its type as buildkitd_keys writes it."""
    for inner, key in INLINE.findall(body):
        yield key, dict(table(inner.replace("\n\t\t", "\n\t").removeprefix("\t"), known))
    rest = INLINE.sub("", body)
    for kind, key in FIELD.findall(rest):
        yield key, type_of(kind.lstrip("*"), known)
    for name in EMBEDDED.findall(rest):
        yield from TYPES[name].items() if name in TYPES else table(known[name], known)


def type_of(kind: str, known: dict[str, str]) -> Any:
    if kind in TYPES:
        return TYPES[kind]
    if kind.startswith("map[string]"):
        return {keys.ANY_KEY: type_of(kind.removeprefix("map[string]"), known)}
    if kind.startswith("[]"):
        return [type_of(kind.removeprefix("[]"), known)]
    name = kind if kind in known else kind.rpartition(".")[2]
    return dict(table(known[name], known))


def test_the_keys_are_those_that_buildkitd_decodes() -> None:
    known = structs(source())

    assert dict(table(known["Config"], known)) == keys.KEYS
