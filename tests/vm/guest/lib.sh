# shellcheck shell=bash
# Shared by the tests, each of which begins with `source /share/guest/lib.sh`. A test fails with its first
# failing command, and prints why.
set -euo pipefail

# Seconds until a wait is given up. It decides how long a failing test takes, never whether a
# correct one passes.
PATIENCE=120

declare -A player_orders=() player_pids=()

scratch=$(mktemp --directory)
chmod 755 "$scratch"

# Prints a line with the seconds since the test began.
began=${EPOCHREALTIME/./}
say() {
    local elapsed=$(((${EPOCHREALTIME/./} - began) / 100000))
    printf '%3d.%d  %s\n' $((elapsed / 10)) $((elapsed % 10)) "$*"
}

fail() {
    say "FAILED: $*"
    explain
    exit 1
}

# Prints the output of a failed test's Lumen and viewers.
explain() {
    [ -n "${lumen_pid-}" ] || return 0
    explain_viewers
    as "$lumen_user" lumen status || true
    as "$lumen_user" lumen logs | tail -n 40 || true
    # A Lumen that has ended answers neither.
    kill -0 "$lumen_pid" 2>/dev/null || tail -n 40 "$lumen_log" | sed 's/^/lumen printed: /'
}

explain_viewers() {
    local player
    for player in "${!player_pids[@]}"; do
        tail -n 20 "$scratch/$player" | sed "s/^/$player heard: /"
    done
}

# expect WHAT FOUND EXPECTED
expect() {
    [ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
    say "$1: $2"
}

# prints PATTERN COMMAND...: whether the command prints a line that matches the extended regular expression. It is
# not a pipe to `grep -q`, which ends with the first match, and fails if the command still writes.
prints() { grep -q -E -e "$1" <<<"$("${@:2}")"; }

# wait_until WHAT COMMAND...: until the command succeeds. Between two checks it sleeps at least as long as
# the last one took, to leave the processor to the processes under test.
wait_until() {
    local what=$1 deadline=$((SECONDS + PATIENCE)) look
    shift
    until look=${EPOCHREALTIME/./}; "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited $PATIENCE s in vain: $what"
        look=$((${EPOCHREALTIME/./} - look))
        [ "$look" -gt 200000 ] || look=200000
        sleep "$(printf '%d.%06d' $((look / 1000000)) $((look % 1000000)))"
    done
}

# await_line FILE PATTERN PID: until the process, which writes the file, has written such a line.
await_line() {
    grep -q -m 1 -E -e "$2" \
        < <(timeout "$PATIENCE" tail --lines=+1 --follow --pid="$3" "$1" 2>/dev/null) || {
        cat "$1"
        fail "no line like '$2' in $1"
    }
}

# as USER COMMAND...: with that user's rights and a clean environment.
as() {
    local user=$1 home=/home/$1
    shift
    [ "$user" != root ] || home=/root
    setpriv --reuid="$user" --regid="$user" --init-groups \
        env --ignore-environment HOME="$home" USER="$user" PATH="$PATH" "$@"
}

# descriptors PID: how many it has.
descriptors() {
    local each=("/proc/$1/fd"/*)
    echo ${#each[@]}
}

# restart_machine: ends this test; the runner starts the machine anew and then the test from its beginning, in which
# `has_restarted` is true.
restart_machine() {
    touch "$restarted"
    exit 0
}

restarted=/share/results/$(basename --suffix=.sh "$0").restarted
has_restarted() { [ -e "$restarted" ]; }

# --- Lumen -------------------------------------------------------------------------------------
# One desktop at a time; `lumen_user` is the user who started it, `lumen_pid` its supervisor. A test may set
# `lumen_inside` to a command that executes Lumen in other surroundings.
lumen_inside=()

lumen_size=320x240

# start_lumen USER [OPTION...] [-- APP...]: returns when every worker is ready.
start_lumen() {
    lumen_user=$1
    lumen_log=$scratch/lumen-$lumen_user.log
    shift
    : >"$lumen_log"
    as "$lumen_user" "${lumen_inside[@]}" lumen run --size "$lumen_size" --listen 127.0.0.1:0 "$@" >>"$lumen_log" 2>&1 &
    lumen_pid=$!
    await_line "$lumen_log" '^Lumen is ready' "$lumen_pid"
    wait_until 'all workers are ready' all_ready
}

# Name, pid and state of each worker, one line each. Parses the output for people: here jq, for the JSON,
# takes longer to start than Lumen to answer.
lumen_workers() {
    as "$lumen_user" lumen status | awk '
        table && NF && $1 != "session" && $1 != "graphics" { print $1, $2, $4 }
        $1 == "WORKER" { table = 1 }
    '
}

workers() { lumen_workers | cut -d' ' -f1; }

worker_pid() { lumen_workers | awk -v worker="$1" '$1 == worker { print $2 }'; }

# all_ready [PID...]: all workers are ready, and none of them has one of these pids.
all_ready() {
    lumen_workers | awk -v old=" $* " '
        $3 != "ready" || index(old, " " $2 " ") { lacking = 1 }
        END { exit lacking || NR == 0 }
    '
}

is_ready_other_than() {
    lumen_workers | awk -v worker="$1" -v pid="$2" '
        $1 == worker && $3 == "ready" && $2 != pid { found = 1 }
        END { exit !found }
    '
}

# kill_worker NAME: with SIGKILL; returns when its successor is ready.
kill_worker() {
    local pid
    pid=$(worker_pid "$1")
    kill -KILL "$pid"
    wait_until "$1 is ready again" is_ready_other_than "$1" "$pid"
}

# An app that leaves a process behind: of a session and a process group of its own, nobody's child but init's
# or the subreaper's, and deaf to requests.
leaving() {
    echo "trap '' HUP TERM; (setsid sh -c 'setsid sleep $1 & exec true' &); exec foot"
}

# shellcheck disable=SC2329 # called by wait_until
runs() { pgrep --full "^$1" >/dev/null; }

stop_lumen() {
    as "$lumen_user" lumen stop
    wait "$lumen_pid" || fail "lumen run ended with $?"
}

# The address to open, with the token.
lumen_address() { sed -n 's/^Lumen is ready: //p' "$lumen_log"; }

# --- Input devices -----------------------------------------------------------------------------

# holders DEVICE: the processes that have it open, one line of pid and program each.
holders() {
    local link pid
    # Processes may end while find runs; that is not a failure.
    { find /proc/[0-9]*/fd -lname "$1" 2>/dev/null || true; } | while read -r link; do
        pid=${link#/proc/}
        pid=${pid%%/*}
        printf '%s %s\n' "$pid" "$(cat "/proc/$pid/comm")"
    done | sort -u
}

# make_pad PHYS: makes a pad without Lumen, to test rules and tools. Its event and joystick nodes are in `pad_event` and `pad_joystick`; `press CODE VALUE` and `turn CODE VALUE` use it.
make_pad() {
    # With the interfaces' drivers loaded, the kernel makes both nodes at once.
    modprobe --all uinput evdev joydev
    coproc PAD { exec python3 /share/guest/pad.py "$1"; }
    # bash forgets these when the process ends.
    # shellcheck disable=SC2153 # coproc sets it
    pad_input=${PAD[1]} pad_pid=$PAD_PID
    read -r pad_event pad_joystick <&"${PAD[0]}" || fail 'the pad was not made'
    udevadm wait --timeout="$PATIENCE" "$pad_event" "$pad_joystick"
}

press() { echo "key $1 $2" >&"$pad_input"; }
turn() { echo "axis $1 $2" >&"$pad_input"; }

unplug_pad() {
    exec {pad_input}>&-
    wait "$pad_pid"
    wait_until 'the pad is gone' test ! -e "$pad_event"
}

# record_events DEVICE LOG: evtest in the background, its pid in `evtest_pid`; returns when it
# listens. Then `await_line LOG 'BTN_SOUTH.* value 1' $evtest_pid` and the like.
record_events() {
    stdbuf --output=L evtest "$1" >"$2" 2>&1 &
    evtest_pid=$!
    await_line "$2" '^Testing' "$evtest_pid"
}

# --- Viewers' pads -----------------------------------------------------------------------------

# start_pad_desktop: starts alice's desktop as root, so that pads are hers, with a long grace for viewers:
# the machine is emulated, possibly on a slow one.
start_pad_desktop() {
    modprobe --all uinput evdev joydev
    udevadm wait --timeout="$PATIENCE" /dev/uinput
    cp /share/systemd/72-lumen-pads.rules /etc/udev/rules.d
    udevadm control --reload
    start_lumen root --user alice --pad-grace 60 -- foot
}

# start_player NAME: starts a viewer that has only pads; `play NAME COMMAND...` sends it commands, and its
# output is in $scratch/NAME. Returns when it may use pads.
start_player() {
    start_viewer "$1"
    hears "$1" '^available 1$'
}

# start_viewer NAME [OPTION]: the same; returns when it is connected.
start_viewer() { watch "$1" "$(lumen_address)" "${@:2}"; }

# watch NAME ADDRESS [OPTION]: the same, of what is at an address.
watch() {
    local orders
    mkfifo "$scratch/$1.orders"
    LUMEN_TEST_PATIENCE=$((2 * PATIENCE)) \
        /usr/local/bin/pad-player "${@:2}" <"$scratch/$1.orders" >"$scratch/$1" 2>&1 &
    player_pids[$1]=$!
    exec {orders}>"$scratch/$1.orders"
    player_orders[$1]=$orders
    hears "$1" '^connected'
}

play() {
    local name=$1
    shift
    echo "$*" >&"${player_orders[$name]}"
}

# leave NAME: the player closes its connection and ends. (Processes started since have inherited the pipe
# of its commands, and must have ended.)
leave() {
    local orders=${player_orders[$1]}
    exec {orders}>&-
    wait "${player_pids[$1]}" || fail "$1 ended with $?: $(cat "$scratch/$1")"
}

# hears NAME PATTERN: waits until the player has printed such a line.
hears() { await_line "$scratch/$1" "$2" "${player_pids[$1]}"; }

# lumen_pad SLOT KIND: the node of a slot's device, KIND being event or js; false when there is none.
lumen_pad() {
    local node
    for node in /sys/class/input/"$2"[0-9]*; do
        if [ "$(cat "$node/device/phys" 2>/dev/null)" = "lumen-1000/$1" ]; then
            echo "/dev/input/${node##*/}"
            return
        fi
    done
    return 1
}

# await_pad SLOT: waits until its nodes exist and belong to alice; they are in `pad_event` and `pad_joystick`.
await_pad() {
    wait_until "slot $1 has nodes" eval "lumen_pad $1 event && lumen_pad $1 js" >/dev/null
    pad_event=$(lumen_pad "$1" event)
    pad_joystick=$(lumen_pad "$1" js)
    udevadm wait --timeout="$PATIENCE" "$pad_event" "$pad_joystick"
    wait_until "$pad_event is alice's" is_alices "$pad_event"
    wait_until "$pad_joystick is alice's" is_alices "$pad_joystick"
}

is_alices() { [ "$(stat --format='%U %a' "$1")" = 'alice 600' ]; }

# metric WORKER NAME: a counter or gauge. The lines of a session's workers begin with its number.
metric() {
    local value
    value=$(as "$lumen_user" lumen metrics |
        awk -v worker="$1" -v name="$2" '$(NF - 2) == worker && $(NF - 1) == name { print $NF }')
    echo "${value:-there is no $2 of $1}"
}
