#!/usr/bin/env bash
# shows: as root, datagrams of rtc and the relay reach no service of the machine, and a viewer is served
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# what_status_says WORKER
# shellcheck disable=SC2329 # called by wait_until, too
what_status_says() {
    as "$lumen_user" lumen status --json |
        jq -r --arg worker "$1" '(.workers, .sessions[].workers)[] |
            select(.process.kind == $worker) | .confinement.only_answers'
}

# Takes copies of a process's sockets for datagrams, which is more than who took the process over could
# do, and sends from each to a service on this machine. Prints what came of it.
send_to_a_service() {
    python3 - "$1" <<'PYTHON'
import ctypes, os, socket, sys

# pidfd_open and pidfd_getfd
call = ctypes.CDLL(None, use_errno=True).syscall
process = call(434, int(sys.argv[1]), 0)
outcomes = set()
for number in os.listdir(f"/proc/{sys.argv[1]}/fd"):
    if not os.readlink(f"/proc/{sys.argv[1]}/fd/{number}").startswith("socket:"):
        continue
    held = socket.socket(fileno=call(438, process, int(number), 0))
    if held.family not in (socket.AF_INET, socket.AF_INET6) or held.type != socket.SOCK_DGRAM:
        continue
    own = held.getsockname()[0]
    alone = held.family == socket.AF_INET6 and own != "::"
    service = socket.socket(socket.AF_INET6 if alone else socket.AF_INET, socket.SOCK_DGRAM)
    service.bind(("::1" if alone else "127.0.0.1", 0))
    service.setblocking(False)
    to = "::1" if alone else "::ffff:127.0.0.1" if own == "::" else "127.0.0.1"
    try:
        held.sendto(b"a request", (to, service.getsockname()[1]))
    except PermissionError:
        pass
    try:
        outcomes.add("reached by " + str(service.recvfrom(64)[1]))
    except BlockingIOError:
        outcomes.add("not reached")
print(" ".join(sorted(outcomes)) or "no socket")
PYTHON
}

check_services() {
    local worker
    for worker in rtc turn; do
        expect "$worker answers only, as status says" "$(what_status_says "$worker")" true
        expect "a service, by $worker's sockets" \
            "$(send_to_a_service "$(worker_pid "$worker")")" 'not reached'
    done
}

start_pad_desktop
expect 'what doctor says' \
    "$(lumen doctor | grep -c 'datagrams of rtc and the relay.*only to whoever wrote first')" 1
start_player viewer
say 'a viewer is connected'
check_services
# The sockets outlive the workers.
kill_worker turn
kill_worker rtc
check_services
start_player another
say 'another viewer is connected'
leave another
stop_lumen
expect 'groups that are left' "$(find /sys/fs/cgroup -name 'lumen-datagrams-*' | wc -l)" 0

# Without root nothing prevents it, and status says so.
start_lumen alice -- foot
expect "rtc of alice's desktop answers only" "$(what_status_says rtc)" false
expect "a service, by its sockets" \
    "$(send_to_a_service "$(worker_pid rtc)" | cut -d' ' -f1)" reached
stop_lumen
