#!/bin/sh
# Writes the locks: what the operator's image installs, which is without the extra cli, what builds its wheel, and all that
# the tests need.
# Hash-pinned requirement files rather than uv.lock, so that pip alone installs them, in the image as here.
# A lock that still satisfies pyproject.toml comes out as it was; `lock.sh --upgrade` takes newer versions.
set -eu
cd "$(dirname "$0")/.."

lock() {
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"
}
lock --output-file deploy/requirements.lock "$@" pyproject.toml
lock --output-file hack/requirements.lock --group dev --extra cli --constraint deploy/requirements.lock "$@" pyproject.toml
.venv/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' |
  lock --output-file deploy/requirements-build.lock "$@" -
