"""What starting the operator loads: memory is spent on imports first of all."""

import subprocess
import sys

PROGRAM = """
import sys
import buildkit_operator.__main__
import buildkit_operator.controller.process
import buildkit_operator.controller.reconcile
print(*sys.modules)
import kubernetes.aio.config
print("kubernetes.aio.config" in sys.modules)
"""


def test_the_operator_does_without_the_kubernetes_library_until_somebody_needs_it() -> None:
    printed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    loaded, importable = printed.splitlines()

    assert "kopf" in loaded.split()
    assert not any(name.startswith("kubernetes") for name in loaded.split()), "20 MiB for what a pod does not use"
    assert importable == "True"
    assert not {"celpy", "lark", "pendulum", "re2"} & set(loaded.split()), "only `render` and `inject` do"
    assert "buildkit_operator.cli.render" not in loaded.split()
