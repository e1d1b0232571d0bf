#!/bin/sh
# connect.sh CONFIG CERTIFICATES: runs HAProxy until it is stopped, and then ends with 0, at once; with 1 if its socket
# has never been there, as no job has begun then. It never ends else: a sidecar that terminates with another status than
# 0 loses the job with some runners (see run.sh).
# When the kubelet has brought a new configuration or certificate, HAProxy is told to take it; connections that are open
# stay with the process that has the old one.
set -u

config=$1
certificates=$2
socket=${BUILDKIT_HOST#unix://}

# First of all: the kernel keeps a signal that it has no handler for from a container's first process. HAProxy's image
# asks to be stopped by USR1.
stop() {
  [ -S "$socket" ] || exit 1
  exit 0
}
trap stop TERM USR1

# How the kubelet names what it has mounted: it puts new files into a new directory.
versions() { readlink "${config%/*}/..data" "$certificates/..data"; }

check() { haproxy -c -q -f "$config"; }

start() {
  taken=$(versions)
  haproxy -W -db -f "$config" &
  haproxy=$!
}

# In the background, as a signal is not looked at before a command in the foreground has ended.
pause() {
  sleep "$1" &
  wait "$!"
}

rm -f "$socket"
sh "${0%/*}/buildx.sh"
start
while :; do
  pause 3
  if ! kill -0 "$haproxy" 2>/dev/null; then
    echo "connect.sh: HAProxy has ended; it is started again. Builds that went through it are lost." >&2
    start
    continue
  fi
  seen=$(versions)
  [ "$seen" != "$taken" ] || continue
  if check; then
    echo "connect.sh: the configuration or the certificate is new; HAProxy takes it." >&2
    kill -USR2 "$haproxy"
    taken=$seen
  else
    echo "connect.sh: HAProxy does not take the new configuration or certificate, and keeps the old one." >&2
    pause 10
  fi
done
