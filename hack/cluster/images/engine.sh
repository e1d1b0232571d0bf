# A Docker engine, and what gives its own network a way out.
apt-get -q update
apt-get -qy install ca-certificates docker.io iproute2 iptables jq slirp4netns
# The kind node brings the host's kernel modules in from here; a host may have none.
mkdir -p /lib/modules /var/lib/docker
