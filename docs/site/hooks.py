"""What the site adds to properdocs: its navigation, and the repository's files that pages link to."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Final

from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

TOP: Final = Path(__file__).parents[2]

SECTIONS: Final = {
    "Start here": ["index.md", "guide.md", "builds.md", "install.md", "upgrade.md", "gitops.md"],
    "Builders": [
        "sidecar.md",
        "connector.md",
        "claims.md",
        "scaling.md",
        "monitoring.md",
        "certificates.md",
        "namespaces.md",
        "network.md",
        "constraints.md",
        "registries.md",
        "values.md",
        "architectures.md",
    ],
    "CI systems": ["ci/*.md"],
    "Coming from": ["migrate/*.md"],
    "Look things up": ["reference.md", "kubectl.md", "cli.md", "security.md", "platforms.md", "comparison.md", "*.md"],
    "Project": ["changelog.md", "development.md"],
    "Reasons": ["reasons/*.md"],
}
"""Each section of the navigation with its pages in order; a pattern means pages that have no place of their own."""

FILES: Final = "repository"
"""The folder of the site that has the repository's files."""

_LINK: Final = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)")
"""A Markdown link to something above the page's own folder."""


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """Write the navigation, and take up what pages link to beyond docs/."""
    pages = list(files.documentation_pages())
    config.nav = _navigation({page.src_uri for page in pages})
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


def _navigation(pages: set[str]) -> list[dict[str, list[str]]]:
    placed = {name for names in SECTIONS.values() for name in names}

    def matching(name: str) -> list[str]:
        if "*" not in name:
            return [name] if name in pages else []
        pattern = re.compile(re.escape(name).replace(r"\*", "[^/]*"))
        found = (page for page in pages - placed if pattern.fullmatch(page))
        return sorted(found, key=lambda page: (not page.endswith("index.md"), page))

    sections = {title: [page for name in names for page in matching(name)] for title, names in SECTIONS.items()}
    return [{title: found} for title, found in sections.items() if found]


def _beyond(page: str, link: str) -> Path | None:
    """Return the file or folder beyond docs/ that a page's link means, if there is one."""
    path = (TOP / "docs" / posixpath.dirname(page) / link).resolve()
    is_beyond = path.is_relative_to(TOP) and not path.is_relative_to(TOP / "docs")
    return path if is_beyond and path.exists() else None


def _uri(path: Path) -> str:
    """Return where the site has a file, or the list of a folder's files; its start stands for the README."""
    if path == TOP / "README.md":
        return "index.md"
    uri = f"{FILES}/{path.relative_to(TOP).as_posix()}"
    return f"{uri}/index.md" if path.is_dir() else uri


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
