# Debian's HAProxy under the published image's name and paths; of a release that has what the connector needs.
apt-get -q update
apt-get -qy install ca-certificates haproxy
case $(haproxy -v) in
  *" version 3.0."*) ;;
  *)
    echo "This Debian has another HAProxy: $(haproxy -v)"
    exit 1
    ;;
esac
ln -s /usr/sbin/haproxy /usr/local/sbin/haproxy
cat > /usr/local/bin/docker-entrypoint.sh <<'SH'
#!/bin/sh
# Options are for haproxy, anything else is a program.
set -e
if [ "${1#-}" != "$1" ]; then set -- haproxy "$@"; fi
if [ "$1" = haproxy ]; then
  shift
  set -- haproxy -W -db "$@"
fi
exec "$@"
SH
chmod 0755 /usr/local/bin/docker-entrypoint.sh
mkdir -p /usr/local/etc/haproxy
