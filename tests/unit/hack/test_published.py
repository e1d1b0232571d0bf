"""Where the project is published: one setting, which everything names and nothing contradicts."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from buildkit_operator.api import names
from hack.generate import published, publisher
from hack.generate.paths import TOP
from hack.generate.published import Published, SettingError

OLD: Final = Published(
    "registry.old/team/buildkit-operator",
    "registry.old/team/charts",
    "https://old.example/docs",
    "https://git.old.example/team/operator",
)
NEW: Final = Published(
    "ghcr.io/acme/buildkit-operator", "ghcr.io/acme/charts", "https://acme.example", "https://git.acme.example/operator"
)
TABLE: Final = {
    "owner": "acme",
    "registry": "ghcr.io",
    "documentation": "https://acme.example",
    "repository": "https://git.acme.example/operator",
}

# Registries of the reader's and of tests.
OTHERS: Final = re.compile(r"(?:oci://)?(?:registry\.example\.com|registry\.test|localhost:|registry\.registry\.svc)")
# By a name with a dot or a port, as registries have.
IMAGE: Final = re.compile(
    r"(?<![\w./$:-])(?:oci://)?((?:[\w-]+\.[\w.-]+(?::\d+)?|[\w-]+:\d+)/(?:[\w.-]+/)*)buildkit-operator(?=[:@\"'`=,\s])"
)
RULES: Final = ("tests/unit/hack/", "hack/generate/published.py")
"""What names names for the rules' own sake."""
PAGE: Final = re.compile(r"(https?://[\w.:/~-]*?)/(?:reasons/[A-Z]|monitoring/#buildkit|install/\"|upgrade/\")")


def texts() -> Iterator[tuple[str, str]]:
    """Yield name and text of each file of the repository that people or clusters read."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, text=True, capture_output=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        file = TOP / name
        if file.suffix not in {".svg", ".png"} and file.is_file() and not name.startswith(RULES):
            yield name, file.read_text(errors="replace")


class TestSetting:
    def test_names_follow_from_owner_and_registry(self) -> None:
        assert published.setting(TABLE) == NEW
        assert published.setting(TABLE).released

    def test_without_an_owner_the_image_is_below_a_name_that_is_nowhere(self) -> None:
        unreleased = published.setting({**TABLE, "owner": ""})

        assert unreleased.image.split("/")[0].endswith(".invalid")
        assert not unreleased.released

    def test_the_documentation_is_the_owners_pages_unless_it_is_elsewhere(self) -> None:
        without = {**TABLE, "documentation": ""}

        assert published.setting(without).documentation == "https://acme.github.io/buildkit-operator"
        assert published.setting({**without, "owner": "acme/team"}).documentation.startswith("https://acme.github.io/")
        assert published.setting({**without, "owner": ""}).documentation.endswith(".invalid")

    def test_the_repository_is_the_owners_at_the_code_host_unless_it_is_elsewhere(self) -> None:
        without = {**TABLE, "repository": ""}

        assert published.setting(without).repository.endswith("//github.com/acme/buildkit-operator")
        assert published.setting({**without, "owner": "acme/team"}).repository.endswith("/acme/buildkit-operator")
        assert published.setting({**without, "owner": ""}).repository == published.UNRELEASED_REPOSITORY

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"owner": "Acme"}, 'owner = "Acme" must be in lower case'),
            ({"registry": "https://ghcr.io"}, "must be a host"),
            ({"documentation": "https://acme.example/"}, "without a slash at its end"),
            ({"documentation": "http://acme.example"}, "must be an https:// address"),
            ({"repository": "git@acme.example:operator"}, "must be an https:// address"),
        ],
    )
    def test_what_cannot_be_is_refused(self, wrong: dict[str, str], said: str) -> None:
        with pytest.raises(SettingError, match=said):
            published.setting({**TABLE, **wrong})


class TestRenamed:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("image: registry.old/team/buildkit-operator:0.1.0", "image: ghcr.io/acme/buildkit-operator:0.1.0"),
            (
                "url: oci://registry.old/team/charts/buildkit-operator",
                "url: oci://ghcr.io/acme/charts/buildkit-operator",
            ),
            (
                "- https://git.old.example/team/operator//deploy/argocd?ref=main",
                "- https://git.acme.example/operator//deploy/argocd?ref=main",
            ),
            ("See https://old.example/docs/reasons/NodeLost/.", "See https://acme.example/reasons/NodeLost/."),
            ("The manual: https://old.example/docs.", "The manual: https://acme.example."),
            ("registry.old/team/buildkit-operator-webhook:1", "registry.old/team/buildkit-operator-webhook:1"),
            ("https://old.example/docs-v2/", "https://old.example/docs-v2/"),
            ("mirror.example/registry.old/team/charts", "mirror.example/registry.old/team/charts"),
        ],
    )
    def test_whole_names_are_replaced(self, text: str, expected: str) -> None:
        assert published.renamed(text, OLD, NEW) == expected

    def test_two_names_can_change_places(self) -> None:
        swapped = replace(OLD, image=OLD.charts, charts=OLD.image)

        assert published.renamed(f"{OLD.image} {OLD.charts}", OLD, swapped) == f"{OLD.charts} {OLD.image}"


def test_the_checkout_names_what_the_setting_says() -> None:
    assert published.recorded() == published.setting(), "run `make generate`"
    assert published.setting().documentation == names.DOCUMENTATION


def test_nothing_names_another_owner_or_address() -> None:
    ours = published.setting()
    wrong = []
    found = 0
    for name, text in texts():
        for image in IMAGE.finditer(text):
            found += 1
            if f"{image[1]}buildkit-operator" not in {ours.image, f"{ours.charts}/buildkit-operator"}:
                wrong += [] if OTHERS.match(image[1]) else [f"{name}: {image[0]}"]
        for page in PAGE.finditer(text):
            found += 1
            wrong += [] if page[1] == ours.documentation else [f"{name}: {page[0]}"]

    assert wrong == []
    assert found > 50, "there are such names"


class TestPublisher:
    TEXT: Final = (
        '[a]\nowner = "of another table"\n[tool.buildkit-operator]\nowner = ""\ndocumentation = "https://old.example"\n'
        'repository = ""\n'
    )

    def test_another_owner_publishes_under_theirs_with_their_pages_and_repository(self) -> None:
        assert publisher.claimed(self.TEXT, "Acme", "builders") == (
            '[a]\nowner = "of another table"\n[tool.buildkit-operator]\nowner = "acme"\n'
            'documentation = "https://acme.github.io/builders"\nrepository = "https://github.com/Acme/builders"\n'
        )

    def test_an_owner_that_is_named_keeps_the_rest_of_the_table(self) -> None:
        named = self.TEXT.replace('owner = ""', 'owner = "acme"')

        assert publisher.claimed(named, "Acme", "builders") == named
