# A Docker engine as a container: its options are the container's arguments, as in the image that Docker publishes, but
# without a TCP port.
cat > /usr/local/bin/dockerd-entrypoint.sh <<'SH'
#!/bin/sh
set -e
if [ "${1#-}" != "$1" ] || [ $# -eq 0 ]; then set -- dockerd --host=unix:///var/run/docker.sock "$@"; fi
if [ "$1" = dockerd ]; then set -- docker-init -- "$@"; fi
exec "$@"
SH
chmod 0755 /usr/local/bin/dockerd-entrypoint.sh
