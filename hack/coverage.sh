#!/bin/sh
# Prints which share of the operator's lines and branches the unit and integration tests run, with those that they miss.
# Processes that the tests start count too, unless they are killed. Takes options of pytest for the integration tests.
set -eu
cd "$(dirname "$0")/.."

python=$PWD/.venv/bin/python
rm -rf dist/coverage
mkdir -p dist/coverage
status=0
"$python" -m coverage run -m pytest tests/unit tests/scripts --numprocesses=auto || status=$?
"$python" -m coverage run -m pytest tests/integration "$@" || status=$?
"$python" -m coverage combine --quiet
"$python" -m coverage report
exit "$status"
