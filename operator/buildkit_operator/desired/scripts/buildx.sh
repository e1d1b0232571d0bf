#!/bin/sh
# Describes the builder at BUILDKIT_HOST to buildx, for each of the job's containers in BUILDX_CONTAINERS, which are
# separated by commas. buildx keeps files of mode 0600 beside its list of builders: each gets a directory of its own.
socket=${BUILDKIT_HOST#unix://}
directory=${socket%/*}/buildx
IFS=,
for container in ${BUILDX_CONTAINERS-}; do
  [ ! -d "$directory/$container" ] || continue
  mkdir -p "$directory/$container/instances"
  printf '{"Name":"buildkit","Driver":"remote","Nodes":[{"Name":"buildkit0","Endpoint":"%s"}],"Dynamic":false}\n' \
    "$BUILDKIT_HOST" >"$directory/$container/instances/buildkit"
  chmod -R a+rwX "$directory/$container"
done
