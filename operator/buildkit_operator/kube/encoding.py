"""JSON as every part of the API server reads it. An object that is applied is read as YAML, which knows less."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON may have as they are, but that YAML's reader refuses or takes for the end of a line."""


def encode(body: Any) -> bytes:
    """Return a body as JSON that means the same when it is read as YAML.

    JSON writes a character beyond 16 bits as two escapes, of which YAML says that they are no characters: it stands as
    it is. Half of such a pair is no text at all, and becomes a question mark. Raises ValueError for what is no JSON.
    """
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:  # in a tenth of the time that looking for all of them takes
        return text.encode()
    # Only in texts can they be: outside of those all is ASCII.
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode(errors="replace")
