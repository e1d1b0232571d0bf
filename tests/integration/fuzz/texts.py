"""Texts that mean something to what may read them: a shell, HAProxy, TOML, YAML, a URL, a terminal."""

from typing import Any, Final

from hypothesis import strategies as st

SHELL: Final = (
    "$(id)",
    "`id`",
    "; reboot",
    "' && id '",
    '"',
    "\\",
    "${IFS}",
    "$HOME",
    "|",
    "> /x",
    "*",
    "~",
    "!",
    "-e",
)
HAPROXY: Final = ("%[env(HOME)]", "%{+Q}o", "server x 192.0.2.1:1", "\\ ", "#", "bind :1", "{", "}")
TOML: Final = ('"""', "'''", "]]", "[[x", "= 1", "\\u0041", "[a]\nb = 1", '"\n[grpc]\naddress = ["tcp://:1"]\n#')
YAML: Final = (
    "---",
    "- a",
    ": ",
    "!!python/name:os.system",
    "&a",
    "*a",
    "|-",
    "null",
    "yes",
    "0o17",
    "1_000",
    "~",
    "<<",
)
ADDRESSES: Final = ("..", "../..", "%2e%2e", "?", "#", "/", "//", "https://u:p@h/", "a%00b", "[::1]", ":0", "@", "*.a")
ENVIRONMENT: Final = ("$(VAR)", "$$(VAR)", "$(", "$(BUILDKIT_HOST)")
CONTROL: Final = (
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\x07",
    "\x1b[31m",
    "\x7f",
    "\x85",
    " ",
    "\u2028",
    "\ufeff",
    "\u202e",
    "\u200b",
)
UNICODE: Final = (
    "ä",
    "İ",
    "ß",
    "\u0301",
    "\U0001d4b3",
    "\U0001f469\u200d\U0001f467",
    "\udcff",
    "\ufffe",
    "\uff21",
    "\ufdfa",
)
NUMBERS: Final = (
    "0",
    "-1",
    "1e400",
    "1e-400",
    "NaN",
    "9223372036854775808",
    "0x10",
    "+1",
    "1.5",
    "1Gi",
    "-0",
    "\u0663",
)

PIECES: Final = (*SHELL, *HAPROXY, *TOML, *YAML, *ADDRESSES, *ENVIRONMENT, *CONTROL, *UNICODE, *NUMBERS)

_pieces: Final = st.sampled_from(PIECES)
_words: Final = st.sampled_from(["a", "job", "build", "example.com", "x-1", "0", "A", "_"])


def hostile(longest: int) -> st.SearchStrategy[str]:
    """Return texts of at most so many characters, rarely of just as many."""
    joined = st.lists(_pieces | _words, min_size=1, max_size=6).map("".join)
    full = st.builds(lambda piece: (piece * longest)[:longest], _pieces | _words)
    # One in sixteen: what is as long as it may be is as slow as it can be.
    return (st.integers(0, 15).flatmap(lambda n: full if n == 0 else joined | st.text(max_size=12))).map(
        lambda text: text[:longest]
    )


def quantities() -> st.SearchStrategy[str]:
    number = st.sampled_from(["1", "2", "20", "0.5", "1.5", "500", "100000", "007", "+5", ".5", "5.", "1e3", "1E3"])
    unit = st.sampled_from(["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "Pi", "E", "n", "u"])
    odd = ["0", "-1", "-1Gi", "1e400", "1e-400", "9223372036854775807", "9223372036854775808", "1n", "8Ei", "1e19"]
    return st.builds(lambda n, u: n if "e" in n.lower() else n + u, number, unit) | st.sampled_from(odd)


def sizes() -> st.SearchStrategy[str]:
    """Return amounts of disk that a builder is likely to have."""
    usual = st.sampled_from(["1Gi", "20Gi", "1.5Ti", "1073741824", "2e9", "30G"])
    return st.integers(0, 3).flatmap(lambda n: quantities() if n == 0 else usual)


def wrong() -> st.SearchStrategy[Any]:
    """Return values that hardly any field takes."""
    numbers = st.sampled_from([0, -1, 1, 2**31, 2**32, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30])
    floats = st.sampled_from([0.5, -0.0, 1e308, 1e-320])
    long = st.sampled_from(["x" * 254, "x" * 5000, "ä" * 33000, "[" * 65536, "\0" * 4096, "a." * 3000 + "a = 1"])
    empty: st.SearchStrategy[Any] = st.sampled_from([None, True, False, "", [], {}, [None], [[]], {"": None}, [{}, {}]])
    return (
        empty | numbers | floats | hostile(64) | long | deep() | st.dictionaries(hostile(20), st.integers(), max_size=2)
    )


def deep() -> st.SearchStrategy[str]:
    """Return stand-ins for what is nested so deeply that Python cannot write it: see `body`."""
    return st.builds(
        lambda kind, depth: f"@{kind}@{depth}@",
        st.sampled_from(["list", "map"]),
        st.sampled_from([20, 300, 990, 1500, 9000, 11000]),
    )
