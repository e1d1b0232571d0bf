"""Pods of the soak test that build one image after the other, and print when each build began and how it ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hack.bench.soak.tally import Build, builds_of
from hack.cluster import pins
from hack.cluster.installation import REGISTRY
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.support.jobs import Job
from tests.support.runners import BUILD, Runner
from tests.support.runners import step as container

FILES: Final = {"Dockerfile": f"FROM {pins.PYTHON_IMAGE}\nARG SALT\nRUN sleep 3 && echo $SALT > /salt\n"}
PUSH: Final = "--output type=image,name=$REGISTRY/org/soak:$(hostname),push=true"

LOOP: Final = """
n=0
until [ -e /tmp/stop ] || [ $n = {builds} ]; do
  if [ -e /tmp/pause ]; then sleep 0.2; continue; fi
  n=$((n + 1))
  echo "started $n $(date +%s)"
  if {build} --opt build-arg:SALT=$(hostname)-$n {push} >/tmp/log 2>&1; then
    echo "finished $n $(date +%s)"
  else
    echo "failed $n $(date +%s): $(grep -v '^#' /tmp/log | tail -n 1)"
    sed 's/^/  /' /tmp/log
    sleep 1
  fi
done
"""
DIRECT: Final = "buildctl --wait --timeout 300 --addr $BUILDKIT_HOST --tlsdir /etc/buildkit build \
--frontend dockerfile.v0 --local context=/workspace --local dockerfile=/workspace"

WITHOUT_END: Final = -1

BUILD_SECONDS: Final = 300
"""How long a build may take, with all its waiting for daemons and places. One that takes longer hangs."""


@dataclass
class Client:
    """A pod that builds."""

    team: Kubectl
    builder: str
    pod: str
    taken: str = ""
    """Its log as it was when it was looked at last: the pod may be gone."""

    @classmethod
    def inside(cls, team: Kubectl, builder: str, builds: int = WITHOUT_END) -> "Client":
        """Start one that the builder is injected into, for so many builds."""
        loop = LOOP.format(build=BUILD, push=PUSH, builds=builds)
        job = container(loop, env=[{"name": "REGISTRY", "value": REGISTRY}])
        return cls(team, builder, Runner.start(team, job, asks_for=builder, files=FILES).name)

    @classmethod
    def outside(cls, team: Kubectl, builder: str) -> "Client":
        """Start one that comes by the builder's Service, as jobs outside injection do, and builds without end."""
        loop = LOOP.format(build=DIRECT, push=PUSH, builds=WITHOUT_END)
        return cls(team, builder, Job.start(team, loop, files=FILES, connection=f"{builder}-connection").name)

    def builds(self) -> list[Build]:
        """Return its builds so far."""
        try:
            self.taken = self.team.logs(self.pod, "job")
        except KubectlError as error:
            # Not started yet, or the kubelet starts its log anew just now.
            if "BadRequest" not in str(error) and "NotFound" not in str(error):
                raise
        return self.last_builds()

    def last_builds(self) -> list[Build]:
        """Return its builds as they were when it was looked at last."""
        return builds_of(self.builder, self.pod, self.taken)

    def is_building(self) -> bool:
        """Tell whether a build of its runs."""
        return any(build.ended is None for build in self.builds())

    def wait_for_build(self) -> None:
        """Wait until a build has ended, well or not, that began after now. Raises TimeoutError with what it says."""
        begun = len(self.builds())

        def has_built() -> bool:
            return any(build.ended is not None for build in self.builds()[begun:])

        # It may be at another one before.
        self._wait("has built again", has_built, 2 * BUILD_SECONDS)

    def wait_running(self) -> None:
        """Wait until a build runs that began a second ago."""

        def runs() -> bool:
            return any(build.ended is None and time.time() - build.started > 1 for build in self.builds())

        self._wait("builds", runs, BUILD_SECONDS)

    def wait_end(self) -> None:
        """Wait until it builds no more and its pod has ended."""

        def has_ended() -> bool:
            phase: str = self.team.get("pod", self.pod)["status"].get("phase", "Pending")
            return phase in {"Succeeded", "Failed"}

        self._wait("has ended", has_ended, 2 * BUILD_SECONDS)
        self.builds()

    def pause(self) -> None:
        """Have it begin no build, and wait for the end of the one that runs."""
        self._run("touch", "/tmp/pause")
        self._wait("builds no more", lambda: not self.is_building(), BUILD_SECONDS)

    def go_on(self) -> None:
        self._run("rm", "-f", "/tmp/pause")

    def stop(self) -> None:
        """Have it end once the build that runs has ended."""
        self._run("touch", "/tmp/stop")

    def _run(self, *command: str) -> None:
        self.team("exec", self.pod, "--container=job", "--", *command)

    def _wait(self, what: str, probe: Callable[[], bool], seconds: float) -> None:
        def has_come() -> bool:
            if found := probe():
                return found
            # Its log is read each time.
            time.sleep(0.5)
            return False

        try:
            wait_for(f"{self.pod} {what}", has_come, seconds)
        except TimeoutError as error:
            error.add_note(self._state())
            raise

    def _state(self) -> str:
        """Return the end of what its build, and what is injected beside it, say."""
        build = self.team("exec", self.pod, "--container=job", "--", "tail", "-n", "20", "/tmp/log")
        logs = self.team("logs", self.pod, "--all-containers", "--prefix", "--tail=20")
        return f"{self.pod}:\n{build}\n{logs}"
