#!/bin/bash
# Runs a script in a root tree and keeps what it changed: layer.sh LOWER[:LOWER…] UPPER SCRIPT [NAME=FOLDER…]
# The tree is an overlay, so UPPER holds the difference only. Each FOLDER is readable at /input/NAME.
# Run by hack/cluster/layers.py inside mount and process namespaces of its own: every mount ends with it.
set -eu
lower=$1 upper=$2 script=$3
shift 3
work=$(mktemp -d "$upper.work.XXXXXX")
tree=$work/tree
mkdir -p "$upper" "$work/overlay" "$tree"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work/overlay" "$tree"
for dir in dev proc sys run tmp etc; do mkdir -p "$tree/$dir"; done
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --rbind --make-rslave /sys "$tree/sys"
mount -t tmpfs tmpfs "$tree/tmp"
chmod 1777 "$tree/tmp"
# The host's resolver while the script runs, not in the layer. The script may not start services either.
touch "$tree/etc/resolv.conf"
mount --bind /etc/resolv.conf "$tree/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' > "$tree/tmp/policy-rc.d"
chmod +x "$tree/tmp/policy-rc.d"
ln -s /tmp/policy-rc.d "$tree/usr/sbin/policy-rc.d"
for input in "$@"; do
  mkdir -p "$tree/tmp/input/${input%%=*}"
  mount --bind -o ro "${input#*=}" "$tree/tmp/input/${input%%=*}"
done
ln -s tmp/input "$tree/input"
cat > "$tree/tmp/apt.conf" <<'APT'
APT::Install-Recommends "false";
DPkg::Options {"--path-exclude=/usr/share/doc/*"; "--path-exclude=/usr/share/man/*"; "--path-exclude=/usr/share/locale/*";};
APT
export APT_CONFIG=/tmp/apt.conf DEBIAN_FRONTEND=noninteractive LC_ALL=C HOME=/root
chroot "$tree" /bin/sh -euc "$script"
# What is fetched again or differs from machine to machine is no part of a layer.
rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/* "$tree"/var/cache/ldconfig/* "$tree"/var/log/*.log "$tree"/var/log/apt
rm -f "$tree/usr/sbin/policy-rc.d" "$tree/input"
umount -l "$tree/etc/resolv.conf"
umount -l "$tree/tmp" "$tree/sys" "$tree/dev" "$tree/proc"
umount "$tree"
rm -rf "$work"
