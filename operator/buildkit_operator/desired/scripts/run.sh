#!/bin/sh
# run.sh CONFIG ROOT: runs the daemon until it ends, or until this script gets TERM, and then ends with 0: a buildkitd
# that was asked to stop exits with 1 however cleanly it did (moby/buildkit#3282), which looks like a crash to everybody.
set -u

config=$1
root=$2

# The root is a directory of its own in the volume. A pod's fsGroup makes the volume's top setgid, and what is made
# beneath would carry that into every image built.
mkdir -p "$root"
chgrp "$(id -g)" "$root"
chmod g-s,u=rwx,go= "$root"
rm -f "${BUILDKIT_HOST#unix://}"

daemon=
stopping=
trap 'stopping=1; [ -z "$daemon" ] || kill -TERM "$daemon"' TERM
rootlesskit buildkitd --config "$config" &
daemon=$!
[ -z "$stopping" ] || kill -TERM "$daemon"

# A trapped signal ends `wait` early, so ask until the daemon is really gone.
while :; do
  wait "$daemon"
  code=$?
  kill -0 "$daemon" 2>/dev/null || break
done
[ -n "$stopping" ] && exit 0
exit "$code"
