#!/bin/sh
# ids.sh ROOT ETC PROC: says what is wrong, and fails, where ETC/subuid or ETC/subgid give ids to builds that are not the
# pod's by the maps in PROC, or others than the cache in ROOT was written with. Else it notes in ROOT which they are.
# The owners of cached files are ids of the pod. Which user of a build one of them is goes by the order of the ranges in
# /etc/subuid; by another order, files would be somebody else's, and most of them nobody's, without a word.
# It is in every job's way, so it starts hardly a program.
set -u

root=$1
etc=$2
proc=$3

# Tells whether the first ranges begin the second: further ones, and a longer last one, leave the ids before them alone.
begin() {
  longer=
  while read -r first count; do
    [ -n "$first" ] || return 0
    [ -z "$longer" ] && read -r first_now count_now <&3 && [ "$first" = "$first_now" ] || return 1
    [ "$count" -le "$count_now" ] || return 1
    [ "$count" -eq "$count_now" ] || longer=1
  done <<BEFORE 3<<NOW
$1
BEFORE
$2
NOW
}

as_list() { echo "$1" | tr '\n' ',' | sed 's/,$//; s/,/, /g'; }

name=$(id -un 2>/dev/null)
uid=$(id -u)
for kind in uid gid; do
  file=$etc/sub$kind
  # rootlesskit says so.
  [ -e "$file" ] || file=/dev/null
  # The ranges, `first count` each: rootlesskit takes all that are the user's, by name or number, as they come.
  now=
  last=0
  while IFS=: read -r user first count; do
    [ "$user" = "$name" ] || [ "$user" = "$uid" ] || continue
    [ -n "$count" ] || continue
    now="$now${now:+
}$first $count"
    [ $((first + count - 1)) -le "$last" ] || last=$((first + count - 1))
  done <"$file"
  has=0
  while read -r first _ count; do
    [ $((first + count - 1)) -le "$has" ] || has=$((first + count - 1))
  done <"$proc/${kind}_map"
  if [ "$last" -gt "$has" ]; then
    echo "ids.sh: builds are to have ids of the pod up to $last, which has none above $has." >&2
    exit 1
  fi
  noted=$root/sub$kind
  if [ -s "$noted" ]; then
    before=$(cat "$noted")
    if ! begin "$before" "$now"; then
      echo "ids.sh: the cache was written with other ids behind those of builds ($(as_list "$before")), than the" \
        "daemon has now ($(as_list "$now"))." >&2
      exit 1
    fi
    [ "$now" != "$before" ] || continue
  fi
  echo "$now" >"$noted"
done
