"""What the documentation says is there is there: links, anchors and the repository's files that its text names.

`make docs` checks the same links as the site has them; these are read on a code host as well.
"""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from buildkit_operator.api.reasons import REASONS
from tests.support import markdown
from tests.support.markdown import TOP

FILES = markdown.files()

# A path below one of the repository's folders, in text or code; not a part of a longer path or address.
PATH = re.compile(r"(?<![\w./:-])(?:crds|deploy|docs|hack|operator|tests)/(?:[\w./-]*[\w/])?")
FLAGS_WITH_FILES = re.compile(r"\s(?:-f|-k|--filename|--kustomize|--values)[ =]([\w./-]*\w|-)")
SITE = "https://docs.unreleased.invalid/"
# Of the reader's own making.
OWN = {"-", "FILE", "FOLDER", "BUILDER", "POD"}

everywhere = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TOP)))


def commands(text: str) -> list[str]:
    """Return the lines of shell that begin with kubectl or helm, each with those that continue it."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return re.findall(r"^\s*(?:\$ )?((?:kubectl|helm) .*?)(?:\s+#.*)?$", joined, re.MULTILINE)


@everywhere
def test_every_path_of_the_repository_exists(file: Path) -> None:
    named = set(PATH.findall(file.read_text()))

    assert [path for path in sorted(named) if path.rsplit("/")[-1] not in OWN and not (TOP / path).exists()] == []


@everywhere
def test_every_file_of_a_command_exists(file: Path) -> None:
    applied = [command for command in commands(file.read_text()) if not command.startswith("kubectl logs")]
    files = [name for command in applied for name in FLAGS_WITH_FILES.findall(command)]

    assert [f for f in files if f not in OWN and f == f.lower() and "/" in f and not (TOP / f).exists()] == []


@everywhere
def test_every_link_leads_somewhere(file: Path) -> None:
    broken = []
    for link in markdown.links(file.read_text()):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and anchor not in markdown.anchors(target.read_text())):
            broken.append(link)

    assert broken == []


@everywhere
def test_addresses_in_text_are_whole_and_https(file: Path) -> None:
    text = markdown.prose(file.read_text())
    addresses = {*re.findall(r"\b[a-z]+://\w[^\s)>\]\"']*", text), *(u for u in markdown.links(text) if ":" in u)}

    assert [address for address in sorted(addresses) if not whole(address)] == []


APPLIED = re.compile(r"kubectl (?:apply|delete) .*-k \S+")


def test_some_pages_show_how_kustomize_installs() -> None:
    # Else the next test compares nothing.
    assert {"install.md", "upgrade.md"} <= {file.name for file in FILES if APPLIED.search(file.read_text())}


@everywhere
def test_where_kustomize_installs_something_the_page_says_how_helm_does(file: Path) -> None:
    text = file.read_text()

    if file.name not in {"changelog.md", "CONTRIBUTING.md"} and APPLIED.search(text):
        assert re.search(r"^ *helm (upgrade|install|uninstall) ", text, re.MULTILINE)
        assert re.search(r"with kustomize", text, re.IGNORECASE)


def test_no_remedy_names_one_way_to_install_alone() -> None:
    remedies = [row.remedy for row in REASONS.values()]

    assert [remedy for remedy in remedies if ("kustomize" in remedy) is not ("Helm" in remedy)] == []
    assert [remedy for remedy in remedies if "BUILDKIT_OPERATOR_" in remedy and "Helm" not in remedy] == []


def test_the_readme_has_one_picture_and_fits_on_two_screens() -> None:
    text = (TOP / "README.md").read_text()

    assert len(text.splitlines()) <= 100
    assert len(re.findall(r"!\[|```mermaid", text)) == 1


def test_every_address_of_the_site_is_a_page_of_it() -> None:
    # In manifests and in the operator's messages, too; one with a name to fill in is completed where it is said.
    said = subprocess.run(
        ["git", "grep", "--untracked", "-hoIE", SITE + r"[a-zA-Z0-9/_.#{-]*"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert [address for address in sorted(set(said)) if "{" not in address and not is_page(address)] == []


def is_page(address: str) -> bool:
    path, _, anchor = address.removeprefix(SITE).partition("#")
    page = TOP / "docs" / path.strip("/.")
    file = page / "index.md" if page.is_dir() else page.with_suffix(".md")
    return file.exists() and (not anchor or anchor in markdown.anchors(file.read_text()))


def whole(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "https" and re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc) is not None


def test_commands_are_found_with_the_lines_that_continue_them() -> None:
    text = "x\n$ kubectl apply \\\n  -f deploy/a  # why\n    helm install x deploy/helm\nand kubectl here is none\n"

    assert commands(text) == ["kubectl apply -f deploy/a", "helm install x deploy/helm"]


def test_what_is_malformed_is_seen() -> None:
    assert whole("https://docs.unreleased.invalid/sidecar/")
    assert not any(whole(a) for a in ("http://example.com", "https:/example.com", "https://example", "https://a b.com"))
