#!/bin/sh
# mend.sh clear ROOT: deletes what was moved aside.
# mend.sh before ROOT: does that too, keeps some of the volume apart, and gives it to a daemon that begins on a full one:
# without any room it can neither start nor collect garbage.
# mend.sh after ROOT LOG TOLD: looks at the log of a daemon that ended before it came up. Where its databases are broken,
# as a node's crash leaves them, the root is moved aside: BuildKit mends cache.db and history.db alone, and dies of the
# others for ever. Writes why the daemon ended into TOLD, the container's termination log; the last lines, which the
# kubelet takes else, are a stack trace.
set -u

root=$2
volume=${root%/*}
reserve=$volume/reserve
broken=$volume/${root##*/}.broken

# In KiB. As much as a database of a large cache grows by until garbage has been collected.
kept=65536

free() { df -Pk "$volume" | awk 'END { print $4 }'; }

# Files of a build's users are not the daemon's: only in its user namespace may it delete them.
clear() {
  [ ! -d "$broken" ] || rootlesskit rm -rf "$broken" &
}

before() {
  clear
  if [ -e "$reserve" ]; then
    [ "$(free)" -ge $((kept / 2)) ] || {
      rm -f "$reserve"
      echo "mend.sh: the volume is full; the daemon gets what was kept for this" >&2
    }
  elif [ "$(free)" -ge $((kept * 8)) ]; then
    head -c $((kept * 1024)) /dev/zero >"$reserve.new" && mv "$reserve.new" "$reserve"
  fi
}

after() {
  log=$1
  cause=$(grep -E -m 1 '^(panic: |fatal error: |buildkitd: )|no space left on device' "$log") || return 0
  if ! grep -qE 'no space left on device|cannot allocate memory' "$log" &&
    grep -qE 'invalid database|go\.etcd\.io/bbolt' "$log"; then
    if [ -d "$broken" ]; then rootlesskit rm -rf "$broken"; fi
    mv "$root" "$broken" && cause="mend.sh: the cache is broken and was moved aside: $cause"
  fi
  echo "$cause" | tee "$2" >&2
}

case $1 in
  clear) clear ;;
  before) before ;;
  after) after "$3" "$4" ;;
esac
