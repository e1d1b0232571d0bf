"""Helm chart: values.yaml, the README's table, the version, and the files that are the same elsewhere.

Each value is described once, in values.schema.json: values.yaml and the table in the chart's README come from there. Of
it only the image's default is written, which is the published one.
The CRD, the policies, the PodMonitor, the alerts and the dashboard are copies of what kustomize installs. The version
is the project's.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import yaml

from hack.generate import published
from hack.generate.kustomize import stamped
from hack.generate.paths import CHART, CRDS, KUSTOMIZE

_COMPONENTS: Final = KUSTOMIZE / "components"
COPIES: Final = {
    "alerts.yaml": _COMPONENTS / "monitoring" / "alerts.yaml",
    "buildkitbuilders.yaml": CRDS / "buildkitbuilders.yaml",
    "daemon-labels.yaml": KUSTOMIZE / "base" / "daemon-labels.yaml",
    "dashboard.json": _COMPONENTS / "monitoring" / "dashboard.json",
    "podmonitor.yaml": _COMPONENTS / "monitoring" / "podmonitor.yaml",
    "probe-policy.yaml": KUSTOMIZE / "base" / "probe-policy.yaml",
    "policies.yaml": _COMPONENTS / "policies" / "policies.yaml",
    "webhook-configuration.yaml": _COMPONENTS / "webhook" / "configuration.yaml",
}
"""Files of the chart that are the same elsewhere."""
WIDTH: Final = 120
_REPOSITORY: Final = re.compile(r'(?<="repository": \{)(?P<above>.*?"default": )"[^"]*"', re.DOTALL)
_TABLE: Final = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- end of values -->)", re.DOTALL)

Schema = dict[str, Any]


def schema() -> Schema:
    """Return the schema of the values."""
    read: Schema = json.loads(schema_json())
    return read


def schema_json() -> str:
    """Return values.schema.json, whose default for the image is the published one, and empty while there is none."""
    names = published.setting()
    image = names.image if names.released else ""
    return _REPOSITORY.sub(rf'\g<above>"{image}"', (CHART / "values.schema.json").read_text(), count=1)


def leaves(of: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Yield each value that has a default, with the keys that lead to it."""
    for key, value in of["properties"].items():
        if "default" in value:
            yield (*path, key), value
        elif "properties" in value:
            yield from leaves(value, (*path, key))


def values_yaml(of: Schema) -> str:
    """Return values.yaml: every default, under its description."""
    return "# Generated from values.schema.json by `make generate`; do not edit.\n" + "\n".join(_lines(of, "")) + "\n"


def table(of: Schema) -> str:
    """Return the README's table of all values."""
    rows = ["| value | default | what it is |", "|---|---|---|"]
    for path, value in leaves(of):
        said = value["description"]
        if "enum" in value:
            said = f"{', '.join(f'`{word}`' for word in value['enum'])}. {said}"
        rows.append(f"| `{'.'.join(path)}` | `{json.dumps(value['default'])}` | {said} |")
    return "\n".join(rows) + "\n"


def with_version(chart: str) -> str:
    """Return Chart.yaml with the project's version wherever it names one of its own."""
    return stamped(re.sub(r"(?m)^((?:appV|v)ersion: ).*$", rf"\g<1>{version('buildkit-operator')}", chart))


def files() -> Mapping[Path, str]:
    """Return the text of each file."""
    values = schema()
    readme, chart = CHART / "README.md", CHART / "Chart.yaml"
    return {
        CHART / "values.schema.json": schema_json(),
        CHART / "values.yaml": values_yaml(values),
        readme: _TABLE.sub(lambda _: table(values), readme.read_text()),
        chart: with_version(chart.read_text()),
        **{CHART / "files" / name: source.read_text() for name, source in COPIES.items()},
    }


def _lines(of: Schema, indent: str) -> Iterator[str]:
    for key, value in of["properties"].items():
        if "default" not in value and "properties" not in value:
            continue
        yield from textwrap.wrap(
            value["description"], WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        )
        if "default" in value:
            yield from _default(key, value["default"], indent)
        else:
            yield f"{indent}{key}:"
            yield from _lines(value, f"{indent}  ")


def _default(key: str, default: object, indent: str) -> Iterator[str]:
    text = yaml.safe_dump({key: default}, sort_keys=False, default_flow_style=False)
    yield from textwrap.indent(text.rstrip("\n").replace("''", '""'), indent).split("\n")
