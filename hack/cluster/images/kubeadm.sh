# The trees of the images that kubeadm asks for, each in a folder of its own under /images.
mkdir -p /images/kube/usr/local/bin /images/coredns /images/pause
mkdir -m 1777 /images/kube/tmp
cp /usr/bin/kube /images/kube/usr/local/bin/kube
for name in etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler; do
  ln -s kube "/images/kube/usr/local/bin/$name"
done
# kube-proxy in nftables mode runs nft and nothing else.
# Without the names of protocols nft lists `6` for what kube-proxy calls tcp; at the next full sync, an hour later,
# kube-proxy then takes every Service's rule for a leftover and deletes it.
install -D /etc/protocols /images/kube/etc/protocols
for file in /usr/sbin/nft $(ldd /usr/sbin/nft | grep -o '/[^ ]*'); do install -D "$file" "/images/kube$file"; done
install /input/coredns/coredns /images/coredns/coredns
install /input/pause/pause /images/pause/pause
