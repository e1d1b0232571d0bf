"""The operator as it runs in production: `python -m buildkit_operator operator`, with its own log file."""

import sys
from pathlib import Path
from typing import Final

from hack.cluster.processes import Process, free_port
from tests.integration.engine.process import OperatorProcess

COMMAND: Final = ("-m", "buildkit_operator", "operator")


class BuilderOperator(OperatorProcess):
    """An operator for builders, with settings by their names in `buildkit_operator.settings`."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: object) -> None:
        self.port = free_port()
        chosen = {"lease": False, "http_port": self.port, **settings}
        environment = [f"BUILDKIT_OPERATOR_{name.upper()}={value}" for name, value in chosen.items()]
        program = [f"KUBECONFIG={kubeconfig}", *environment, sys.executable, *COMMAND]
        Process.__init__(self, Path("/usr/bin/env"), program, log)
