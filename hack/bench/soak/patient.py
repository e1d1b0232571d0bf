"""kubectl that asks again while the API server is away: the soak test restarts it."""

import re
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hack.cluster.kubectl import Kubectl, KubectlError

T = TypeVar("T")

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
        ask = super().__call__
        return _patiently(lambda: ask(*arguments, text=text, timeout=timeout))

    def get(self, *what: str) -> Any:
        ask = super().get
        return _patiently(lambda: ask(*what))

    def read(self, path: str) -> str:
        ask = super().read
        return _patiently(lambda: ask(path))


def _patiently(ask: Callable[[], T]) -> T:
    """Return the answer; ask each second while nobody gives one. Raises KubectlError of another kind, or at last."""
    begun = time.monotonic()
    while True:
        try:
            return ask()
        except KubectlError as error:
            if not _AWAY.search(str(error)) or time.monotonic() - begun > PATIENCE_SECONDS:
                raise
        time.sleep(1)
