"""`python -m hack.release.pages ARCHIVES SITE`: the documentation of all releases as one site.

ARCHIVES is a folder with each release's documentation-<version>.tar.gz. SITE gets a folder for each version, their list
in versions.json, and at its top, for each page of the newest version, a page that leads there. A copy at the top
would show no versions: the theme looks for the list one folder above the site that it is in. Nothing but Python is
needed: the workflow has no more.
"""

import json
import posixpath
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ARCHIVE: Final = re.compile(r"documentation-([0-9]+\.[0-9]+\.[0-9]+)\.tar\.gz")
# A fragment, as runbook links have one, is kept where there is JavaScript.
_LEAD: Final = """\
<!doctype html>
<meta charset="utf-8">
<title>The newest version of this page</title>
<link rel="canonical" href="{target}">
<script>location.replace("{target}" + location.search + location.hash)</script>
<noscript><meta http-equiv="refresh" content="0; url={target}"></noscript>
<a href="{target}">The newest version of this page</a>
"""


def assemble(archives: Path, site: Path) -> list[str]:
    """Write the site into a new folder; return the versions, newest first.

    Raises ValueError where a file is not a version's documentation, and where there is none.
    """
    found = {_version(file): file for file in archives.iterdir()}
    if not found:
        raise ValueError(f"{archives} has no documentation-<version>.tar.gz.")
    versions = sorted(found, key=lambda version: [int(number) for number in version.split(".")], reverse=True)
    for version in versions:
        with tarfile.open(found[version]) as archive:
            archive.extractall(site / version, filter="data")
    for page, target in _leads(site / versions[0]):
        (site / page).parent.mkdir(parents=True, exist_ok=True)
        (site / page).write_text(_LEAD.format(target=target))
    shutil.copy(site / versions[0] / "404.html", site / "404.html")
    listed = [{"version": version, "title": version, "aliases": []} for version in versions]
    (site / "versions.json").write_text(json.dumps(listed, indent=2) + "\n")
    return versions


def _version(file: Path) -> str:
    if name := _ARCHIVE.fullmatch(file.name):
        return name[1]
    raise ValueError(f"{file} is not the documentation of a version: documentation-<version>.tar.gz.")


def _leads(newest: Path) -> Iterator[tuple[str, str]]:
    """Yield each page of the newest version, and where the one in its place at the top leads to."""
    for file in newest.rglob("index.html"):
        page = file.relative_to(newest).as_posix()
        folder = posixpath.dirname(page)
        yield page, posixpath.relpath(f"{newest.name}/{folder}", folder or ".") + "/"


def main() -> int:
    """Assemble; print the versions, or what is wrong, with the status 1."""
    archives, site = (Path(argument) for argument in sys.argv[1:])
    try:
        print(*assemble(archives, site))
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
