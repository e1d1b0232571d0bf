#!/bin/bash
# A private Docker engine in namespaces of its own: sandbox.sh LOWER[:LOWER…] STATE STORE CGROUP RUNTIME
#
# Its root tree is an overlay over LOWER, its network (bridges, firewall rules, sysctls) a namespace of its own with
# slirp4netns as the way out, its processes a process namespace. The host sees one process tree, the cgroup, STATE and
# STORE, where its images are; everything else ends with that tree, also when this script is killed. hack/cluster/sandbox.py starts and ends it.
set -eu
lower=$1 state=$2 store=$3 cgroup=$4 runtime=$5

# Whoever starts this records its process id first; when that process dies before it has, nothing begins.
read -r _ || exit 1

mkdir -p "$state/root" "$state/run" "$store"
mount -t tmpfs -o size=64m sandbox "$state/root"
mkdir "$state/root/upper" "$state/root/work" "$state/root/tree"
root=$state/root/tree
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$state/root/upper,workdir=$state/root/work" "$root"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mkdir "$root/run/host"
mount --bind "$store" "$root/var/lib/docker"
mount --bind "$state/run" "$root/run/host"
[ ! -d /lib/modules ] || mount --rbind -o ro /lib/modules "$root/lib/modules"
# slirp4netns answers DNS there, with the host's resolver.
echo 'nameserver 10.0.2.3' > "$root/etc/resolv.conf"
install -D "$(dirname "$0")/runc-bounded" "$root/usr/local/bin/runc-bounded"
touch "$root/run/netns"

engine() {
  # Not chroot: `docker exec` enters a mount namespace at its root, which has to be a container's and never the host's.
  mkdir "$root/run/old"
  cd "$root"
  pivot_root . run/old
  mount -t proc proc /proc
  mount -t sysfs sysfs /sys
  mount --rbind /run/old/sys/fs/cgroup /sys/fs/cgroup
  umount -l /run/old
  ip link set lo up
  until ip -o -4 address show dev tap0 2> /dev/null | grep -q 10.0.2.100; do sleep 0.02; done
  exec chroot . docker-init -- dockerd --log-level warn --group root -H unix:///run/host/docker.sock \
    --exec-root /run/docker --pidfile /run/docker.pid \
    --cgroup-parent "/$cgroup" --exec-opt native.cgroupdriver=cgroupfs \
    --add-runtime bounded=/usr/local/bin/runc-bounded --default-runtime "$runtime"
}
export -f engine
export root cgroup runtime
setpriv --pdeathsig KILL unshare --mount --net --pid --ipc --uts --fork --kill-child bash -euc engine &
engine=$!
own=$(readlink /proc/self/ns/net)
while [ "$(readlink "/proc/$engine/ns/net")" = "$own" ]; do sleep 0.02; done
mount --bind "/proc/$engine/ns/net" "$root/run/netns"
setpriv --pdeathsig KILL chroot "$root" slirp4netns --configure --mtu 65520 --disable-host-loopback \
  --api-socket /run/host/slirp.sock --netns-type path /run/netns tap0 > /dev/null &

# The engine is the only child of `unshare`, which does not pass signals on.
trap 'kill -TERM $(< "/proc/$engine/task/$engine/children")' TERM
while [ -d "/proc/$engine" ]; do wait "$engine" || true; done
