#!/bin/sh
# run.sh once|always CONFIG ROOT NOTES [TOLD [AUTHORITIES [PLATFORM]]]: runs the daemon until TERM, and then ends with 0: a buildkitd
# that was asked to stop exits with 1 however cleanly it did (moby/buildkit#3282), which looks like a crash to everybody.
# A sidecar whose daemon has never come up ends with 1: then no job has begun that this could harm, and kubectl and the
# job's runner see a container that failed, and not one that "Completed".
# NOTES is a directory for what started.sh wants to know; it must be new with each container. TOLD is the container's
# termination log, for why a daemon did not come up (once).
# AUTHORITIES is a directory with the certificate authorities that are trusted beside the public ones; empty: none.
# PLATFORM is what the daemon builds for where a build says nothing of it; else it finds that out by itself.
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
told=${5:-/dev/null}
authorities=${6:-}
platform=${7:-}

# First of all: the kernel keeps a signal that it has no handler for from a container's first process.
daemon=
stopping=
stop() {
  stopping=1
  [ -z "$daemon" ] || kill -TERM "$daemon" 2>/dev/null
  [ "$restart" != once ] || return 0
  # The job is over and nobody is left to wait for the daemon, which ends with this script, the container's first
  # process; one that ends slowly would hold up the runner's next job.
  [ -e "$notes/served" ] || exit 1
  exit 0
}
trap stop TERM

# The root is a directory of its own in the volume. A pod's fsGroup makes the volume's top setgid, and what is made
# beneath would carry that into every image built.
make_root() {
  mkdir -p "$root"
  chgrp "$(id -g)" "$root"
  chmod g-s,u=rwx,go= "$root"
}

# Go adds what is in directories to the image's own bundle. Git knows one bundle alone, and BuildKit leaves it none of
# the variables that could name another (util/gitutil/git_cli.go), but finds it by PATH.
trust() {
  export SSL_CERT_DIR="${SSL_CERT_DIR:-/etc/ssl/certs:/etc/pki/tls/certs}:$authorities"
  for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
    /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
    [ ! -s "$bundle" ] || break
  done
  for file in "$bundle" "$authorities"/*.crt; do
    [ ! -s "$file" ] || { cat "$file" && echo; }
  done >"$notes/authorities.crt"
  git=$(command -v git) || return 0
  mkdir -p "$notes/bin"
  printf '#!/bin/sh\nexport GIT_SSL_CAINFO="%s"\nexec "%s" "$@"\n' "$notes/authorities.crt" "$git" >"$notes/bin/git"
  chmod 0755 "$notes/bin/git"
  export PATH="$notes/bin:$PATH"
}
[ -z "$authorities" ] || trust

# Passes the daemon's log on and keeps the beginning, which is looked at when the daemon does not come up.
pass_on() {
  count=0
  while [ "$count" -lt 100 ] && { IFS= read -r line || [ -n "$line" ]; }; do
    printf '%s\n' "$line"
    printf '%s\n' "$line" >&3
    count=$((count + 1))
  done 3>"$notes/log"
  exec cat
}

# Metrics of a shared daemon are served beside what is for debugging, on a socket from 0.20 on (cmd/buildkitd/debug.go).
has_metrics() {
  [ "$restart" = once ] || return
  version=$(buildkitd --version 2>/dev/null) || return
  case ${version##* v} in
    0.[0-9].* | 0.1[0-9].*) return 1 ;;
    [0-9]*.*) ;;
    *) return 1 ;;
  esac
}

run_daemon() {
  sh "${0%/*}/ids.sh" "$root" /etc /proc/self || return
  set -- --config "$config"
  [ -z "$platform" ] || set -- "$@" --oci-worker-platform "$platform"
  ! has_metrics || set -- "$@" --debugaddr "unix://${socket%/*}/debug.sock"
  exec rootlesskit buildkitd "$@"
}

# For the front, which is of the daemon's group.
open_metrics() {
  until [ -S "${socket%/*}/debug.sock" ]; do
    kill -0 "$daemon" 2>/dev/null || return
    sleep 0.1
  done
  chmod 0660 "${socket%/*}/debug.sock"
}

start() {
  make_root
  rm -f "$socket" "$notes/ready" "$notes/pipe"
  mkfifo "$notes/pipe"
  pass_on <"$notes/pipe" &
  reader=$!
  run_daemon >"$notes/pipe" 2>&1 &
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

# buildkitd opens its socket for its own uid alone, and knows no option for another mode. It sets that mode (0660) a
# moment after it has made the socket (containerd's sys.GetLocalListener), and then makes its parts, which may fail
# (moby/buildkit#4618): it is up, and leaves its socket alone, once it answers.
await_start() {
  sh "${0%/*}/buildx.sh"
  until [ -S "$socket" ] && sh "${0%/*}/ready.sh" >/dev/null; do
    kill -0 "$daemon" 2>/dev/null || return
    sleep 0.05
  done
  chmod 0666 "$socket"
  : >"$notes/served"
  : >"$notes/ready"
}

# What the daemon said last is on its way; what it has left running may hold the pipe open.
await_log() {
  polls=50
  while [ "$polls" -gt 0 ] && kill -0 "$reader" 2>/dev/null; do
    polls=$((polls - 1))
    sleep 0.02
  done
}

if [ "$restart" = once ]; then
  sh "${0%/*}/mend.sh" before "$root"
  rm -f "${socket%/*}/debug.sock"
  start
  open_metrics &
  await_end
  await_log
  [ -z "$stopping" ] || exit 0
  [ -e "$notes/ready" ] || sh "${0%/*}/mend.sh" after "$root" "$notes/log" "$told"
  exit "$code"
fi

sh "${0%/*}/activity.sh" &
failures=0
while :; do
  sh "${0%/*}/mend.sh" clear "$root"
  start
  await_start &
  await_end
  if [ -e "$notes/ready" ]; then
    failures=0
    pause=0.2
  else
    failures=$((failures + 1))
    # A volume that was filled from another one may have been with a broken cache. What is to be told is started.sh's.
    await_log
    sh "${0%/*}/mend.sh" after "$root" "$notes/log" /dev/null
    # Whole at once, as started.sh may look at any time.
    echo "$failures" >"$notes/failures.new" && mv "$notes/failures.new" "$notes/failures"
    pause=$((failures < 5 ? failures * failures : 25))
  fi
  echo "run.sh: buildkitd ended with exit code $code; it is started again in $pause s. Builds it was running are lost." >&2
  # In the background, as a signal is not looked at before a command in the foreground has ended.
  sleep "$pause" &
  wait "$!"
done
