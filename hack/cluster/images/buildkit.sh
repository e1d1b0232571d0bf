# BuildKit's rootless image: user 1000, rootlesskit, git; the same paths as in the image that BuildKit publishes.
apt-get -q update
apt-get -qy install ca-certificates git libcap2-bin openssh-client openssl pigz uidmap xz-utils
useradd --uid 1000 --user-group --home-dir /home/user --create-home --shell /bin/sh user
mkdir -p /run/user/1000 /home/user/.local/tmp /home/user/.local/share/buildkit
chown -R 1000:1000 /home/user /run/user/1000
echo user:100000:65536 | tee /etc/subuid > /etc/subgid
# In a container only file capabilities give newuidmap its right; as a setuid program it fails.
for pair in newuidmap:cap_setuid newgidmap:cap_setgid; do
  chmod u-s "/usr/bin/${pair%:*}"
  setcap "${pair#*:}+ep" "/usr/bin/${pair%:*}"
done
install -t /usr/bin /input/buildkit/buildkitd /input/buildkit/buildctl /input/rootlesskit/rootlesskit
install /input/runc/runc /usr/bin/buildkit-runc
