"""Code generation: `python -m hack.generate`, which is `make generate`, writes every generated file of the checkout.

The order matters: passages are found in files that have the version, and install.yaml is rendered from files that
earlier steps have written. The names under which the project is published come before all; as some of them stand in
modules that this program has imported, it then begins again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from hack.cluster.recipes import RecipeError
from hack.cluster.toolchain import MissingError
from hack.generate import chart, kustomize, manifests, passages, published, rbac, reference
from hack.generate.paths import TOP

STEPS: Final[tuple[Callable[[], Mapping[Path, str]], ...]] = (
    manifests.files,
    rbac.files,
    kustomize.naming_the_version,
    passages.files,
    kustomize.install,
    reference.files,
    chart.files,
)


def generate_anew() -> int:
    """Generate in a process of its own, which imports what has been written; return its exit status."""
    return subprocess.run([sys.executable, "-m", "hack.generate"], cwd=TOP, check=False).returncode


def main() -> int:
    """Write them; what stands in the way is said on standard error, with the status 1."""
    try:
        if published.follow():
            return generate_anew()
        for step in STEPS:
            for file, text in step().items():
                file.write_text(text)
    except subprocess.CalledProcessError as problem:
        print(problem.stderr.strip(), file=sys.stderr)
        return 1
    except (RecipeError, MissingError, published.SettingError, passages.PassageError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
