"""Run by a build step of the Dockerfile beside it."""

import unittest

from greet import greet


class Greeting(unittest.TestCase):
    def test_greets_by_name(self) -> None:
        assert greet("BuildKit") == "Hello, BuildKit!"
