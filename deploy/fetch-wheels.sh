#!/bin/sh
# fetch-wheels.sh PYTHON [MACHINE…]: fetches the wheels of the operator's image into deploy/wheels, by the pip of that
# interpreter, for where the image's build reaches no package index. They fit Python 3.11 on Debian 12, the Dockerfile's
# base, on these machines (x86_64, aarch64), this one if none is named.
set -eu
python=$1
shift
cd "$(dirname "$0")"

rm -f wheels/*.whl
for machine in "${@:-$(uname -m)}"; do
  for lock in requirements.lock requirements-build.lock; do
    "$python" -m pip download --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
      --python-version 3.11 --platform "manylinux_2_17_$machine" --platform "manylinux_2_28_$machine" \
      --platform "manylinux_2_34_$machine" --platform "manylinux2014_$machine" --dest wheels --requirement "$lock"
  done
done
