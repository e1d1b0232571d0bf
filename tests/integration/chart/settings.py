"""What the processes of the chart's pods read from their environment."""

from typing import Final

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.settings import PREFIX, CommonSettings, Settings, WebhookSettings

KINDS: Final[dict[str, type[CommonSettings]]] = {"operator": Settings, "webhook": WebhookSettings}
"""The settings of each process, by its subcommand."""


def read(template: Manifest) -> CommonSettings:
    """Return the settings that a pod's process reads. Raises KeyError for a variable that means nothing to it."""
    (container,) = template["spec"]["containers"]
    kind = KINDS[container["args"][0]]
    environment = {item["name"]: item["value"] for item in container["env"]}
    for name in environment:
        if name.startswith(PREFIX):
            kind.model_fields[name.removeprefix(PREFIX).lower()]
    return kind.from_environment(environment)
