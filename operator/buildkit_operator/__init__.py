"""A Kubernetes operator that gives CI jobs a rootless BuildKit."""

from importlib.metadata import version

__version__ = version("buildkit-operator")
