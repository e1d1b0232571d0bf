"""What the site adds to properdocs: patterns in the navigation, edit links, files of the repository that pages name."""

from __future__ import annotations

import os
import posixpath
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

TOP: Final = Path(__file__).parents[2]

FILES: Final = "repository"
"""The folder of the site that has the repository's files."""

PAGES: Final = {"README.md": "index.md", "deploy/helm/buildkit-operator/README.md": "helm-values.md"}
"""Files beyond docs/ that are pages of the site; its start stands for the README."""

_LINK: Final = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)")
"""A Markdown link to something above the page's own folder."""


def on_config(config: ProperDocsConfig) -> ProperDocsConfig:
    """Name the version, and let pages be edited where the repository is, as the environment says or else repo_url."""
    environment = os.environ
    repository = environment.get("DOCS_REPOSITORY")
    if not repository and "GITHUB_REPOSITORY" in environment:
        repository = f"{environment.get('GITHUB_SERVER_URL', 'https://github.com')}/{environment['GITHUB_REPOSITORY']}"
    repository = repository or config.repo_url
    if repository:
        config.repo_url = f"{repository.rstrip('/')}/"
        config.repo_name = repository.rstrip("/").removeprefix("https://").partition("/")[2]
    else:
        config.edit_uri = None
    project = TOP / "pyproject.toml"
    if project.exists():
        version = tomllib.loads(project.read_text())["project"]["version"]
        config.copyright = f"For version {version}. Apache-2.0."
        # With versions side by side, each in a folder of its own, the theme reads versions.json beside them
        # (hack/release/pages.py).
        if environment.get("DOCS_VERSIONS"):
            config.extra["version"] = {"provider": "mike"}
            config.site_url = f"{config.site_url}{version}/"
    return config


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """Fill in the navigation, and take up what pages link to beyond docs/."""
    for path, uri in PAGES.items():
        if uri != "index.md" and (TOP / path).exists():
            files.append(File.generated(config, uri, abs_src_path=str(TOP / path)))
    pages = list(files.documentation_pages())
    config.nav = _filled(config.nav, {page.src_uri for page in pages})
    for page in pages:
        for link in _LINK.finditer(page.content_string):
            if target := _beyond(page.src_uri, link[2]):
                _take_up(target, files, config)
    return files


def on_page_markdown(markdown: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Lead links beyond docs/ to what the site has of it."""
    del config, files

    def lead(link: re.Match[str]) -> str:
        target = _beyond(page.file.src_uri, link[2])
        if target is None:
            return link[0]
        return link[1] + posixpath.relpath(_uri(target), posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(lead, markdown)


def _filled(nav: Any, pages: set[str]) -> list[Any]:
    """Return the navigation with a folder's pages in place of a pattern, and without pages that are not there."""
    free = pages - set(_names(nav))

    def filled(item: Any) -> Iterator[Any]:
        if isinstance(item, dict):
            ((title, inner),) = item.items()
            found = [entry for entry in inner for entry in filled(entry)] if isinstance(inner, list) else inner
            if found if isinstance(inner, list) else inner in pages:
                yield {title: found}
        elif "*" in item:
            pattern = re.compile(re.escape(item).replace(r"\*", "[^/]*"))
            yield from sorted(page for page in free if pattern.fullmatch(page))
        elif item in pages:
            yield item

    return [entry for item in nav for entry in filled(item)]


def _names(nav: Any) -> Iterator[str]:
    """Give the pages that the navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from _names(item)


def _beyond(page: str, link: str) -> Path | None:
    """Return the file or folder beyond docs/ that a page's link means, if there is one."""
    path = (TOP / "docs" / posixpath.dirname(page) / link).resolve()
    is_beyond = path.is_relative_to(TOP) and not path.is_relative_to(TOP / "docs")
    return path if is_beyond and path.exists() else None


def _uri(path: Path) -> str:
    """Return where the site has a file, or the list of a folder's files."""
    name = path.relative_to(TOP).as_posix()
    if name in PAGES:
        return PAGES[name]
    return f"{FILES}/{name}/index.md" if path.is_dir() else f"{FILES}/{name}"


def _take_up(path: Path, files: Files, config: ProperDocsConfig) -> None:
    """Add a file, or all files of a folder and a page that lists them."""
    uri = _uri(path)
    if files.get_file_from_path(uri):
        return
    if path.is_file():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
        return
    members = sorted(member for member in path.rglob("[!.]*") if member.is_file())
    links = [f"- [{name}]({name})\n" for member in members if (name := member.relative_to(path).as_posix())]
    files.append(File.generated(config, uri, content=f"# {path.relative_to(TOP).as_posix()}\n\n{''.join(links)}"))
    for member in members:
        _take_up(member, files, config)
