"""The corpus of builds: each folder of tests/e2e/corpus is one, with what a daemon of ours must make of it.

A folder has the build's own files and `expect.yaml`, whose fields are those of `Entry`. The same entries are built by
tests/e2e/test_corpus.py and told in docs/builds.md.
"""

import shlex
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

CORPUS: Final = Path(__file__).parents[1] / "e2e/corpus"
EXPECT: Final = "expect.yaml"


class Client(StrEnum):
    """A command line that people build with."""

    DOCKER = "docker build"
    BUILDX = "docker buildx build"
    BAKE = "docker buildx bake"
    BUILDCTL = "buildctl build"


class Section(StrEnum):
    """A heading of the page, and what is under it."""

    PROGRAMS = "Programs in several stages"
    RUN = "Steps"
    VALUES = "Arguments, variables and configuration"
    FILES = "Files"
    CONTEXTS = "Contexts"
    BAKE = "Bake"
    RESULTS = "Platforms, attestations and reproducible images"
    OUTPUTS = "Outputs"
    CACHES = "Caches"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Strict):
    """What is expected of a file; what is not said is not looked at."""

    text: str | None = None
    """Its content, but for a newline at the end."""
    has: str | None = None
    """A part of its content."""
    mode: str | None = Field(None, pattern="^[0-7]{4}$")
    owner: str | None = Field(None, pattern="^[0-9]+:[0-9]+$")
    kind: Literal["file", "directory", "symlink", "fifo"] | None = None
    link: str | None = None
    """Where a link leads."""
    time: int | None = None
    """When it was changed, in seconds of the epoch."""
    xattrs: tuple[str, ...] = ()
    """The names of extended attributes that it has."""


class Expected(_Strict):
    """What is expected of an image, or of a tree of files without one."""

    config: dict[str, Any] = {}
    """Keys of the image's configuration, of mappings in it as well; "*" stands for any value, null for none."""
    history: tuple[str, ...] = ()
    """Texts that stand in the commands of the image's history."""
    files: dict[str, File] = {}
    absent: tuple[str, ...] = ()
    """Paths that are not there and, where they do not begin with /, texts that its configuration does not have."""
    layers: int | None = None
    """How many there are."""
    compression: str | None = None
    """How the media type of each layer of the image ends."""
    layer_annotations: tuple[str, ...] = ()
    """The names of annotations that each layer has."""
    annotations: dict[str, str] = {}
    """Of the manifest, and of the index if there is one; both must be there, each with what it has of these."""
    attestations: tuple[str, ...] = ()
    """Predicate types; without any here, nothing is said of attestations."""
    nodes: int = 1
    """How many platforms there are."""

    @model_validator(mode="before")
    @classmethod
    def _texts_are_files(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Have a text stand for a file with that content."""
        files = given.get("files", {})
        return given | {"files": {path: {"text": it} if isinstance(it, str) else it for path, it in files.items()}}


class Entry(_Strict):
    """A build, and what it must come to."""

    name: str
    """The folder's."""
    title: str
    """What a build does, or tries to do: a row of the page."""
    section: Section
    before: str = ""
    """A shell script before the build, in the same directory."""
    docker: str | None = None
    """Options of `docker build` and `docker buildx build`; None: not built so."""
    bake: str | None = None
    """Options of `docker buildx bake`."""
    buildctl: str | None = None
    """Options of `buildctl build`."""
    context: str = "."
    """The last word of `docker build`, and what it reads from its input."""
    output: str | None = None
    """A value of `--output`, or several; None: the image is pushed as $IMAGE. "" leaves it to the options."""
    after: str = ""
    """A shell script after a build that ended well; it fails where that did not come out."""
    image: Expected | None = None
    """What was pushed as $IMAGE."""
    images: dict[str, Expected] = {}
    """What was pushed beside it: as $IMAGE with one of these texts at its end."""
    archive: dict[str, Expected] = {}
    """Files and folders that the build wrote: an image in an archive or layout, or a tree of files."""
    same: bool = False
    """Whether every client, mode and isolation makes the same image, to the last byte."""
    says: tuple[str, ...] = ()
    """Texts that stand in what the build prints."""
    refused: str | None = None
    """The sentence with which the build ends in failure."""
    instead: str = ""
    """What to do instead of what is refused, or what else there is to know: a cell of the page."""

    @model_validator(mode="after")
    def _has_a_result(self) -> "Entry":
        checked = self.image, self.images, self.archive, self.says, self.refused, self.after
        if not any(checked):
            raise ValueError("nothing is expected of the result")
        if not self.clients:
            raise ValueError("no client builds it")
        return self

    @property
    def folder(self) -> Path:
        """Return where its files are."""
        return CORPUS / self.name

    @property
    def clients(self) -> tuple[Client, ...]:
        """Return who builds it."""
        options = {
            Client.DOCKER: self.docker,
            Client.BUILDX: self.docker,
            Client.BAKE: self.bake,
            Client.BUILDCTL: self.buildctl,
        }
        return tuple(client for client, given in options.items() if given is not None)

    def script(self, client: Client) -> str:
        """Return the shell script that builds it with one client."""
        return "\n".join(part for part in (self.before.strip(), self.command(client), self.after.strip()) if part)

    def command(self, client: Client) -> str:
        """Return the command line of the build."""
        match client:
            case Client.DOCKER | Client.BUILDX:
                tagged = ["--tag", "$IMAGE", "--push"] if self.output is None else self._outputs()
                words = [client, "--progress plain", self.docker or "", *tagged, self.context]
            case Client.BAKE:
                words = [client, "--progress plain", self.bake or "", *self._outputs()]
            case Client.BUILDCTL:
                push = ["--output", "type=image,name=$IMAGE,push=true"]
                files = "--frontend dockerfile.v0 --local context=. --local dockerfile=."
                pushed = push if self.output is None else self._outputs()
                words = ["buildctl build --progress plain", files, self.buildctl or "", *pushed]
        return " ".join(word for word in words if word)

    def _outputs(self) -> list[str]:
        return [f"--output {word}" for word in shlex.split(self.output or "")]


@cache
def entries() -> tuple[Entry, ...]:
    """Return the corpus, in the order of its folders' names. Raises ValueError for an `expect.yaml` that is none."""
    found = sorted(CORPUS.glob(f"*/{EXPECT}"))
    return tuple(Entry(name=file.parent.name, **yaml.safe_load(file.read_text())) for file in found)
