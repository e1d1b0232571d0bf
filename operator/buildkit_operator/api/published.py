"""Where the project is published. Generated from pyproject.toml by `make generate`; do not edit."""

from typing import Final

DOCUMENTATION: Final = "https://docs.unreleased.invalid"
"""URL of the documentation, without a slash at its end."""
