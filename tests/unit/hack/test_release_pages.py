"""The documentation of all releases as one site: versions side by side, and at the top what leads to the newest."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from hack.generate.paths import TOP
from hack.release import pages


def add(archives: Path, version: str, *names: str) -> None:
    """Write the archive of a version that has pages of these names."""
    folder = archives.parent / f"made-{version}"
    for name in ("index.html", "404.html", *names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} of {version}")
    archives.mkdir(exist_ok=True)
    with tarfile.open(archives / f"documentation-{version}.tar.gz", "w:gz") as archive:
        archive.add(folder, ".")


@pytest.fixture
def archives(tmp_path: Path) -> Path:
    add(tmp_path / "archives", "0.9.0", "removed/index.html")
    add(tmp_path / "archives", "0.10.0", "reasons/NodeLost/index.html", "search/search_index.json")
    return tmp_path / "archives"


def test_versions_are_side_by_side_and_listed_newest_first(archives: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"

    assert pages.assemble(archives, site) == ["0.10.0", "0.9.0"]

    assert (site / "0.9.0/removed/index.html").read_text() == "removed/index.html of 0.9.0"
    assert (site / "0.10.0/search/search_index.json").exists()
    # What the theme's selector reads, in the format of mike.
    assert json.loads((site / "versions.json").read_text()) == [
        {"version": "0.10.0", "title": "0.10.0", "aliases": []},
        {"version": "0.9.0", "title": "0.9.0", "aliases": []},
    ]


def test_an_address_at_the_top_leads_to_the_newest_version_s_page(archives: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    pages.assemble(archives, site)

    for page, target in (("index.html", "0.10.0/"), ("reasons/NodeLost/index.html", "../../0.10.0/reasons/NodeLost/")):
        lead = (site / page).read_text()
        assert f'location.replace("{target}" + location.search + location.hash)' in lead
        assert f'content="0; url={target}"' in lead
        assert (site / page).parent.joinpath(target, "index.html").resolve().read_text() == f"{page} of 0.10.0"
    assert not (site / "removed").exists()
    assert (site / "404.html").read_text() == "404.html of 0.10.0"


def test_what_is_no_version_s_documentation_is_refused(archives: Path, tmp_path: Path) -> None:
    (archives / "documentation-latest.tar.gz").touch()

    with pytest.raises(ValueError, match="documentation-latest"):
        pages.assemble(archives, tmp_path / "site")


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()

    with pytest.raises(ValueError, match="has no documentation"):
        pages.assemble(tmp_path / "archives", tmp_path / "site")


def test_it_runs_with_nothing_but_python(archives: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "hack.release.pages", str(archives), str(tmp_path / "site")]
    done = subprocess.run(command, cwd=TOP, env={}, text=True, capture_output=True, check=False)

    assert (done.stdout, done.stderr) == ("0.10.0 0.9.0\n", "")
