"""Every object of a few builders, as files to read: `pytest tests/unit --update-golden` writes them anew."""

import re
from pathlib import Path

import pytest
import yaml

from buildkit_operator.desired import paths, scripts
from buildkit_operator.desired.scripts import SCRIPTS
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import children_of, fake_certificates, injection_of, make_builder

GOLDEN = Path(__file__).parents[1] / "golden"
SCRIPTS_FOLDER = Path(scripts.__file__).parent
CASES = sorted(folder.name for folder in GOLDEN.iterdir())


class Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, so that a script can be read in a golden file."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the base class's signature
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Dumper.add_representer(str, _represent)


@pytest.mark.parametrize("case", CASES)
def test_a_builder_has_exactly_these_objects(case: str, *, request: pytest.FixtureRequest) -> None:
    builder = make_builder(**yaml.safe_load((GOLDEN / case / "builder.yaml").read_text()))
    golden = GOLDEN / case / "children.yaml"

    compare(children_of(builder, fake_certificates(builder)), golden, request)


@pytest.mark.parametrize("case", CASES)
def test_a_runner_pod_gets_exactly_this(case: str, *, request: pytest.FixtureRequest) -> None:
    builder = make_builder(**yaml.safe_load((GOLDEN / case / "builder.yaml").read_text()))

    compare([injection_of(builder)], GOLDEN / case / "injection.yaml", request)


def compare(manifests: list[Manifest], golden: Path, request: pytest.FixtureRequest) -> None:
    text = yaml.dump_all([without_scripts(m) for m in manifests], Dumper=Dumper, sort_keys=False, width=120)

    if request.config.getoption("--update-golden"):
        golden.write_text(text)
    assert text == golden.read_text()


def without_scripts(manifest: Manifest) -> Manifest:
    """Return a manifest with the name of each script in place of its text, which stands in its own file."""
    if manifest.get("kind") != "ConfigMap":
        return manifest
    data = {key: named(key, text) for key, text in manifest["data"].items()}
    return manifest | {"data": data}


def named(key: str, text: str) -> str:
    script = SCRIPTS_FOLDER / key
    return f"<desired/scripts/{key}>" if script.is_file() and script.read_text() == text else text


@pytest.mark.parametrize("case", CASES)
def test_scripts_are_in_the_config_maps_as_they_are_in_their_files(case: str) -> None:
    builder = make_builder(**yaml.safe_load((GOLDEN / case / "builder.yaml").read_text()))
    maps = [found for found in children_of(builder, fake_certificates(builder)) if found["kind"] == "ConfigMap"]
    texts = {key: text for found in maps for key, text in found["data"].items()}

    files = {key: SCRIPTS_FOLDER / key for key in texts if key.endswith((".sh", ".lua"))}

    assert {key: texts[key] for key in files} == {key: file.read_text() for key, file in files.items()}
    assert set(SCRIPTS) <= set(files)


def test_there_are_cases() -> None:
    assert {
        "minimal",
        "everything",
        "without-tls",
        "registries",
        "sidecar",
        "sidecar-everything",
        "user-namespace",
    } <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_every_script_that_a_container_runs_is_in_the_config_map_it_mounts(case: str) -> None:
    builder = make_builder(**yaml.safe_load((GOLDEN / case / "builder.yaml").read_text()))
    made = children_of(builder, fake_certificates(builder))
    mounted = {name for found in made if found["kind"] == "ConfigMap" for name in found["data"]}

    # BuildKit runs one of them itself, by its configuration.
    commands = re.findall(rf"{paths.CONFIG_DIRECTORY}/([a-z]+\.sh)", yaml.safe_dump_all(made))

    assert set(commands) <= mounted
    assert ("own.sh" in commands) is (made[-1]["kind"] == "StatefulSet")
