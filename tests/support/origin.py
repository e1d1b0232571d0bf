"""A web server of the end-to-end tests: what builds fetch by HTTP and git."""

import base64
import io
import os
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from hack.cluster.installation import operator_image
from hack.cluster.kubectl import Kubectl

_PROGRAM: Final = """
import http.server, os, tarfile
os.makedirs("/tmp/served")
os.chdir("/tmp/served")
tarfile.open("/workspace/origin.tar.gz").extractall(".")
http.server.test(http.server.SimpleHTTPRequestHandler, http.server.ThreadingHTTPServer, port=8000)
"""


def address(team: Kubectl) -> str:
    """Return the server's URL, for pods."""
    return f"http://origin.{team.namespace}.svc:8000"


@cache
def content() -> tuple[bytes, str]:
    """Return a tar.gz of what a web server has, among it a repository of git, and the newest commit of that."""
    everybody = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_AUTHOR_DATE": "1700000000 +0000"}
    somebody = {name.replace("AUTHOR", "COMMITTER"): value for name, value in everybody.items()}
    environment = {**os.environ, **everybody, **somebody, "GIT_CONFIG_GLOBAL": "/dev/null"}
    with tempfile.TemporaryDirectory() as scratch:
        work, served = Path(scratch) / "work", Path(scratch) / "served"
        (work / "app").mkdir(parents=True)
        (work / "README").write_text("from git\n")
        (work / "app/Dockerfile").write_text("FROM scratch\nCOPY hello /\n")
        (work / "app/hello").write_text("hello from git\n")
        bare = served / "app.git"

        def git(*words: str) -> str:
            ran = subprocess.run(["git", *words], cwd=work, env=environment, check=True, capture_output=True, text=True)
            return ran.stdout.strip()

        git("init", "--quiet", "--initial-branch=main")
        git("add", ".")
        git("commit", "--quiet", "--message=First")
        git("tag", "v1.0")
        git("clone", "--quiet", "--bare", ".", str(bare))
        git("--git-dir", str(bare), "update-server-info")
        (served / "hello.txt").write_text("hello over http\n")
        with tarfile.open(served / "context.tar.gz", "w:gz") as context:
            context.add(work / "app", ".", filter=_owned_by_root)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            tar.add(served, ".")
        return packed.getvalue(), git("rev-parse", "HEAD")


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def serve(team: Kubectl) -> None:
    """Run a web server for what builds fetch, and wait until it answers."""
    labels = {"app": "origin"}
    team.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "origin"},
            "binaryData": {"origin.tar.gz": base64.b64encode(content()[0]).decode()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "origin"},
            "spec": {"selector": labels, "ports": [{"port": 8000}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "origin", "labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": False,
                "containers": [
                    {
                        "name": "origin",
                        "image": operator_image(),
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python3", "-c", _PROGRAM],
                        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
                        "volumeMounts": [{"name": "files", "mountPath": "/workspace"}],
                    }
                ],
                "volumes": [{"name": "files", "configMap": {"name": "origin"}}],
            },
        },
    )
    team("wait", "--for=condition=Ready", "pod/origin", "--timeout=60s")
