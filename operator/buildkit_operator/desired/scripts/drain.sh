#!/bin/sh
# Waits until the daemon runs no build, at most $1 seconds. Once it has TERM it takes no new call, and clients such as
# buildx make one more after their build, so a build counts as over only after a few quiet looks.
# OTEL_* of the daemon would make buildctl wait for a trace collector.
for variable in $(env | sed -n 's/^\(OTEL_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$variable"; done

deadline=$(($(date +%s) + $1))
quiet=0
while [ "$quiet" -lt 3 ] && [ "$(date +%s)" -lt "$deadline" ]; do
  # A daemon that does not answer has no build to wait for.
  if buildctl debug histories --format '{{.Type}}' 2>/dev/null | grep -q '^STARTED'; then
    quiet=0
  else
    quiet=$((quiet + 1))
  fi
  sleep 1
done
