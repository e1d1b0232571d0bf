#!/bin/sh
# own.sh VOLUME UID: gives a claim's volume to the daemon, unless the daemon can write to it already. Runs as root with
# no capability but CHOWN, and in the daemon's groups.
# Only the volume's top changes hands, and never its group: where a policy sets the pod's fsGroup, that group tells the
# kubelet that it need not change every file in the volume, which would corrupt cached layers.
set -eu

volume=$1
uid=$2
groups=$(id -G)

# shellcheck disable=SC2046  # three numbers
set -- $(stat -c '%u %g %a' "$volume")
[ "$1" != "$uid" ] || exit 0
[ $((0$3 & 3)) -ne 3 ] || exit 0
if [ $((0$3 >> 3 & 3)) -eq 3 ]; then
  for group in $groups; do
    [ "$group" != "$2" ] || exit 0
  done
fi
chown "$uid" "$volume"
