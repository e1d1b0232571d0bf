#!/bin/sh
# Describes the builder at BUILDKIT_HOST to buildx, for each of the job's containers in BUILDX_CONTAINERS, which are
# separated by commas, each in a directory of its own.
# A container may have several users (su, sudo -E, runAsUser of a step), who all use that directory, in any order.
# buildx makes its files for one user alone (0600): those that it only opens are here before it, open to everybody. The
# one that it replaces, the time of a builder's last use, is removed by activity.sh.
socket=${BUILDKIT_HOST#unix://}
directory=${socket%/*}/buildx
registries=${0%/*}/registries.json
IFS=,
for container in ${BUILDX_CONTAINERS-}; do
  [ ! -d "$directory/$container" ] || continue
  mkdir -p "$directory/$container"
  cd "$directory/$container" || exit
  mkdir -p activity defaults instances refs/buildkit/buildkit0 refs/__group__
  printf '{"Name":"buildkit","Driver":"remote","Nodes":[{"Name":"buildkit0","Endpoint":"%s"}],"Dynamic":false}\n' \
    "$BUILDKIT_HOST" >instances/buildkit
  [ ! -e "$registries" ] || cat "$registries" >instances/registries
  : >.lock
  # Who sends a context: the daemon finds by it what it has of that one already.
  read -r node </proc/sys/kernel/random/uuid
  printf '%s' "$node" >.buildNodeID
  chmod -R a+rwX .
done
