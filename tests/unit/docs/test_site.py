"""The site's own rules: what ends its build, where pages stand, and the repository's files that it takes up."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from properdocs.__main__ import cli

TOP = Path(__file__).parents[3]

PAGE = "# A page\n\n## Part\n\n[itself](#part), [a file](../deploy/one.yaml), [all](../deploy), [top](../README.md)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with two pages, two other files, and this project's way to make a site."""
    shutil.copytree(TOP / "docs/site", tmp_path / "docs/site", ignore=shutil.ignore_patterns("__pycache__"))
    write(tmp_path, "docs/index.md", "# Start\n")
    write(tmp_path, "docs/page.md", PAGE)
    write(tmp_path, "README.md", "# The project\n\n[page](docs/page.md)\n")
    write(tmp_path, "deploy/one.yaml", "one: 1\n")
    write(tmp_path, "deploy/more/two.yaml", "two: 2\n")
    return tmp_path


def write(project: Path, name: str, text: str) -> None:
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text(text)


def build(project: Path) -> tuple[int, str]:
    """Return the exit code and what was said."""
    said = CliRunner().invoke(cli, ["build", f"--config-file={project / 'docs/site/properdocs.yml'}"])
    return said.exit_code, said.output


def test_pages_and_the_files_that_they_link_to_are_there(project: Path) -> None:
    code, said = build(project)

    site = project / "dist/site"
    assert code == 0, said
    assert (site / "repository/deploy/one.yaml").read_text() == "one: 1\n"
    assert 'href="../repository/deploy/one.yaml"' in (site / "page/index.html").read_text()
    assert 'href="more/two.yaml"' in (site / "repository/deploy/index.html").read_text()
    assert 'href=".."' in (site / "page/index.html").read_text()
    assert not (site / "site").exists()


def test_a_new_page_is_in_the_navigation_by_itself(project: Path) -> None:
    write(project, "docs/ci/anything.md", "# Anything\n")
    write(project, "docs/ci/index.md", "# All\n")

    assert build(project)[0] == 0
    shown = (project / "dist/site/index.html").read_text()
    assert 0 < shown.index('href="ci/"') < shown.index('href="ci/anything/"')


@pytest.mark.parametrize(
    "link",
    ["nowhere.md", "page.md#nowhere", "#nowhere", "../deploy/nowhere.yaml", "nowhere/"],
)
def test_a_link_that_leads_nowhere_ends_the_build(project: Path, link: str) -> None:
    write(project, "docs/index.md", f"# Start\n\n[x]({link})\n")

    code, said = build(project)

    assert code == 1
    assert link in said


def test_a_page_without_a_place_ends_the_build(project: Path) -> None:
    write(project, "docs/elsewhere/page.md", "# A page\n")

    code, said = build(project)

    assert code == 1
    assert "elsewhere/page.md" in said


def test_nothing_comes_from_another_host(project: Path) -> None:
    build(project)

    pages = [*(project / "dist/site").rglob("*.html"), *(project / "dist/site").rglob("*.css")]
    assert pages
    for page in pages:
        text = page.read_text()
        assert not [tag for tag in ('src="http', 'src="//', 'rel="stylesheet" href="http', "url(http") if tag in text]
