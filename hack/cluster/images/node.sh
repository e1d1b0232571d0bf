# A kind node's root tree, as kind's images/base/Dockerfile makes it: systemd, network tools, kind's own files.
apt-get -q update
apt-get -qy install ca-certificates conntrack ethtool iproute2 iptables jq kmod libseccomp2 nftables procps systemd

files=/input/files
for folder in usr/local/bin kind/bin; do install -D -m 0755 -t "/$folder" "$files/$folder"/*; done
(cd "$files/etc" && find . -type f) | while read -r file; do install -D -m 0644 "$files/etc/$file" "/etc/$file"; done

# In a container there is no hardware, no login and no other unit to start than kind's.
rm -f /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
  /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/multi-user.target.wants/* \
  /etc/systemd/system/*.wants/* /lib/systemd/system/local-fs.target.wants/* \
  /lib/systemd/system/basic.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
  /lib/systemd/system/sockets.target.wants/*initctl*
echo ReadKMsg=no >> /etc/systemd/journald.conf
ln -sf /usr/lib/systemd/systemd /sbin/init
# fs.protected_* and the like belong to the whole machine: a node that sets them sets the host's.
rm -f /usr/lib/sysctl.d/*.conf
systemctl -q enable kubelet.service containerd.service undo-mount-hacks.service
systemctl -q mask systemd-binfmt.service
mkdir -p /etc/kubernetes/manifests /kind/manifests /opt/cni/bin /etc/cni/net.d /LICENSES

install -t /usr/local/bin /input/containerd/containerd /input/containerd/containerd-shim-runc-v2 \
  /input/containerd/ctr /input/crictl/crictl
install -D -t /usr/local/sbin /input/runc/runc
install -t /opt/cni/bin /input/cni/bridge /input/cni/host-local /input/cni/loopback /input/cni/portmap
install -t /usr/bin /input/kube/kube
for name in kubelet kubeadm kubectl; do ln -s kube "/usr/bin/$name"; done
# As kind's nodeimage builder writes it: pods see the host's product files masked, and no limits of their own.
ctr oci spec | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
  > /etc/containerd/cri-base.json
printf %s "v$(/usr/bin/kubelet --version | sed 's/.* v//')" > /kind/version

# One node, so a bridge is a network; kindnetd is an image of its own. kind.yaml has the same subnet.
cat > /etc/cni/net.d/10-bridge.conflist <<'JSON'
{"cniVersion": "1.0.0", "name": "bridge", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
# The controller manager's own host-path provisioner; local-path-provisioner is an image of its own. It makes a folder
# that only root may write to, on what is a tmpfs in a kind node: kind.py mounts /var/volumes there, for the manager,
# and these units do so for the node and open each new folder.
cat > /etc/systemd/system/tmp-hostpath_pv.mount <<'UNIT'
[Unit]
Description=Volumes on the node's disk
[Mount]
What=/var/volumes
Where=/tmp/hostpath_pv
Type=none
Options=bind
[Install]
WantedBy=multi-user.target
UNIT
cat > /etc/systemd/system/open-volumes.path <<'UNIT'
[Unit]
Description=New volumes
[Path]
PathModified=/var/volumes
[Install]
WantedBy=multi-user.target
UNIT
cat > /etc/systemd/system/open-volumes.service <<'UNIT'
[Unit]
Description=Let pods of any user write to volumes
[Service]
Type=oneshot
ExecStart=/usr/bin/find /var/volumes -mindepth 1 -maxdepth 1 -type d ! -perm 0777 -exec chmod 0777 {} +
UNIT
mkdir -p /var/volumes
systemctl -q enable tmp-hostpath_pv.mount open-volumes.path
cat > /kind/manifests/default-storage.yaml <<'YAML'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations:
    storageclass.kubernetes.io/is-default-class: "true"
    kubernetes.io/description: Folders on the node. A claim cannot be resized, and its size limits nothing.
provisioner: kubernetes.io/host-path
allowVolumeExpansion: false
YAML
