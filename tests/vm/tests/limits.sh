#!/usr/bin/env bash
# shows: a memory hog and a fork bomb of one desktop are stopped at its limits, and the other goes on
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# What alice's app may use, and what it does when a file appears: a program that takes memory without end, and
# one that forks without end.
MEMORY=$((256 << 20)) TASKS=100
cat >"$scratch/app" <<'APP'
#!/bin/sh
foot &
cd "$(dirname "$0")"
until [ -e hog ]; do sleep 0.2; done
python3 -c 'held = []
while True: held.append(b"x" * (1 << 20))'
echo "$?" >ended/hog
until [ -e bomb ]; do sleep 0.2; done
exec python3 -c 'import os, time
while True:
    try: os.fork()
    except OSError: time.sleep(0.05)'
APP
chmod 755 "$scratch/app"
install -d -m 777 "$scratch/ended"

alices_unit=/sys/fs/cgroup/system.slice/lumen-alice.service
bobs_unit=/sys/fs/cgroup/system.slice/lumen-bob.service

# in_unit UNIT ARGUMENT...: starts a desktop in a unit of its own, whose group it may divide.
in_unit() {
    systemd-run --quiet --unit="$1" --property=Delegate=yes \
        lumen run --size 320x240 --listen 127.0.0.1:0 "${@:2}"
}

# delegated USER COMMAND...: what it prints in a unit whose group it may divide.
delegated() {
    systemd-run --quiet --unit=lumen-once --uid="$1" --service-type=oneshot --property=Delegate=yes \
        --property=StandardOutput="truncate:$scratch/once" "${@:2}"
    cat "$scratch/once"
}

# value FILE KEY: of a file that has a key and a number a line.
value() { awk -v key="$2" '$1 == key { print $2 }' "$1"; }

# shellcheck disable=SC2329 # called by wait_until
reached() { [ "$(value "$@")" -gt 0 ]; }
# shellcheck disable=SC2329
is_ready() { [ "$(as root lumen status --name "$1" | grep --count ' ready ')" = "$2" ]; }

# The session's processes, one number a line.
processes() { sort "$1"/lumen-0-*/{workers,guests}/cgroup.procs; }

refused() {
    local said
    said=$(as root lumen run --listen 127.0.0.1:0 "$@" -- true 2>&1) && fail "it started with $*"
    grep --quiet 'cannot limit what apps use: systemd has not delegated' <<<"$said" || fail "$said"
    say "without delegation no desktop starts with $*"
}

check_without_delegation() {
    local own before
    own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
    before=$(cat "$own/cgroup.subtree_control" /proc/self/cgroup)
    refused --app-memory 50%
    refused --app-tasks 100
    expect 'what doctor says' \
        "$(lumen doctor | grep --count 'control groups .*, but an app may use all')" 1
    expect "the test's group" "$(cat "$own/cgroup.subtree_control" /proc/self/cgroup)" "$before"
    # Delegated, but somebody else is there, too.
    expect 'what doctor says in a group with others' \
        "$(delegated root sh -c 'lumen doctor; cat /proc/self/cgroup' |
            grep --count --extended-regexp 'Lumen is not alone|^0::/system.slice/lumen-once.service$')" 2
    expect "what doctor says in an ordinary user's unit" "$(delegated alice lumen doctor |
        grep --count 'ok *control groups *one for each session, in [^ ]*$')" 1
}

check_hog() {
    : >"$scratch/hog"
    wait_until 'the kernel has ended the hog' reached "$guests/memory.events" oom_kill
    wait_until 'the app goes on' test -s "$scratch/ended/hog"
    expect "the hog's end" "$(<"$scratch/ended/hog")" 137
    wait_until 'the log says so' prints 'the kernel ended programs' journalctl --unit=lumen-alice
    expect 'what status says' \
        "$(as root lumen status --name alice | grep --count '^session .*; 1 program ended for memory$')" 1
    kill -0 "$foot" || fail 'foot was ended, too'
    expect "alice's workers" "$(<"$workers/cgroup.procs")" "$alices_workers"
    expect "bob's processes" "$(processes "$bobs_unit")" "$bobs_processes"
}

check_bomb() {
    : >"$scratch/bomb"
    wait_until 'the bomb has been stopped' reached "$guests/pids.events" max
    expect 'processes and threads of the app' "$(<"$guests/pids.current")" "$TASKS"
    wait_until 'the log says so' prints 'programs of this desktop could not be started' journalctl --unit=lumen-alice
    as root lumen status --name alice >"$scratch/status"
    grep -q -E '^session .*; [0-9]+ starts? failed for --app-tasks$' "$scratch/status" || fail "$(<"$scratch/status")"
    # Both desktops serve meanwhile; a successor of a worker is started as ever.
    lumen_user=root
    expect "alice's workers" "$(<"$workers/cgroup.procs")" "$alices_workers"
    expect "bob's processes" "$(processes "$bobs_unit")" "$bobs_processes"
    kill_worker media
    say "bob's media has a successor beside the bomb"
    [ "$(<"$guests/pids.current")" -le "$TASKS" ] || fail 'the limit did not hold'
}

check_without_delegation
in_unit lumen-bob -- foot
wait_until "bob's desktop is ready" is_ready default 7
in_unit lumen-alice --name alice --user alice --relay off \
    --app-memory $MEMORY --app-tasks $TASKS -- "$scratch/app"
wait_until "alice's desktop is ready" is_ready alice 6
guests=$(echo "$alices_unit"/lumen-0-alice-??????/guests)
workers=${guests%/guests}/workers
expect 'the limits' "$(cat "$guests"/{memory.max,pids.max})" "$MEMORY
$TASKS"
expect 'the limits of workers' "$(cat "$workers"/{memory.max,pids.max} | uniq)" max
expect "the supervisor's group" \
    "$(sed 's/......$//' "/proc/$(systemctl show --property=MainPID --value lumen-alice)/cgroup")" \
    '0::/system.slice/lumen-alice.service/lumen-0-supervisor-'
wait_until 'foot runs' pgrep --exact foot --uid alice >/dev/null
foot=$(pgrep --exact foot --uid alice)
alices_workers=$(<"$workers/cgroup.procs")
bobs_processes=$(processes "$bobs_unit")
check_hog
check_bomb

as root lumen stop --name alice
wait_until "alice's unit has ended" eval '! systemctl --quiet is-active lumen-alice'
expect "alice's processes" "$(pgrep --uid alice || true)" ''
lumen_user=root lumen_pid=$$
as root lumen stop
wait_until "bob's unit has ended" eval '! systemctl --quiet is-active lumen-bob'
expect 'units that failed' "$(systemctl list-units --failed --no-legend 'lumen-[ab]*' | wc -l)" 0
expect 'groups that could not be removed' \
    "$(journalctl --unit=lumen-alice --unit=lumen-bob | grep --count 'left behind')" 0
