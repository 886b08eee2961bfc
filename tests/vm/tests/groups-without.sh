#!/usr/bin/env bash
# shows: a session that can have no control group says so once, and all else is as before
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# check_without WHY: it is said once, and all else is as before.
check_without() {
    wait_until 'the app has left a process' runs 'sleep 1004'
    expect "how often the log says: $1" "$(grep --count "no control group of its own ($1" "$lumen_log")" 1
    prints 'no control group of its own' as "$lumen_user" lumen status || fail 'the status does not say so'
    expect 'groups of the session' "$(find /sys/fs/cgroup -name 'lumen-*-default-*' | wc -l)" 0
    stop_lumen
    wait_until 'what the app left has ended' eval '! pgrep --full "^sleep 1004"'
}

# An ordinary user, in a group that is root's.
start_lumen alice -- sh -c "$(leaving 1004)"
check_without '.*/lumen-test@groups-without.service is not delegated to this user'

# Root in a container, to which the tree of groups is shown and not given.
# shellcheck disable=SC2016 # expanded by that shell
lumen_inside=(unshare --mount --cgroup sh -c 'umount --lazy /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup &&
    mount -o remount,bind,ro /sys/fs/cgroup && exec "$@"' sh)
start_lumen root --user alice -- sh -c "$(leaving 1004)"
check_without '/sys/fs/cgroup: Read-only file system'

# Root where there is no such tree.
# shellcheck disable=SC2016
lumen_inside=(unshare --mount sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"' sh)
start_lumen root --user alice -- sh -c "$(leaving 1004)"
check_without 'there is no cgroup v2'
