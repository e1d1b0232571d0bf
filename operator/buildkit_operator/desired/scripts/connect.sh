#!/bin/sh
# connect.sh CONFIG CERTIFICATES: runs HAProxy until it is stopped, and then ends with 0, at once; with 1 if its socket
# has never been there, as no job has begun then. It never ends else: a sidecar that terminates with another status than
# 0 loses the job with some runners (see run.sh).
set -u

socket=${BUILDKIT_HOST#unix://}

# First of all: the kernel keeps a signal that it has no handler for from a container's first process. HAProxy's image
# asks to be stopped by USR1.
stop() {
  [ -S "$socket" ] || exit 1
  exit 0
}
trap stop TERM USR1

started() { :; }

ended() { echo "connect.sh: HAProxy has ended; it is started again. Builds that went through it are lost." >&2; }

# The architecture of this node, by the name that Kubernetes has for it.
ARCH=$(uname -m)
case $ARCH in
  x86_64) ARCH=amd64 ;;
  aarch64) ARCH=arm64 ;;
esac
export ARCH

# shellcheck source=/dev/null
. "${0%/*}/haproxy.sh"

rm -f "$socket"
sh "${0%/*}/buildx.sh"
follow "$1" "$2"
