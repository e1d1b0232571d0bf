"""The operator as it runs in production: `python -m buildkit_operator operator`, with its own log file."""

from pathlib import Path
from typing import Final

from tests.integration.service_process import ServiceProcess

COMMAND: Final = ("-m", "buildkit_operator", "operator")


class BuilderOperator(ServiceProcess):
    """An operator for builders."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: object) -> None:
        super().__init__(COMMAND, kubeconfig, log, {"lease": False, **settings})
