#!/bin/sh
# started.sh SECONDS NOTES TERMINATION_LOG: succeeds when the sidecar's daemon can be used; then the kubelet starts the
# job's containers. Fails after SECONDS, or as soon as the daemon has ended three times without ever coming up, with
# the last lines of its log: they stand in the container's status, and the kubelet starts it anew, later each time.
# NOTES is run.sh's.
notes=$2
polls=$(($1 * 40))
until [ -e "$notes/ready" ]; do
  polls=$((polls - 1))
  failures=0
  [ ! -e "$notes/failures" ] || read -r failures <"$notes/failures"
  if [ "$polls" -le 0 ] || [ "$failures" -ge 3 ]; then
    # A stack trace stands behind the cause; of more than 4096 bytes the kubelet keeps the last.
    tail -c 4096 "$notes/log" | tee "$3"
    exit 1
  fi
  sleep 0.02
done
