"""What the image is without, the extra `cli`: nothing that runs in a pod loads it, and others say what they need."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

TOP: Final = Path(__file__).parents[3]
MODULES: Final = {"cel-python": "celpy", "google-re2": "re2", "kubernetes": "kubernetes"}
"""What is imported of each package of the extra."""

WITHOUT: Final = "import sys; sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(',')))\n"
"""Makes imports of these modules fail as where they are not installed."""
RUN: Final = WITHOUT + "from buildkit_operator.__main__ import main; sys.exit(main(sys.argv[1:]))"


def run(*arguments: str, code: str = RUN, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python where the extra is not installed."""
    command = [sys.executable, "-c", code, ",".join(MODULES.values()), *arguments]
    return subprocess.run(command, input=text, text=True, capture_output=True, cwd=TOP, check=False)


def test_the_lock_of_the_image_has_nothing_of_the_extra() -> None:
    extra = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["optional-dependencies"]["cli"]
    lock = set(re.findall(r"^([a-z0-9-]+)==", (TOP / "deploy/requirements.lock").read_text(), re.MULTILINE))

    assert {re.split("[<>=]", requirement)[0] for requirement in extra} == MODULES.keys()
    assert not MODULES.keys() & lock
    assert {"kopf", "aiohttp", "jsonpatch"} <= lock


@pytest.mark.parametrize(
    "module", ["controller.process", "webhook.process", "cli.status_command", "cli.doctor", "admission.policies"]
)
def test_what_runs_in_the_image_loads_nothing_of_it(module: str) -> None:
    loaded = run(code=f"{WITHOUT}import buildkit_operator.{module}")

    assert loaded.returncode == 0, loaded.stderr


@pytest.mark.parametrize("command", ["render", "inject"])
def test_a_command_for_files_says_what_it_needs(command: str) -> None:
    done = run(command, "--filename=deploy/samples/sidecar.yaml")

    assert done.returncode == 2
    assert re.fullmatch(
        rf"{command} needs the extra cli, which this installation is without, .*: no module (celpy|re2)\. "
        r"Install it in a checkout: pip install '\.\[cli\]'\n",
        done.stderr,
    )


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_kubeconfig_says_what_it_needs(command: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n")

    done = run(command, f"--kubeconfig={tmp_path / 'config'}")

    assert done.returncode == 2
    assert "to read a kubeconfig needs the extra cli" in done.stderr
    assert "Traceback" not in done.stderr


def test_kubectl_finds_the_plugin_under_its_name() -> None:
    program = Path(sys.executable).with_name("kubectl-buildkit")
    told = subprocess.run([program, "--help"], text=True, capture_output=True, check=True).stdout

    assert told.startswith("usage: kubectl buildkit [-h]")
    assert "status" in told
    assert "run the operator" not in told, "a plugin runs no process of the cluster"
