"""kubectl that asks again while the API server is away: the soak test restarts it."""

import re
import time
from typing import Any, Final

from hack.cluster.kubectl import Kubectl, KubectlError

PATIENCE_SECONDS: Final = 180
"""How long the API server may be away, of which a restart on a busy machine takes a minute."""

_AWAY: Final = re.compile(
    r"refused|reset by peer|EOF|NoAnswer|timeout|timed out|error dialing backend|failed to download openapi"
    r"|ServiceUnavailable|currently unable|Internal ?Error|not ready|readyz check failed|etcdserver"
    r"|Unauthorized|forbidden: User",
    re.IGNORECASE,
)
"""What kubectl says where nobody answers, or one who has just started and knows neither users nor rights yet."""


class PatientKubectl(Kubectl):
    """Asks again for as long as the API server is away. So whatever it is told to do must bear being done twice."""

    def within(self, namespace: str) -> "PatientKubectl":
        return PatientKubectl(self.program, self.kubeconfig, namespace)

    def __call__(self, *arguments: str, text: str | None = None, timeout: float = 120) -> str:
        begun = time.monotonic()
        while True:
            try:
                return super().__call__(*arguments, text=text, timeout=timeout)
            except KubectlError as error:
                _bear(error, begun)

    def get(self, *what: str) -> Any:
        begun = time.monotonic()
        while True:
            try:
                return super().get(*what)
            except KubectlError as error:
                _bear(error, begun)

    def read(self, path: str) -> str:
        begun = time.monotonic()
        while True:
            try:
                return super().read(path)
            except KubectlError as error:
                _bear(error, begun)


def _bear(error: KubectlError, begun: float) -> None:
    """Wait a second; raise the error where it says something else, or has for too long."""
    if not _AWAY.search(str(error)) or time.monotonic() - begun > PATIENCE_SECONDS:
        raise error
    time.sleep(1)
