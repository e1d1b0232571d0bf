# Debian's docker-registry behind the published image's command line: a configuration file, or the program's own verbs.
apt-get -q update
apt-get -qy install ca-certificates docker-registry
ln -s /usr/bin/docker-registry /bin/registry
cat > /entrypoint.sh <<'SH'
#!/bin/sh
set -e
case "$1" in
  *.yaml|*.yml) set -- registry serve "$@" ;;
  serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac
exec "$@"
SH
chmod 0755 /entrypoint.sh
cat > /etc/docker/registry/config.yml <<'YAML'
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
YAML
mkdir -p /var/lib/registry
