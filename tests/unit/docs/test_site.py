"""The site's own rules: what ends its build, where pages stand, and the repository's files that it takes up."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from properdocs.__main__ import cli

from hack.generate import passages, published

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
    assert '<a href="../">top</a>' in (site / "page/index.html").read_text()
    assert not (site / "site").exists()


def test_a_new_page_is_in_the_navigation_by_itself(project: Path) -> None:
    write(project, "docs/ci/anything.md", "# Anything\n")
    write(project, "docs/ci/index.md", "# All\n")

    assert build(project)[0] == 0
    navigation = (project / "dist/site/ci/index.html").read_text().partition("md-sidebar--primary")[2]
    assert 0 < navigation.index('href="./"') < navigation.index('href="anything/"')


def test_every_page_that_the_navigation_names_is_there() -> None:
    config = yaml.load((TOP / "docs/site/properdocs.yml").read_text(), Loader=yaml.SafeLoader)
    named = {name for name in names(config["nav"]) if "*" not in name} - {"helm-values.md"}

    assert {name for name in named if not (TOP / "docs" / name).exists()} == set()


def names(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from names(item)


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


def test_the_values_of_the_chart_are_a_page(project: Path) -> None:
    write(project, "deploy/helm/buildkit-operator/README.md", "# The chart\n")
    write(project, "docs/page.md", "# A page\n\n[values](../deploy/helm/buildkit-operator/README.md)\n")

    code, said = build(project)

    assert code == 0, said
    assert '<a href="../helm-values/">values</a>' in (project / "dist/site/page/index.html").read_text()
    assert "The chart" in (project / "dist/site/helm-values/index.html").read_text()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an environment that names no repository."""
    for name in ("DOCS_REPOSITORY", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


def configure(project: Path, *, released: bool) -> None:
    """Write the site's configuration as it is with an owner, or without."""
    file = project / "docs/site/properdocs.yml"
    (passage,) = (passage for passage in passages.read() if "docs/site/properdocs.yml" in passage.files)
    file.write_text(passage.written(file.read_text(), released=released))


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    ("variables", "link"),
    [
        ({"DOCS_REPOSITORY": "https://git.example.com/team/fork"}, "https://git.example.com/team/fork/"),
        ({"GITHUB_REPOSITORY": "team/fork"}, "https://github.com/team/fork/"),
        ({}, f"{published.setting().repository}/"),
    ],
    ids=["named", "in a workflow", "of the owner"],
)
def test_pages_can_be_edited_where_the_repository_is(
    project: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], link: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    configure(project, released=True)
    write(project, "deploy/helm/buildkit-operator/README.md", "# The chart\n")

    build(project)

    shown = (project / "dist/site/page/index.html").read_text()
    assert re.findall(r'href="([^"]*)"[^>]*rel="edit"', shown) == [f"{link}edit/main/docs/page.md"]
    assert 'rel="edit"' not in (project / "dist/site/helm-values/index.html").read_text()
    # It would ask GitHub how many stars there are.
    assert 'data-md-component="source"' not in shown


@pytest.mark.usefixtures("nowhere")
def test_no_page_can_be_edited_where_no_repository_is_known(project: Path) -> None:
    configure(project, released=False)

    build(project)

    assert 'rel="edit"' not in (project / "dist/site/page/index.html").read_text()


def test_a_diagram_is_drawn_while_the_site_is_built(project: Path) -> None:
    write(project, "docs/page.md", f"{PAGE}\n```mermaid\nflowchart LR\n    a[one] -->|leads to| b[two]\n```\n")

    code, said = build(project)

    assert code == 0, said
    (drawn,) = re.findall(
        r'<figure class="diagram"><svg .*</svg></figure>', (project / "dist/site/page/index.html").read_text()
    )
    assert re.findall(r">([\w ]+)</t", drawn) == ["leads to", "one", "two"]


def test_a_diagram_that_cannot_be_drawn_ends_the_build(project: Path) -> None:
    write(project, "docs/page.md", f"{PAGE}\n```mermaid\nflowchart LR\n    a[one --> b\n```\n")

    code, said = build(project)

    assert code == 1
    assert "page.md: a Mermaid diagram cannot be drawn" in said


def test_versions_can_be_chosen_where_there_are_some(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "pyproject.toml", '[project]\nversion = "1.2.3"\n')
    build(project)
    assert '"version": null' in (project / "dist/site/index.html").read_text()
    assert "For version 1.2.3." in (project / "dist/site/index.html").read_text()

    monkeypatch.setenv("DOCS_VERSIONS", "1")
    build(project)
    page = (project / "dist/site/page/index.html").read_text()
    assert '"version": {"provider": "mike"}' in page
    # Also on the page that stands for one that is not found, at whatever address.
    assert re.search(r'rel="canonical" href="https://[^"]*[^/]/1\.2\.3/page/"', page)
    assert re.search(r'src="/[^"]*1\.2\.3/assets/', (project / "dist/site/404.html").read_text())


def test_a_page_has_search_contents_copy_buttons_and_a_dark_mode(project: Path) -> None:
    build(project)

    page = (project / "dist/site/page/index.html").read_text()
    header, contents = page.partition("</header>")[0], page.partition("md-sidebar--secondary")[2]
    assert 'data-md-component="search-query"' in header
    assert 'href="#part"' in contents
    assert '"content.code.copy"' in page
    assert 'data-md-color-scheme="slate"' in page


def test_nothing_comes_from_another_host(project: Path) -> None:
    shutil.copytree(TOP / "docs", project / "docs", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("deploy", "crds", "tests/e2e/corpus"):
        shutil.copytree(TOP / folder, project / folder, dirs_exist_ok=True)
    build(project)

    site = project / "dist/site"
    pages = [*site.rglob("*.html")]
    assert pages
    for page in pages:
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]* src=\"?([^\" >]+)", text)
        loaded += [
            target
            for tag in re.findall(r"<link [^>]*>", text)
            if not re.search(r'rel="?(canonical|prev|next|edit|alternate)\b', tag)
            for target in re.findall(r'href="?([^" >]+)', tag)
        ]
        assert [target for target in loaded if re.match(r"(https?:)?//", target)] == [], page
        # For these the theme would fetch a script.
        assert 'class="mermaid"' not in text
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]*", sheet.read_text()) == [], sheet
