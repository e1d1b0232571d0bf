#!/bin/sh
# ready.sh [SECONDS [NOTES [FRONT]]]: succeeds when the daemon answers, for which it waits up to SECONDS (default 0), and
# what is in front of it, in whose directory FRONT that notes what it does. Notes in the directory NOTES that it did, for
# drain.sh.
# OTEL_* of the daemon would make buildctl wait for a trace collector and fail the probe.
for variable in $(env | sed -n 's/^\(OTEL_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$variable"; done

# Seconds by a clock that nobody sets.
now() { read -r uptime _ </proc/uptime && echo "${uptime%.*}"; }

deadline=$(($(now) + ${1:-0}))
until answer=$(buildctl debug workers 2>&1) && answer="nothing takes connections for the daemon yet" &&
  { [ -z "${3-}" ] || [ -e "$3/processes" ]; }; do
  if [ "$(now)" -ge "$deadline" ]; then
    echo "$answer"
    exit 1
  fi
  sleep 0.1
done
[ -z "${2-}" ] || : >"$2/ready"
