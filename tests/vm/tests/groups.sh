#!/usr/bin/env bash
# shows: a control group per session, ended whole, also what a killed supervisor left; no other session notices
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# The group of this test's own processes, below which root's desktops make theirs.
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)

# The supervisor's process, which is a child of `lumen_pid`; that of another name if options say so.
supervisor() { as "$lumen_user" lumen status "$@" | sed -n 's/^session .* supervisor pid \([0-9]*\):.*/\1/p'; }

is_in() { grep --quiet --line-regexp "$2" "$1/cgroup.procs"; }
is_gone() { ! kill -0 "$1" 2>/dev/null; }

# group_of PARENT NAME: the group of the only session with that name below PARENT.
group_of() {
    local found
    found=$(find "$1" -maxdepth 1 -name "lumen-$2-??????")
    [[ $found == */lumen-* && $found != *$'\n'* ]] || fail "groups called $2 below $1: '$found'"
    echo "$found"
}

# check_members GROUP DAEMON: each process is where it belongs.
check_members() {
    local worker pid guest supervisor
    supervisor=$(supervisor)
    while read -r worker pid _; do
        case $worker in
        compositor | media | sound | rtc | gamepad)
            is_in "$1/workers" "$pid" || fail "$worker $pid is not in $1/workers" ;;
        *) ! is_in "$1/workers" "$pid" || fail "$worker $pid is in $1/workers" ;;
        esac
    done < <(lumen_workers)
    for guest in foot lumen-clipboard; do
        pid=$(pgrep --parent "$supervisor" --full "^(/.*/)?$guest\$") || fail "there is no $guest"
        is_in "$1/guests" "$pid" || fail "$guest is not in $1/guests"
    done
    is_in "$1/guests" "$2" || fail "what the app left is not in $1/guests"
    expect 'processes that belong to neither' "$(wc -l <"$1/cgroup.procs")" 0
    say "workers, app, clipboard and what the app started are in ${1##*/}"
}

# What the test's own group looked like: nothing but the sessions' groups is made in it, nothing is written.
outside() {
    find "$own" -mindepth 1 -maxdepth 1 -type d ! -name 'lumen-datagrams-*' ! -name 'lumen-[0-9]*' -printf '%f\n'
    cat "$own/cgroup.subtree_control" "$own/cgroup.type" "$own/memory.max" "$own/pids.max"
    grep --line-regexp --fixed-strings "$$" "$own/cgroup.procs"
}

# Another session, which is to notice nothing.
start_other() {
    as root lumen run --name other --size 320x240 --listen 127.0.0.1:0 -- \
        sh -c "$(leaving 2001)" >"$scratch/other.log" 2>&1 &
    other_pid=$!
    await_line "$scratch/other.log" '^Lumen is ready' "$other_pid"
    wait_until 'the other app has left a process' runs 'sleep 2001'
    other_group=$(group_of "$own" 0-other)
    other_processes=$(sort "$other_group"/*/cgroup.procs)
}

check_other() {
    expect 'processes of the other session' "$(sort "$other_group"/*/cgroup.procs | tr '\n' ' ')" \
        "$(tr '\n' ' ' <<<"$other_processes")"
}

# All processes end with the session: also one that is no descendant of the supervisor.
check_end() {
    local group daemon stranger
    start_lumen root --user alice -- sh -c "$(leaving 1001)"
    wait_until 'the app has left a process' runs 'sleep 1001'
    daemon=$(pgrep --full '^sleep 1001')
    group=$(group_of "$own" 0-default)
    check_members "$group" "$daemon"
    # A successor enters the group as the first did.
    kill_worker rtc
    check_members "$group" "$daemon"
    expect 'what is outside of the groups' "$(outside)" "$outside_before"
    expect "the supervisor's group" "$(</proc/"$(supervisor)"/cgroup)" "$(</proc/self/cgroup)"
    setsid sleep 1000 &
    stranger=$!
    echo "$stranger" >"$group/guests/cgroup.procs"
    stop_lumen
    wait_until 'the stranger is gone' is_gone "$stranger"
    is_gone "$daemon" || fail 'what the app left is still there'
    [ ! -e "$group" ] || fail "$group is left"
    [ ! -e /run/lumen/default.cgroup ] || fail 'the record of the group is left'
    check_other
    say 'nothing is left of the session'
}

# What was left by a supervisor that was killed ends before the next session of that name starts, wherever
# that starts.
check_killed_supervisor() {
    local daemon group
    start_lumen root --user alice -- sh -c "$(leaving 1002)"
    wait_until 'the app has left a process' runs 'sleep 1002'
    daemon=$(pgrep --full '^sleep 1002')
    group=$(group_of "$own" 0-default)
    kill -KILL "$(supervisor)"
    wait "$lumen_pid" || true
    is_in "$group/guests" "$daemon" || fail 'the daemon ended by itself'
    lumen_user=root
    systemd-run --quiet --unit=lumen-elsewhere --service-type=exec lumen run --size 320x240 \
        --listen 127.0.0.1:0 --user alice -- sh -c "$(leaving 1003)"
    wait_until 'all workers are ready' all_ready
    is_gone "$daemon" || fail 'what the killed session left is still there'
    [ ! -e "$group" ] || fail "$group is left"
    wait_until 'the app has left a process' runs 'sleep 1003'
    group=$(group_of /sys/fs/cgroup/system.slice/lumen-elsewhere.service 0-default)
    check_members "$group" "$(pgrep --full '^sleep 1003')"
    as root lumen stop
    wait_until 'the unit has ended' eval '! systemctl --quiet is-active lumen-elsewhere'
    check_other
    say 'what a killed session left has ended'
}

# So does what was left under another name, and nothing of a living session.
check_killed_supervisor_of_another_name() {
    local daemon group third
    lumen_user=root
    as root lumen run --name third --size 320x240 --listen 127.0.0.1:0 -- \
        sh -c "$(leaving 1004)" >"$scratch/third.log" 2>&1 &
    third=$!
    await_line "$scratch/third.log" '^Lumen is ready' "$third"
    wait_until 'the third app has left a process' runs 'sleep 1004'
    daemon=$(pgrep --full '^sleep 1004')
    group=$(group_of "$own" 0-third)
    kill -KILL "$(supervisor --name third)"
    wait "$third" || true
    is_in "$group/guests" "$daemon" || fail 'the daemon ended by itself'
    start_lumen root --user alice -- foot
    is_gone "$daemon" || fail 'what the killed session left is still there'
    [ ! -e "$group" ] || fail "$group is left"
    stop_lumen
    check_other
    say 'what a killed session of another name left has ended'
}

# An ordinary user, in a unit whose group is delegated.
check_ordinary_user() {
    local group
    lumen_user=alice
    systemd-run --quiet --unit=lumen-delegated --uid=alice --property=Delegate=yes \
        --setenv=HOME=/home/alice \
        lumen run --size 320x240 --listen 127.0.0.1:0 -- sh -c "$(leaving 1005)"
    wait_until 'all workers are ready' all_ready
    wait_until 'the app has left a process' runs 'sleep 1005'
    group=$(group_of /sys/fs/cgroup/system.slice/lumen-delegated.service 1000-default)
    check_members "$group" "$(pgrep --full '^sleep 1005')"
    as alice lumen stop
    wait_until 'the unit has ended' eval '! systemctl --quiet is-active lumen-delegated'
}

outside_before=$(outside)
start_other
expect 'what doctor says' "$(lumen doctor | grep --count 'control groups *one for each session')" 1
check_end
check_killed_supervisor
check_killed_supervisor_of_another_name
check_ordinary_user
check_other
as root lumen stop --name other
wait "$other_pid" || fail "the other session ended with $?"
expect 'groups that are left' "$(find /sys/fs/cgroup -name 'lumen-[0-9]*' | wc -l)" 0
expect 'what is outside of the groups' "$(outside)" "$outside_before"
