#!/bin/sh
# Writes the two locks: what the operator's image installs, and that plus what the tests need.
# Hash-pinned requirement files rather than uv.lock, so that pip alone installs them, in the image as here.
# A lock that still satisfies pyproject.toml comes out as it was; `lock.sh --upgrade` takes newer versions.
set -eu
cd "$(dirname "$0")/.."
lock() {
  output=$1; shift
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --output-file "$output" "$@" pyproject.toml
}
lock deploy/requirements.lock "$@"
lock tests/requirements.lock --group dev --constraint deploy/requirements.lock "$@"
