#!/bin/sh
# run.sh once|always CONFIG ROOT NOTES: runs the daemon until TERM, and then ends with 0: a buildkitd that was asked to
# stop exits with 1 however cleanly it did (moby/buildkit#3282), which looks like a crash to everybody.
# NOTES is a directory for what started.sh wants to know; it must be new with each container.
#
# once: ends with the daemon, so that the kubelet sees the crash of a shared one and starts it again.
# always: never ends by itself. A sidecar that terminates with another status than 0 loses the job with
# actions-runner-controller 0.14.2 and later, one that is started over and over with GitLab Runner 19.2 and later.
# So a crashed daemon is started again in here, and its socket opened to every uid of the job each time.
set -u

restart=$1
config=$2
root=$3
socket=${BUILDKIT_HOST#unix://}
notes=$4

# First of all: the kernel keeps a signal that it has no handler for from a container's first process.
daemon=
stopping=
stop() {
  stopping=1
  [ -z "$daemon" ] || kill -TERM "$daemon" 2>/dev/null
  # The job is over and nobody is left to wait for the daemon, which ends with this script, the container's first
  # process; one that ends slowly would hold up the runner's next job.
  [ "$restart" = once ] || exit 0
}
trap stop TERM

# The root is a directory of its own in the volume. A pod's fsGroup makes the volume's top setgid, and what is made
# beneath would carry that into every image built.
mkdir -p "$root"
chgrp "$(id -g)" "$root"
chmod g-s,u=rwx,go= "$root"

# Passes the daemon's log on and keeps the beginning, which started.sh quotes when the daemon does not come up.
pass_on() {
  count=0
  while [ "$count" -lt 100 ] && { IFS= read -r line || [ -n "$line" ]; }; do
    printf '%s\n' "$line"
    printf '%s\n' "$line" >&3
    count=$((count + 1))
  done 3>"$notes/log"
  exec cat
}

start() {
  rm -f "$socket" "$notes/ready"
  if [ "$restart" = once ]; then
    rootlesskit buildkitd --config "$config" &
  else
    rm -f "$notes/pipe"
    mkfifo "$notes/pipe"
    pass_on <"$notes/pipe" &
    rootlesskit buildkitd --config "$config" >"$notes/pipe" 2>&1 &
  fi
  daemon=$!
  [ -z "$stopping" ] || kill -TERM "$daemon"
}

# A trapped signal ends `wait` early, so it is asked until the daemon is really gone.
await_end() {
  while :; do
    wait "$daemon"
    code=$?
    kill -0 "$daemon" 2>/dev/null || return
  done
}

# buildkitd opens its socket for its own uid alone (0660), and knows no option for another mode. It does so before it
# makes its parts, which may fail (moby/buildkit#4618): it is up once it answers.
await_start() {
  until [ -S "$socket" ]; do
    kill -0 "$daemon" 2>/dev/null || return
    sleep 0.02
  done
  chmod 0666 "$socket"
  sh "${0%/*}/buildx.sh"
  until sh "${0%/*}/ready.sh" >/dev/null; do
    kill -0 "$daemon" 2>/dev/null || return
    sleep 0.1
  done
  : >"$notes/ready"
}

if [ "$restart" = once ]; then
  start
  await_end
  [ -z "$stopping" ] || exit 0
  exit "$code"
fi

failures=0
while :; do
  start
  await_start &
  await_end
  if [ -e "$notes/ready" ]; then
    failures=0
    pause=0.2
  else
    failures=$((failures + 1))
    echo "$failures" >"$notes/failures"
    pause=$((failures < 5 ? failures * failures : 25))
  fi
  echo "run.sh: buildkitd ended with exit code $code; it is started again in $pause s. Builds it was running are lost." >&2
  # In the background, as a signal is not looked at before a command in the foreground has ended.
  sleep "$pause" &
  wait "$!"
done
