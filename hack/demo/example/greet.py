"""The application of the demo."""

import sys


def greet(name: str) -> str:
    """Return a greeting."""
    return f"Hello, {name}!"


if __name__ == "__main__":
    print(greet(*sys.argv[1:] or ["world"]))
