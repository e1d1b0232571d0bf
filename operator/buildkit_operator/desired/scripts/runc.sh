#!/bin/sh
# runc.sh ARGUMENTS: runc where build steps have no process namespace of their own; it ends what a step leaves running.
# With such a namespace the kernel does (pid_namespaces(7)), with a cgroup runc does; a rootless daemon in a pod has
# neither. Left-overs would keep their ports and show their environment to other steps as long as the daemon lives, and
# if they keep the step's output open, the step would never end.
# BuildKit asks for `--log FILE --log-format json run --bundle FOLDER …` and, when the step has ended, for `delete STEP`.

# end_all_on DEVICE [RUNC]: kills the processes of a step: those whose root is on the device of the step's, a file system
# of its own. They may fork meanwhile, so this looks again until there are none. Of those that have ended and those that
# are not in the daemon's user namespace, no root can be seen.
# RUNC is spared, the process that runs the step and tells how it ended: it mounts for the step in a thread that has the
# step's root (goCreateMountSources in libcontainer/process_linux.go), and now and then Go takes its first thread for it.
end_all_on() {
  looks=0
  while [ "$looks" -lt 100 ]; do
    left=$(stat -L -c '%d %n' /proc/[0-9]*/root 2>/dev/null |
      sed -n "s,^$1 /proc/\([0-9]*\)/root$,\1,p" | grep -vx "${2:-none}")
    [ -n "$left" ] || return
    # shellcheck disable=SC2086  # several numbers
    kill -KILL $left 2>/dev/null
    looks=$((looks + 1))
    [ "$looks" -lt 3 ] || sleep 0.01
  done
}

# Prints the device of a step's root; nothing where a snapshotter copies, and the root is no file system of its own.
device_of() {
  device=$(stat -c %d "$1/rootfs" 2>/dev/null)
  [ "$device" = "$(stat -c %d "$1" 2>/dev/null)" ] || echo "$device"
}

# Waits for the end of a step's first process, or of runc, which ends with the daemon: then the step is over.
watch() {
  until [ -s "$1/pid" ]; do
    kill -0 "$2" 2>/dev/null || return
    sleep 0.1
  done
  read -r first <"$1/pid"
  while kill -0 "$first" 2>/dev/null && kill -0 "$2" 2>/dev/null; do sleep 0.2; done
  end_all_on "$3" "$2"
}

case ${5-} in
  run)
    step=$7
    device=$(device_of "$step")
    if [ -n "$device" ]; then
      watch "$step" "$$" "$device" </dev/null >/dev/null 2>&1 &
      log=$2
      shift 5
      set -- --log "$log" --log-format json run --pid-file "$step/pid" "$@"
    fi
    ;;
  delete)
    device=$(device_of "${2%/*}/$6")
    [ -z "$device" ] || end_all_on "$device"
    ;;
esac
command -v buildkit-runc >/dev/null || exec runc "$@"
exec buildkit-runc "$@"
