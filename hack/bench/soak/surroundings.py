"""What the soak test does to all builders at once: operator and API server are killed."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hack.bench.soak.builders import Now
from hack.cluster import cluster
from hack.cluster.installation import OPERATOR, kill_operator
from hack.cluster.kubectl import Kubectl, wait_for

PAUSE_SECONDS: Final = 45
"""How long there is peace after each end."""

API_SERVER_SECONDS: Final = 660
"""How long the API server lives at least: the kubelet starts one again late that has ended in the last ten minutes."""

CRICTL_SECONDS: Final = 120

_DEPLOYMENT: Final = f"deployment/{OPERATOR}"


@dataclass
class Surroundings:
    """The operator is killed, and where the cluster is kind's its API server too."""

    kubectl: Kubectl
    name: str = "surroundings"
    done: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        """Nothing is to be made."""

    def go_on(self, has_time: Now) -> None:
        api_server_since = time.monotonic() - API_SERVER_SECONDS
        while True:
            for _ in range(PAUSE_SECONDS):
                if not has_time():
                    return
                time.sleep(1)
            if _node_runs() is not None and time.monotonic() - api_server_since > API_SERVER_SECONDS:
                self._kill_api_server()
                self.done["API server killed"] += 1
                api_server_since = time.monotonic()
            else:
                self._kill_operator()
                self.done["operator killed"] += 1

    def end(self) -> None:
        """Whatever it has ended has been started again."""

    def _kill_operator(self) -> None:
        kill_operator(self.kubectl)
        self.kubectl.within(OPERATOR)("rollout", "status", _DEPLOYMENT, "--timeout=300s", timeout=310)

    def _kill_api_server(self) -> None:
        run = _node_runs()
        assert run is not None, "the cluster was kind's a moment ago"
        # On a busy node containerd takes longer to answer than the two seconds that crictl gives it.
        crictl = ("crictl", f"--timeout={CRICTL_SECONDS}s")
        (container,) = run(*crictl, "ps", "--quiet", "--name=^kube-apiserver$").split()
        run(*crictl, "stop", "--timeout=0", container)
        wait_for("the API server is there again", lambda: self.kubectl.read("/readyz") == "ok", 300)


def _node_runs() -> Callable[..., str] | None:
    """Return what runs a command on the node, or None where the node is not ours."""
    found = cluster.find()
    if found is None or found.docker is None:
        return None
    docker, node = found.docker, found.node
    return lambda *command: docker("exec", node, *command)
