"""All that pods go through, as a watch tells it: states that are over before anybody could ask for them."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TextIO

from buildkit_operator.kube.resources import Manifest
from hack.cluster.kubectl import Kubectl, wait_for


class History:
    """The states of a namespace's pods, oldest first. Made by `recorded`."""

    def __init__(self) -> None:
        self._states: list[Manifest] = []
        self._deleted: dict[str, Manifest] = {}

    def of(self, pod: str) -> list[Manifest]:
        """Return the states that a pod was seen in."""
        return [state for state in list(self._states) if state["metadata"]["name"] == pod]

    def pods(self) -> set[str]:
        """Return the names of all pods that were seen."""
        return {state["metadata"]["name"] for state in list(self._states)}

    def last(self, pod: str) -> Manifest | None:
        """Return the state that a pod was removed in, None while it is there."""
        return self._deleted.get(pod)

    def wait(self, pod: str, what: str, seen: Callable[[Manifest], bool], seconds: float = 60) -> None:
        """Wait until a pod was seen in a state."""
        try:
            wait_for(f"{pod} {what}", lambda: any(seen(state) for state in self.of(pod)), seconds)
        except TimeoutError as error:
            error.add_note(json.dumps([state["status"] for state in self.of(pod)[-1:]]))
            raise

    def follow(self, events: TextIO) -> None:
        """Read a watch to its end."""
        for line in events:
            event = json.loads(line)
            if event["type"] == "DELETED":
                self._deleted[event["object"]["metadata"]["name"]] = event["object"]
            if event["type"] in {"ADDED", "MODIFIED", "DELETED"}:
                self._states.append(event["object"])


@contextmanager
def recorded(team: Kubectl) -> Iterator[History]:
    """Yield the history of the namespace's pods, from now until the end of the block."""
    history = History()
    command = team.command("get", "--raw", f"/api/v1/namespaces/{team.namespace}/pods?watch=true")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        reader = Thread(target=history.follow, args=(watch.stdout,), daemon=True)
        reader.start()
        try:
            yield history
            assert watch.poll() is None, "the watch has ended before the test"
        finally:
            watch.terminate()
            reader.join()


def ends(pod: Manifest, container: str) -> list[Manifest]:
    """Return how a container or sidecar had ended, for the last time and the time before, where it has."""
    status = pod.get("status", {})
    statuses = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    states = [s.get(which, {}) for s in statuses if s["name"] == container for which in ("state", "lastState")]
    return [state["terminated"] for state in states if "terminated" in state]


def has_begun(states: list[Manifest]) -> bool:
    """Tell whether a pod's job has, by what was seen of the pod: the gate of its sidecar let it."""
    seen = [status for state in states for status in state.get("status", {}).get("initContainerStatuses", [])]
    jobs = [status for state in states for status in state.get("status", {}).get("containerStatuses", [])]
    return any(status.get("started") for status in seen) or any("waiting" not in status["state"] for status in jobs)


def lost_as_arc_sees_it(pod: Manifest) -> list[str]:
    """Return the init containers for which actions-runner-controller 0.14.2 and later gives a running job up."""
    statuses = pod.get("status", {}).get("initContainerStatuses", [])
    return [
        f"{pod['metadata']['name']}: {status['name']} ended with {ended['exitCode']}"
        for status in statuses
        if (ended := status.get("state", {}).get("terminated")) is not None and ended["exitCode"] != 0
    ]
