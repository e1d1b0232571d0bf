"""Another owner, registry and address in pyproject.toml: `make generate` writes them everywhere, and back again."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator import __version__
from hack.generate import passages, published
from hack.generate.paths import TOP

# In parts, as these are replaced wherever they stand when everything comes back.
OWNER: Final = "acme"
REGISTRY: Final = f"registry.{OWNER}.example"
DOCUMENTATION: Final = f"https://docs.{OWNER}.example/builders"
IMAGE: Final = f"{REGISTRY}/{OWNER}/buildkit-operator"
CHARTS: Final = f"{REGISTRY}/{OWNER}/charts"
REPOSITORY: Final = f"https://github.com/{OWNER}/buildkit-operator"

NOTHING_RELEASED: Final = re.compile(
    r"no (?:released (?:image|chart)|release yet)|There is no release\b|None has been made yet"
)
"""What says that there is no release; prose has a blank for the end of a line."""
ANOTHER_IMAGE: Final = re.compile(
    r"image\.repository=|registry\.example\.com/(?:buildkit-operator|charts)|newName"
    r"|helm (?:install|upgrade) .* deploy/helm"
)
"""What has people or tools take another image or chart than the released one."""
OF_THE_READER: Final = {
    "deploy/helm/buildkit-operator/templates/_pods.tpl": "an image.repository that is set to nothing is refused",
    "docs/install.md": "how to build and push an image of one's own",
    "hack/install/image.py": "make install without an image for the cluster",
}
"""Where people are told to name an image of their own, released or not."""

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what Git has of the checkout into a repository of its own."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in tracked(TOP):
        if (TOP / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, copy / name)
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)
    return copy


def tracked(folder: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=folder, text=True, capture_output=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


def read(checkout: Path) -> Files:
    return {name: (checkout / name).read_bytes() for name in tracked(checkout)}


def generate(checkout: Path, **changed: str) -> Files:
    """Set keys of the table, generate, and return all files."""
    setting = checkout / "pyproject.toml"
    above, table, below = setting.read_text().partition("[tool.buildkit-operator]\n")
    for key, value in changed.items():
        below = re.sub(rf'(?m)^{key} = ".*"$', f'{key} = "{value}"', below, count=1)
    setting.write_text(above + table + below)
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'operator'}{os.pathsep}{checkout}"}
    command = [sys.executable, "-m", "hack.generate"]
    done = subprocess.run(command, cwd=checkout, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return read(checkout)


def test_everything_follows_the_setting_and_comes_back(checkout: Path) -> None:
    now = published.recorded()
    before = generate(checkout)
    assert before == read(TOP), "a checkout that is generated stays as it is"

    changed = generate(checkout, owner=OWNER, registry=REGISTRY, documentation=DOCUMENTATION)
    texts = {name: content.decode(errors="replace") for name, content in changed.items()}

    for name, of_now, of_then in (
        ("deploy/kustomize/base/operator.yaml", now.image, IMAGE),
        ("deploy/kustomize/components/webhook/webhook.yaml", now.image, IMAGE),
        ("deploy/install.yaml", now.image, IMAGE),
        ("deploy/samples/gitops/flux-helm.yaml", now.charts, CHARTS),
        ("deploy/samples/gitops/argocd-helm.yaml", now.charts, CHARTS),
        ("deploy/helm/buildkit-operator/Chart.yaml", now.image, IMAGE),
        ("deploy/helm/buildkit-operator/Chart.yaml", now.documentation, DOCUMENTATION),
        ("deploy/helm/buildkit-operator/templates/NOTES.txt", now.documentation, DOCUMENTATION),
        ("deploy/helm/buildkit-operator/files/alerts.yaml", now.documentation, DOCUMENTATION),
        ("deploy/kustomize/components/monitoring/alerts.yaml", now.documentation, DOCUMENTATION),
        ("operator/buildkit_operator/api/published.py", now.documentation, DOCUMENTATION),
        ("docs/reasons/NodeLost.md", now.documentation, DOCUMENTATION),
        ("docs/site/properdocs.yml", now.documentation, DOCUMENTATION),
        (".github/ISSUE_TEMPLATE/config.yml", now.documentation, DOCUMENTATION),
        ("deploy/samples/gitops/argocd.yaml", now.repository, REPOSITORY),
        ("deploy/samples/gitops/flux.yaml", now.repository, REPOSITORY),
        ("docs/gitops.md", now.repository, REPOSITORY),
        ("docs/verify.md", now.repository, REPOSITORY),
    ):
        assert of_then in texts[name], name
        assert not re.search(rf"{re.escape(of_now)}(?![\w.-])", texts[name]), name
    assert not [name for name in texts if name != RULES and now.documentation + "/" in texts[name]]
    assert yaml.safe_load(texts["deploy/helm/buildkit-operator/values.yaml"])["image"]["repository"] == IMAGE
    assert contradictions(texts) == []
    samples = [name for name in texts if name.startswith("deploy/samples/gitops/")]
    assert [name for name in samples if re.search(r"(?m)^ *images?:", texts[name])] == []
    assert f"ref:\n    tag: v{__version__}\n" in texts["deploy/samples/gitops/flux.yaml"]
    assert f"targetRevision: v{__version__}\n" in texts["deploy/samples/gitops/argocd.yaml"]
    assert yaml.load(texts["docs/site/properdocs.yml"], Loader=yaml.SafeLoader)["repo_url"] == REPOSITORY

    back = {"owner": "", "registry": "ghcr.io", "documentation": ""}
    assert generate(checkout, **back) == before


def contradictions(texts: dict[str, str]) -> list[str]:
    """Return what still says that nothing is released, or names another image than the released one."""
    wrong = []
    for name, text in texts.items():
        if not name.startswith(("hack/generate/", "tests/")):
            # Comments and prose are broken anywhere.
            said = NOTHING_RELEASED.findall(re.sub(r"\s+(?:# )?", " ", text))
            wrong += [f"{name}: {found}" for found in said]
            wrong += [f"{name}: {found}" for found in ANOTHER_IMAGE.findall(text) if name not in OF_THE_READER]
    return wrong


def test_what_nobody_has_released_is_called_so() -> None:
    if published.setting().released:
        return
    texts = {name: content.decode(errors="replace") for name, content in read(TOP).items()}
    found = {told.partition(":")[0] for told in contradictions(texts)}

    assert {file for passage in passages.read() for file in passage.files} - found <= {"docs/site/properdocs.yml"}
    assert contradictions({"docs/any.md": "There is\nno released image yet", "a.yaml": "# There is no\n# release yet"})


RULES: Final = "hack/generate/published.py"
"""What says how names follow, and so names none."""


def test_the_operators_messages_end_with_the_address(checkout: Path) -> None:
    generate(checkout, documentation=DOCUMENTATION)

    environment = {**os.environ, "PYTHONPATH": str(checkout / "operator")}
    code = "from buildkit_operator.api import names; print(names.reason_page('NodeLost'))"
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=checkout, env=environment, text=True, capture_output=True, check=True).stdout

    assert said == f"{DOCUMENTATION}/reasons/NodeLost/\n"
