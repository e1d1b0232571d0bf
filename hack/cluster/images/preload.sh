# Puts images into the node's containerd, as `kind build node-image` does: those of kubeadm, which the kubelet must
# never remove, and those that everybody here will need next.
cat > /tmp/containerd.toml <<'TOML'
version = 3
root = "/var/lib/containerd"
state = "/tmp/preload"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = "/tmp/preload.sock"
[ttrpc]
address = "/tmp/preload.sock.ttrpc"
TOML
containerd -c /tmp/containerd.toml &
daemon=$!
tries=100
until ctr -a /tmp/preload.sock version > /dev/null 2>&1; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { echo "containerd did not answer within 10 seconds"; exit 1; }
  sleep 0.1
done
import() { ctr -a /tmp/preload.sock -n k8s.io images import --no-unpack --digests "$@"; }
import --label=io.cri-containerd.pinned=pinned /input/kubeadm/images.tar
import /input/published/images.tar
kill "$daemon"
wait "$daemon" || true
