# haproxy.sh: read by connect.sh and front.sh, for `follow CONFIG CERTIFICATES`: keeps HAProxy running. When the kubelet has
# brought a new configuration or certificate, HAProxy is told to take it; connections that are open stay with the process
# that has the old one. Who reads this has the functions `started PID` and `ended`.
# shellcheck shell=sh

# How the kubelet names what it has mounted: it puts new files into a new directory.
versions() { readlink "${config%/*}/..data" "$certificates/..data"; }

check() { haproxy -c -q -f "$config"; }

start() {
  taken=$(versions)
  haproxy -W -db -f "$config" &
  haproxy=$!
  started "$haproxy"
}

# In the background, as a signal is not looked at before a command in the foreground has ended.
pause() {
  sleep "$1" &
  wait "$!"
}

follow() {
  config=$1
  certificates=$2
  start
  while :; do
    pause 3
    if ! kill -0 "$haproxy" 2>/dev/null; then
      ended
      start
      continue
    fi
    seen=$(versions)
    [ "$seen" != "$taken" ] || continue
    if check; then
      echo "${0##*/}: the configuration or the certificate is new; HAProxy takes it." >&2
      kill -USR2 "$haproxy"
      taken=$seen
    else
      echo "${0##*/}: HAProxy does not take the new configuration or certificate, and keeps the old one." >&2
      pause 10
    fi
  done
}
