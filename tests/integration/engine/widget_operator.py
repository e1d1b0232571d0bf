"""The engine as the process that it is in production, with widgets for builders."""

from pathlib import Path
from typing import Final

from tests.integration.service_process import ServiceProcess

COMMAND: Final = ("-m", "tests.integration.engine.widgets")


class WidgetOperator(ServiceProcess):
    """An operator for Widgets."""

    def __init__(self, kubeconfig: Path, log: Path, **settings: object) -> None:
        super().__init__(COMMAND, kubeconfig, log, {"lease": False, "log_format": "text", **settings})
