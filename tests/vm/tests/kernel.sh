#!/usr/bin/env bash
# shows: what the other tests need: systemd, cgroup v2, Landlock, uinput, vgem, netem
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

expect 'process 1' "$(cat /proc/1/comm)" systemd
expect '/sys/fs/cgroup' "$(stat --file-system --format=%T /sys/fs/cgroup)" cgroup2fs
for controller in cpu io memory pids; do
    grep -qw "$controller" /sys/fs/cgroup/cgroup.controllers || fail "no cgroup controller $controller"
done
expect "this unit's limit on memory" \
    "$(cat "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.max")" $((1 << 30))

grep -qw landlock /sys/kernel/security/lsm || fail 'Landlock is not among the security modules'
# landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)
abi=$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')
[ "$abi" -ge 2 ] || fail "Landlock's ABI is $abi"
say "Landlock ABI: $abi"

modprobe uinput
udevadm wait --timeout="$PATIENCE" /dev/uinput
expect 'mode and owner of /dev/uinput' "$(stat --format='%a %U' /dev/uinput)" '600 root'
modprobe vgem
udevadm wait --timeout="$PATIENCE" /dev/dri/card0
expect 'device of /dev/dri/card0' "$(basename "$(readlink /sys/class/drm/card0/device)")" vgem

# In a network of its own, with 20 ms of delay in each direction.
fastest=$(unshare --net sh -euc '
    ip link set lo up
    tc qdisc add dev lo root netem delay 20ms
    ping -q -c 3 -i 0.2 127.0.0.1 | sed -nE "s@^rtt [^=]*= ([0-9]+).*@\1@p"
')
[ "$fastest" -ge 40 ] || fail "a round trip takes $fastest ms under 20 ms of delay each way"
say "a round trip under netem: $fastest ms"
