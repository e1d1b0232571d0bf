#!/bin/sh
# front.sh run CONFIG CERTIFICATES FOLDER: runs the HAProxy that is in front of a shared daemon until it is stopped, which
# comes when the daemon has ended. FOLDER is one that the daemon's container sees too, for what front.lua counts.
# front.sh drain FOLDER: has it take no more connections, once the Services have forgotten the pod; those that are open
# stay. The daemon waits for their builds (drain.sh).
set -u

# How long clients still come that had the pod's address before it was told to stop, in seconds.
FORGOTTEN=5

if [ "$1" = drain ]; then
  sleep "$FORGOTTEN"
  : >"$2/draining"
  kill -USR1 "$(cat "$2/haproxy.pid")"
  exit
fi

folder=$4

# First of all: the kernel keeps a signal that it has no handler for from a container's first process. HAProxy's image
# asks to be stopped by USR1.
trap 'exit 0' TERM USR1

started() { echo "$1" >"$folder/haproxy.pid"; }

ended() {
  # What it counted last stays in its file.
  rm -f "$folder"/[0-9]*
  while [ -e "$folder/draining" ]; do pause 60; done
  [ -e "$folder/processes" ] || exit 1
  echo "front.sh: HAProxy has ended; it is started again. Builds that went through it are lost." >&2
}

# shellcheck source=/dev/null
. "${0%/*}/haproxy.sh"

# Both families of addresses, where the node has both.
if [ -e /proc/net/if_inet6 ]; then export ANY=::; else export ANY=0.0.0.0; fi
mkdir -p "$folder"
rm -f "$folder"/*
follow "$2" "$3"
