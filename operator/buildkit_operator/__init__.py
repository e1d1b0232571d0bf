"""A Kubernetes operator that gives CI jobs a rootless BuildKit."""

from importlib.metadata import version
from typing import Final

NAME: Final = "buildkit-operator"
"""Name of the distribution, and of the operator wherever it needs one."""

NEEDS_EXTRA: Final = "needs the extra cli, which this installation is without, as the operator's image is"
"""What is said of a command or an option whose optional dependencies are not there."""
INSTALL_EXTRA: Final = "Install it in a checkout: pip install '.[cli]'"
"""What to do about it."""

__version__ = version(NAME)
