#!/bin/sh
# Waits until the daemon runs no build, at most $1 seconds; fails if one still runs then, so that the kubelet reports it.
# A build counts as over only after a few quiet looks: clients such as buildx make one more call after their build, and
# new builds still come until Services and DNS have forgotten the pod. Once it has TERM the daemon takes no new call.
# OTEL_* of the daemon would make buildctl wait for a trace collector.
for variable in $(env | sed -n 's/^\(OTEL_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$variable"; done

deadline=$(($(date +%s) + $1))
quiet=0
while :; do
  # A daemon that does not answer has no build to wait for.
  if buildctl debug histories --format '{{.Type}}' 2>/dev/null | grep -q '^STARTED'; then
    quiet=0
  else
    quiet=$((quiet + 1))
  fi
  # The last look is the last thing done: what comes after it is not seen.
  [ "$quiet" -lt 5 ] || exit 0
  [ "$(date +%s)" -lt "$deadline" ] || break
  sleep 1
done
[ "$quiet" -gt 0 ] || { echo "drain.sh: builds still run after $1 s, and are lost" >&2; exit 1; }
