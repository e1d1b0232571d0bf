"""What is reserved in daemon.toml and env is what the renderers write, and a few names that they leave out."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired import buildkitd_toml
from buildkit_operator.desired.buildkitd_keys import OWNED, WRITTEN
from buildkit_operator.desired.container import daemon_container
from buildkit_operator.desired.environment import EXCEPTIONS
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import make_builder

GOLDEN: Final = Path(__file__).parents[1] / "golden"
BUILDERS: Final = [make_builder(**yaml.safe_load(file.read_text())) for file in sorted(GOLDEN.glob("*/builder.yaml"))]

FROM_FIELDS: Final = {
    ("dns", "nameservers"),
    ("dns", "options"),
    ("dns", "searchDomains"),
    ("insecure-entitlements",),
    ("log", "level"),
    ("registry",),
    ("worker", "oci", "binary"),
    ("worker", "oci", "gc"),
    ("worker", "oci", "gcpolicy"),
    ("worker", "oci", "max-parallelism"),
}
"""Keys that are written too, and that daemon.toml may change."""

Key = tuple[str, ...]


def keys(table: Manifest, path: Key = ()) -> Iterator[Key]:
    """Yield the path of each value, of a table that is one for us only the table's."""
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict) and here not in WRITTEN | FROM_FIELDS:
            yield from keys(value, here)
        else:
            yield here


def written(builder: BuildKitBuilder) -> set[Key]:
    """Return the keys of buildkitd.toml that come from no daemon.toml."""
    daemon = builder.spec.daemon.model_copy(update={"toml": None})
    bare = builder.model_copy(update={"spec": builder.spec.model_copy(update={"daemon": daemon})})
    return set(keys(tomllib.loads(buildkitd_toml.render(bare, process_sandbox=False, room="20Gi"))))


def variables(builder: BuildKitBuilder) -> set[str]:
    """Return the names of the daemon's environment variables that are no user's; some are both's."""
    container: Any = daemon_container(builder, Platform(), confine(builder.spec, PodSecurity())).container
    return {variable["name"] for variable in container["env"]} - {
        *(variable.name for variable in builder.spec.env),
        EXCEPTIONS,
        names.STEP_LOG_SIZE,
        names.STEP_LOG_SPEED,
    }


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_key_that_is_written_is_the_operators_or_may_be_changed(builder: BuildKitBuilder) -> None:
    assert written(builder) - WRITTEN - FROM_FIELDS == set()


def test_no_key_is_the_operators_that_is_never_written_but_those_that_are_left_out_on_purpose() -> None:
    assert {key for builder in BUILDERS for key in written(builder)} == WRITTEN | FROM_FIELDS
    assert {
        ("cdi", "autoAllowed"),
        ("cdi", "specDirs"),
        ("grpc", "debugAddress"),
        ("grpc", "gid"),
        ("grpc", "securityDescriptor"),
        ("grpc", "tls"),
        ("grpc", "uid"),
        ("otel", "socketPath"),
        ("worker", "oci", "rootless"),
    } == OWNED - WRITTEN


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_variable_that_is_set_is_refused_in_the_spec(builder: BuildKitBuilder) -> None:
    assert variables(builder) <= set(names.RESERVED_VARIABLES)


def test_no_variable_is_refused_that_neither_we_nor_the_image_set() -> None:
    ours = {name for builder in BUILDERS for name in variables(builder)}
    # BuildKit's Dockerfile, target rootless.
    image = {"HOME", "USER", "XDG_RUNTIME_DIR", "TMPDIR"}

    assert ours | image == set(names.RESERVED_VARIABLES)
