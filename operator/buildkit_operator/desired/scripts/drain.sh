#!/bin/sh
# drain.sh SECONDS [NOTES [LOG [FRONT]]]: waits until the daemon says that it runs no build and FRONT, the directory of
# what is in front of it, has none that is about to begin, at most SECONDS; fails if it has not been so by then, and the
# kubelet reports that. NOTES is where ready.sh notes that the daemon has come up. LOG is the container's termination
# log: it has a word of what the daemon is waited for, as long as it is, so that the pod tells of it whenever it is ended.
# A build counts as over only after a few quiet looks: clients such as buildx make one more call after their build, and
# new builds still come until Services and DNS have forgotten the pod. Once it has TERM the daemon takes no new call. So
# the last looks come after FRONT takes no more connections (front.sh drain), or has had the time to.
# Only an answer is quiet. A daemon that collects garbage or lacks memory answers late or not at all, and may run builds
# all the same; one whose process ends takes the container with it (run.sh), and this script.
# OTEL_* of the daemon would make buildctl wait for a trace collector.
for variable in $(env | sed -n 's/^\(OTEL_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$variable"; done

# Seconds by a clock that nobody sets.
now() { read -r uptime _ </proc/uptime && echo "${uptime%.*}"; }

leave() { [ -z "$log" ] || printf '%s' "$1" >"$log"; }

# Builds and clients that wait, of each process.
has_clients() {
  for counted in "$1"/[0-9]*; do
    case $counted in *.new) continue ;; esac
    [ ! -e "$counted" ] || [ "$(cat "$counted")" = '0 0' ] || return 0
  done
  return 1
}

# Until when the kubelet has had FRONT stop, if it can at all.
is_open() { [ -n "${1-}" ] && [ ! -e "$1/draining" ] && [ "$(now)" -lt "$stopped" ]; }

log=${3-}
deadline=$(($(now) + $1))
stopped=$(($(now) + 15))
quiet=0
while :; do
  left=$((deadline - $(now)))
  # A daemon that hangs has buildctl hang.
  if answer=$(timeout "$((left > 1 ? left : 1))" buildctl debug histories --format '{{.Type}}' 2>/dev/null); then
    case $answer in
      STARTED* | *"
STARTED"*) quiet=0 seen="builds still run after $1 s, and are lost" && leave 'drain.sh: builds run' ;;
      *)
        if [ -n "${4-}" ] && has_clients "$4"; then
          quiet=0 seen="clients are still connected after $1 s; builds of theirs are lost" && leave 'drain.sh: builds run'
        else
          quiet=$((quiet + 1)) && leave ''
          if [ "$quiet" -gt 3 ] && is_open "${4-}"; then quiet=3; fi
        fi
        ;;
    esac
  elif [ -n "${2-}" ] && [ ! -e "$2/ready" ]; then
    exit 0 # It has never come up, and no Service has led a build to it.
  else
    quiet=0 seen="the daemon does not answer after $1 s; builds that it runs are lost" && leave 'drain.sh: no answer'
  fi
  # The last look is the last thing done: what comes after it is not seen.
  [ "$quiet" -lt 5 ] || exit 0
  [ "$(now)" -lt "$deadline" ] || break
  sleep 1
done
[ "$quiet" -gt 0 ] || { echo "drain.sh: $seen" >&2; exit 1; }
