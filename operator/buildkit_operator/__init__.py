"""A Kubernetes operator that gives CI jobs a rootless BuildKit."""

from importlib.metadata import version
from typing import Final

NAME: Final = "buildkit-operator"
"""Name of the distribution, and of the operator wherever it needs one."""

__version__ = version(NAME)
