"""Files as kubectl reads them and as the command line does: the same values."""

import json
import subprocess
from pathlib import Path
from typing import Final

from buildkit_operator.cli import files
from hack.cluster.controlplane import program

SCALARS: Final = (
    *("y", "N", "yes", "Off", "TRUE", "~", "null", "Null", ""),
    *("0", "-0", "+1", "017", "0o17", "08", "0x1F", "0b11", "-0b11", "1_000", "12:30:00", "1:30", "9007199254740993"),
    *("1.0", "1.5", ".5", "1.", "1e3", "1E-2", "+.5", "1e400x", "0.1", "1_0.5", "6.02e23"),
    *("2026-11-28", "2026-11-28T09:00:00Z", "=", "<<x", "text", "'quoted'", '"a\\tb"', "!!str 3", "!!int '4'"),
)

TEXT: Final = """
apiVersion: buildkit-operator.dev/v1alpha1
kind: BuildKitBuilder
metadata: {{name: demo, namespace: default}}
spec:
  mode: Shared
  shared:
    pod:
      affinity:
        anchor: &anchor {{a: 1, b: 2}}
        merged:
          <<: *anchor
          b: 3
        keys: {{1: a, true: b, 2.5: c, n: d}}
        folded: >
          two
          lines
        scalars:
{scalars}
"""


def test_scalars_keys_and_anchors_are_read_as_kubectl_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "builder.yaml"
    file.write_text(TEXT.format(scalars="\n".join(f"        - {scalar}" for scalar in SCALARS)))
    command = ["annotate", "--local", "--output=json", f"--filename={file}", "read=by-kubectl"]

    (document,) = files.read([str(file)])
    done = subprocess.run([program("kubectl"), *command], capture_output=True, text=True, check=True)

    ours = document.manifest["spec"]["shared"]["pod"]["affinity"]
    theirs = json.loads(done.stdout)["spec"]["shared"]["pod"]["affinity"]
    assert dict(zip(SCALARS, ours["scalars"], strict=True)) == dict(zip(SCALARS, theirs["scalars"], strict=True))
    assert ours == theirs
    assert list(map(type, ours["scalars"])) == list(map(type, theirs["scalars"]))
