"""`python -m hack.generate.publisher OWNER REPOSITORY`: who publishes a release, for the workflow that does.

Where the table in pyproject.toml names another owner, as in a fork, it is written to name this one, the code host's
repository, and its pages as documentation, and everything is generated from that. Prints the names, a key=value a line.
"""

import re
import sys
from dataclasses import asdict
from typing import Final

from hack.generate import __main__ as generate
from hack.generate import published
from hack.generate.paths import TOP

_PYPROJECT: Final = TOP / "pyproject.toml"


def claimed(text: str, owner: str, repository: str) -> str:
    """Return pyproject.toml's text with this owner, in lower case; unchanged where it is theirs already.

    The repository's address keeps capital letters: signatures name it as the code host writes it.
    """
    above, table, below = text.partition("[tool.buildkit-operator]\n")
    # Registries know lower case alone.
    lower = owner.lower()
    if re.search(rf'(?m)^owner = "{re.escape(lower)}"$', below):
        return text
    values = {
        "owner": lower,
        "documentation": published.pages(lower, repository),
        "repository": published.source(owner, repository),
    }
    for key, value in values.items():
        below = re.sub(rf'(?m)^{key} = ".*"$', f'{key} = "{value}"', below, count=1)
    return above + table + below


def main() -> int:
    """Write and print; return the exit status."""
    _, owner, repository = sys.argv
    before = _PYPROJECT.read_text()
    after = claimed(before, owner, repository)
    if after != before:
        _PYPROJECT.write_text(after)
        if status := generate.generate_anew():
            return status
    names = published.setting()
    for key, value in {**asdict(names), "registry": names.image.split("/")[0]}.items():
        print(f"{key}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
