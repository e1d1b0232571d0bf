import sys


def main() -> None:
    print(f"hello, {sys.argv[1]}")
