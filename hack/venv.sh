#!/bin/sh
# Makes .venv with exactly the locked packages, and does nothing when it already has them.
# Needs Python 3.11 or newer; everything else comes from the package index.
set -eu
cd "$(dirname "$0")/.."

lock=hack/requirements.lock
stamp=.venv/.installed
# Of pyproject.toml only the part that is installed; the rest are tools' settings.
wanted=$( (cat "$lock"; sed -n '/^\[build-system\]/,/^\[dependency-groups\]/p' pyproject.toml) | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

python=
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  echo "Python 3.11 or newer is needed and was not found; name one with PYTHON=/path/to/python3." >&2
  exit 1
fi
# Debian ships Python without the module that makes environments.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get -qq update && apt-get -qq install -y --no-install-recommends python3-venv >/dev/null
  else
    echo "Python's venv module is missing; on Debian and Ubuntu it comes with the package python3-venv." >&2
    exit 1
  fi
fi

echo "Installing the locked Python packages into .venv (about half a minute)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
echo "$wanted" > "$stamp"
