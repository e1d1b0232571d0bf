#!/bin/sh
# Describes the builder at BUILDKIT_HOST to buildx, for each of the job's containers in BUILDX_CONTAINERS, which are
# separated by commas, each in a directory of its own.
# A container may have several users (su, sudo -E, runAsUser of a step), who all use that directory, in any order.
# buildx makes its files for one user alone (0600): those that it only opens are here before it, open to everybody. The
# one that it replaces, the time of a builder's last use, is removed by activity.sh.
# Where there are daemons of several architectures, each is a node of the builder, with a socket beside BUILDKIT_HOST's.
# That one leads to the architecture of the job's own node, ARCH, or where there is none of it to the first; it is the
# first node too, where builds go that name no platform.
socket=${BUILDKIT_HOST#unix://}
directory=${socket%/*}/buildx
registries=${0%/*}/registries.json
architectures=${0%/*}/architectures
listed=
[ ! -e "$architectures" ] || read -r listed <"$architectures"
case ,$listed, in
  *,"${ARCH:-none}",*) own=$ARCH ;;
  *) own=${listed%%,*} ;;
esac
IFS=,

# describe NUMBER ADDRESS [ARCHITECTURE]: one node, and the directory that buildx keeps what it built in.
describe() {
  mkdir -p "refs/buildkit/buildkit$1"
  printf '{"Name":"buildkit%s","Endpoint":"%s"' "$1" "$2"
  [ -z "${3-}" ] || printf ',"Platforms":[{"architecture":"%s","os":"linux"}]' "$3"
  printf '}'
}

nodes() {
  describe 0 "$BUILDKIT_HOST" "$own"
  number=0
  for architecture in $listed; do
    [ "$architecture" != "$own" ] || continue
    number=$((number + 1))
    printf ','
    describe "$number" "unix://${socket%/*}/$architecture.sock" "$architecture"
  done
}

for container in ${BUILDX_CONTAINERS-}; do
  [ ! -d "$directory/$container" ] || continue
  mkdir -p "$directory/$container"
  cd "$directory/$container" || exit
  mkdir -p activity defaults instances refs/__group__
  printf '{"Name":"buildkit","Driver":"remote","Nodes":[%s],"Dynamic":false}\n' "$(nodes)" >instances/buildkit
  [ ! -e "$registries" ] || cat "$registries" >instances/registries
  : >.lock
  # Who sends a context: the daemon finds by it what it has of that one already.
  read -r node </proc/sys/kernel/random/uuid
  printf '%s' "$node" >.buildNodeID
  chmod -R a+rwX .
done
