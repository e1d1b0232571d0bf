# The trees of the images that kubeadm asks for, each in a folder of its own under /images.
mkdir -p /images/kube/usr/local/bin /images/coredns /images/pause
mkdir -m 1777 /images/kube/tmp
cp /usr/bin/kube /images/kube/usr/local/bin/kube
for name in etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler; do
  ln -s kube "/images/kube/usr/local/bin/$name"
done
# kube-proxy in nftables mode runs nft and nothing else.
for file in /usr/sbin/nft $(ldd /usr/sbin/nft | grep -o '/[^ ]*'); do install -D "$file" "/images/kube$file"; done
install /input/coredns/coredns /images/coredns/coredns
install /input/pause/pause /images/pause/pause
