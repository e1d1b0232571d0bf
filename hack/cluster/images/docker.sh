# Docker's client and buildx: the same paths and the same entry point as in the image that Docker publishes.
apt-get -q update
apt-get -qy install ca-certificates
install -t /usr/local/bin /input/docker/docker
install -D /input/buildx/buildx /usr/local/libexec/docker/cli-plugins/docker-buildx
cat > /usr/local/bin/docker-entrypoint.sh <<'SH'
#!/bin/sh
# Options and what docker calls a command are for docker, anything else is a program. Without a socket, a job's engine
# is taken to be a service of the name `docker`, as CI systems have it.
set -e
if [ "${1#-}" != "$1" ] || docker help "$1" > /dev/null 2>&1; then set -- docker "$@"; fi
if [ -z "$DOCKER_HOST" ] && [ ! -S /var/run/docker.sock ]; then export DOCKER_HOST=tcp://docker:2375; fi
exec "$@"
SH
chmod 0755 /usr/local/bin/docker-entrypoint.sh
