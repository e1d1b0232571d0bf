"""What stands in pipelines that were written for a Docker daemon, and what comes of it: docs/migrate has the table.

Each line is tried on a real cluster in both modes (tests/e2e/test_pipelines.py), by its name.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster import pins
from hack.cluster.installation import REGISTRY
from tests.support.markdown import TOP

PAGE: Final[Path] = TOP / "docs" / "migrate" / "index.md"
MODES: Final = ("sidecar", "shared")
NO_DOCKER: Final = "failed to connect to the docker API"

FILES: Final = {
    "Dockerfile": f"FROM {pins.BUSYBOX_IMAGE} AS made\nARG VERSION=0\nRUN echo $VERSION > /made\n"
    "FROM made AS test\nRUN grep . /made\nFROM scratch AS files\nCOPY --from=made /made /\n",
    "other": "FROM scratch\nCOPY Dockerfile /\n",
    "network": f"FROM {pins.BUSYBOX_IMAGE}\nRUN --network=host true\n",
    "insecure": f"FROM {pins.BUSYBOX_IMAGE}\nRUN --security=insecure true\n",
    "compose.yaml": f"services: {{app: {{image: '{REGISTRY}/org/lines:compose', "
    "build: {context: ., target: files}}}\n",
}


@dataclass(frozen=True)
class Line:
    """A line of the table, with the shell commands by which it is tried."""

    name: str
    workflow: str
    """What stands in a pipeline, as the page says it."""
    instead: str
    """What comes of it, or what to do, likewise."""
    as_it_is: str = ""
    """The commands of the pipeline."""
    fails_with: str = ""
    """What they end with, beside another status than 0. Empty: they work."""
    changed: str = ""
    """The commands of who does what the page says; they work."""
    fails_in: Collection[str] = MODES
    """The modes in which `as_it_is` does."""


LINES: Final = (
    Line(
        "push",
        "`docker build --tag A .`, `docker push A`",
        "`docker build --tag A --push .`: nothing keeps the image to be pushed later",
        "docker build --tag $A:push . && docker push $A:push",
        NO_DOCKER,
        "docker build --tag $A:push --push .",
    ),
    Line(
        "tag",
        "`docker tag A B`, `docker push B`",
        "`--tag A --tag B` in the build; later, from registry to registry: `docker buildx imagetools create --tag B "
        "A`. With `--builder registries` that knows the registries of `spec.daemon.registries`, which it asks itself: "
        "those without TLS, and mirrors",
        "docker tag $A:push $A:tag",
        NO_DOCKER,
        """
        docker build --tag $A:one --tag $A:two --push .
        docker buildx imagetools create --builder registries --tag $A:three $A:one
        docker buildx imagetools inspect --builder registries $A:three
        """,
    ),
    Line(
        "manifest",
        "`docker manifest create A …`, `docker manifest push A`",
        "works; `--insecure` for a registry without TLS",
        """
        docker build --file other --tag $A:part --provenance=false --push .
        docker manifest create --insecure $A:list $A:part && docker manifest push --insecure $A:list
        """,
    ),
    Line(
        "pull",
        "`docker pull A`, `docker build --cache-from A`",
        "`--cache-from type=registry,ref=A`, no pull",
        "docker pull $A:push",
        NO_DOCKER,
        "docker build --cache-from type=registry,ref=$A:push .",
    ),
    Line(
        "layers",
        "the node's or the daemon's cache of layers",
        "`--cache-to type=registry,ref=A-cache,mode=max` and `--cache-from`, a PVC, or mode Shared "
        "([ci](../ci/index.md))",
        changed="docker build --cache-to type=registry,ref=$A:cache,mode=max --cache-from type=registry,ref=$A:cache .",
    ),
    Line(
        "gha",
        "`--cache-to type=gha`, `cache-to: type=gha`",
        "in docker/build-push-action as ever, where the *daemon* reaches GitHub's cache; with mode Shared the daemons. "
        "In a `run:` GitHub's variables are missing, and it is left out without a word: take `type=registry`",
        "docker build --cache-to type=gha --cache-from type=gha .",
    ),
    Line(
        "quiet",
        "`id=$(docker build -q .)`",
        "an empty line, with status 0: what is not exported has no id. `docker build -q --push --tag A .` prints that "
        "of what is pushed, `docker build -q --output type=image .` one without a push; `--iidfile` and "
        "`--metadata-file` have the same",
        'test -z "$(docker build -q .)"',
        changed="""
        docker build -q --push --tag $A:quiet . | grep ^sha256:
        docker build -q --output type=image . | grep ^sha256:
        docker build --push --tag $A:quiet --iidfile id . && grep ^sha256: id
        """,
    ),
    Line(
        "load",
        "`docker build --load`, `load: true`",
        "`--push`; or a file: `docker build --output type=docker,dest=image.tar .`. It is for a Docker daemon beside",
        "docker build --load --tag $A:load .",
        NO_DOCKER,
        "docker build --tag $A:load --output type=docker,dest=image.tar . && test -s image.tar",
    ),
    Line(
        "save",
        "`docker save A`",
        "`docker build --output type=docker,dest=image.tar .`",
        "docker save $A:push",
        NO_DOCKER,
        "docker build --output type=docker,dest=image.tar . && test -s image.tar",
    ),
    Line(
        "cp",
        "`docker cp` out of a container to get built files",
        "a stage with the files, `FROM scratch` and `COPY --from=…`: `docker build --target files --output out .`",
        "docker create $A:push",
        NO_DOCKER,
        "docker build --target files --output out . && test -s out/made",
    ),
    Line(
        "run",
        "`docker run A tests`",
        "a stage that runs them: `docker build --target test .`; or the CI system runs the pushed image as the next "
        "job",
        "docker run --rm $A:push true",
        NO_DOCKER,
        "docker build --target test .",
    ),
    Line(
        "services",
        "`docker compose up`, `docker exec`, Testcontainers, kind",
        "does not work: these need a Docker daemon. Services of the CI system do for most databases",
        "docker exec database true",
        NO_DOCKER,
    ),
    Line(
        "container-actions",
        "container actions of GitHub (`uses: docker://…`), `container:` and `services:` of a workflow",
        "not by a Docker daemon: [kubernetes mode](../ci/arc.md#kubernetes-mode) makes pods of them, but of no action "
        "that brings a Dockerfile",
        "docker create --name action docker.io/library/busybox:1.35.0",
        NO_DOCKER,
    ),
    Line(
        "compose",
        "`docker compose build`",
        "`docker buildx bake --file compose.yaml --push`",
        changed="docker buildx bake --file compose.yaml --push",
    ),
    Line(
        "legacy",
        "`DOCKER_BUILDKIT=0`, also among the CI system's variables",
        "take it out: that builder is inside the Docker daemon",
        "DOCKER_BUILDKIT=0 docker build .",
        NO_DOCKER,
        "DOCKER_BUILDKIT=1 docker build .",
    ),
    Line(
        "docker-host",
        "`DOCKER_HOST`, `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`",
        "builds go to the builder all the same; take them out, as everything else goes to a daemon that is not there",
        "DOCKER_HOST=tcp://127.0.0.1:2375 docker build .",
    ),
    Line(
        "wait",
        "`until docker info; do sleep 1; done`",
        "take it out, it never ends: the builder is ready before the job starts",
        "docker info",
        NO_DOCKER,
    ),
    Line(
        "setup-buildx",
        "docker/setup-buildx-action without inputs, `docker buildx create --use`",
        "`driver: remote` and `endpoint: unix:///run/buildkit/buildkitd.sock`; or leave it out",
        "docker buildx create --name action --driver docker-container --use --bootstrap",
        NO_DOCKER,
        """
        docker buildx create --name remote --driver remote --bootstrap "$BUILDKIT_HOST"
        docker buildx build --builder remote .
        docker buildx rm remote
        """,
    ),
    Line(
        "qemu",
        "docker/setup-qemu-action, `docker run --privileged tonistiigi/binfmt`",
        "leave it out: BuildKit's image brings emulators, and `--platform` uses them "
        "([architectures](../architectures.md))",
        "docker run --rm --privileged tonistiigi/binfmt --install all",
        NO_DOCKER,
        "docker build --file other --platform linux/amd64,linux/arm64 .",
    ),
    Line(
        "network-host",
        "`docker build --network host`, `RUN --network=host`",
        "works, and changes nothing: a step is in the pod's network in any case. The second one needs "
        "`--allow network.host`, as with any BuildKit. `insecure-entitlements = []` in `spec.daemon.toml` forbids both",
        "docker build --network host . && docker build --file network --allow network.host .",
    ),
    Line(
        "insecure",
        "`RUN --security=insecure`, `--allow security.insecure`",
        "refused: a daemon without privileges has none to give",
        "docker build --file insecure --allow security.insecure .",
        "security.insecure is not allowed",
    ),
    Line(
        "limits",
        "`docker build --memory`, `--cpu-quota`, `--cgroup-parent`, `--squash`",
        "taken, and without effect: `spec.resources` are the daemon's limits, for all that it builds; for one layer a "
        "last stage `FROM scratch` with `COPY --from=… / /`",
        "docker build --memory 1g --cpu-quota 50000 --cgroup-parent any --squash .",
    ),
    Line(
        "system-prune",
        "`docker system prune`, `docker image prune`, `docker images`",
        "take it out: there are no images, and the cache is kept within `spec.cache.size` by itself",
        "docker system prune --all --force",
        NO_DOCKER,
    ),
    Line(
        "sudo",
        "`sudo docker build`",
        "leave `sudo` out, nothing here needs root; or `sudo --preserve-env docker build`, because sudo drops the "
        "variables by which docker finds the builder. An image can keep them, in `/etc/sudoers.d`: "
        '`Defaults env_keep += "BUILDKIT_HOST BUILDX_BUILDER BUILDX_CONFIG"`',
        'env -i PATH="$PATH" HOME=/root docker build .',
        NO_DOCKER,
        "docker build .",
    ),
    Line(
        "users",
        "several users in one container: `su`, `sudo --preserve-env`, an entrypoint that changes its user",
        "works, in any order, while the variables are kept: `su`, not `su -`",
        """
        chmod -R a+rX .
        for user in root nobody daemon root nobody; do
          su -s /bin/sh $user -c "docker build --no-cache . && docker buildx bake --file compose.yaml"
        done
        """,
    ),
    Line(
        "prune",
        "`docker buildx prune`, `docker builder prune`",
        "take it out. In mode Sidecar it empties the cache of the job alone, which ends with it. In mode Shared it "
        "would empty that of everybody who builds there, and the pod's connector refuses it with a sentence; not one "
        "with `--max-used-space` or `--min-free-space`. **With the connection Secret it can be done**: BuildKit has no "
        "tenants",
        "docker buildx prune --force && docker builder prune --all --force",
        "This BuildKit daemon is shared",
        fails_in=("shared",),
    ),
)
"""In an order in which nothing spoils what follows: they are tried in one pod."""


def table(lines: Sequence[Line] = LINES) -> str:
    """Return the table in Markdown."""
    rows = [f"| {line.workflow} | {line.instead} | `{line.name}` |" for line in lines]
    return "\n".join(["| in your workflow | here | tried as |", "|---|---|---|", *rows])
