#!/usr/bin/env bash
# shows: lumen run as root and as a user: workers ready, confined, back after kill -9, all gone after stop
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# What the kernel reports about a process: no new privileges, seccomp filters, no capability of any kind.
CONFINED='NoNewPrivs=1 Seccomp=2 CapInh=0 CapPrm=0 CapEff=0 CapAmb=0'

confinement() {
    awk '
        /^(CapInh|CapPrm|CapEff|CapAmb):/ { sub(/0+$/, "0", $2) }
        /^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp):/ {
            sub(":", "", $1)
            found[$1] = $2
        }
        /^Uid:/ && $2 == 0 { root = " uid=0" }
        END {
            printf "NoNewPrivs=%s Seccomp=%s CapInh=%s CapPrm=%s CapEff=%s CapAmb=%s%s",
                found["NoNewPrivs"], found["Seccomp"], found["CapInh"], found["CapPrm"],
                found["CapEff"], found["CapAmb"], root
        }
    ' "/proc/$1/status"
}

check_confinement() {
    local worker pid abi
    while read -r worker pid abi; do
        expect "$worker" "$(confinement "$pid")" "$CONFINED"
        [ "$abi" -ge 2 ] || fail "$worker has Landlock's ABI $abi"
    done < <(as "$lumen_user" lumen status --json |
        jq -r '(.workers, .sessions[].workers)[] |
            "\(.process.kind) \(.pid) \(.confinement.landlock_abi)"')
}

check_deaths_one_by_one() {
    local worker
    for worker in $(workers); do
        kill_worker "$worker"
        say "$worker is back"
    done
    wait_until 'all workers are ready' all_ready
}

check_death_of_all() {
    local dead
    mapfile -t dead < <(lumen_workers | cut -d' ' -f2)
    kill -KILL "${dead[@]}"
    wait_until 'all workers are ready again' all_ready "${dead[@]}"
    say 'all workers are back'
}

# What a desktop could leave behind: processes, sockets, shared memory.
check_nothing_left() {
    local left
    left=$(pgrep --list-full '^(lumen|foot)' || true)
    [ -z "$left" ] || fail "processes: $left"
    left=$(find /run/lumen /tmp /dev/shm -type s 2>/dev/null; ls -A /dev/shm)
    [ -z "$left" ] || fail "files: $left"
}

# check_desktop USER DEATHS
check_desktop() {
    say "--- started by $1"
    start_lumen "$1" -- foot
    check_confinement
    "$2"
    # The successors are confined, too.
    check_confinement
    stop_lumen
    check_nothing_left
    say 'nothing is left'
}

check_desktop root check_deaths_one_by_one
check_desktop alice check_death_of_all
