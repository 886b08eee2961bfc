#!/usr/bin/env bash
# shows: desktops of two accounts under systemd: neither reaches the other's files, sockets and processes, nor its own workers; sudo works
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/service.sh
source /share/guest/service.sh
# shellcheck source=../guest/desktops.sh
source /share/guest/desktops.sh

REACH=/opt/lumen-tests/reach.py

# --- What is alice's ---------------------------------------------------------------------------

# Attempts are pairs of a verb and a target, as reach.py takes them, in one line.

# Files and sockets of alice's.
attempts_at_files() {
    local display
    # shellcheck disable=SC2016 # expanded in the desktop
    display=$(inside alice 'echo "$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY"')
    [ -S "$display" ] || fail "$display is no socket"
    printf '%s ' list /home/alice read /home/alice/secret write /home/alice/secret \
        list /run/user/1000 connect "$display" connect /run/user/1000/bus
    echo
}

# attempts_at PID...: at processes.
attempts_at() {
    local pid verb
    for pid in "$@"; do
        for verb in environ maps fd cwd ptrace signal; do printf '%s %s ' "$verb" "$pid"; done
    done
    echo
}

# What only root may reach.
attempts_at_roots() {
    printf '%s ' connect /run/lumen/login connect /run/lumen/session connect /run/lumen/sessions.sock
    echo
}

# expect_all WHO OUTCOME ATTEMPT...: that all of somebody's attempts have this outcome, a pattern.
expect_all() {
    local who=$1 outcome=$2 found other
    shift 2
    case $who in
    root) found=$(python3 $REACH "$@") ;;
    *) found=$(inside "$who" "python3 $REACH $*") ;;
    esac
    expect "attempts of $who" "$(wc -l <<<"$found")" $(($# / 2))
    other=$(grep --invert-match --extended-regexp " $outcome\$" <<<"$found" || true)
    [ -z "$other" ] || fail "of $who not all are '$outcome': $other"
    say "$who: $(awk '{ count[$1 " " $3]++ } END { for (kind in count) printf "%s x%d, ", kind, count[kind] }' <<<"$found")"
}

check_files() {
    local attempts
    inside alice 'umask 022; echo hers >secret; mv secret ..' >/dev/null
    read -ra attempts < <(attempts_at_files)
    expect_all alice done "${attempts[@]}"
    expect_all bob 'EACCES|EPERM' "${attempts[@]}"
}

check_processes() {
    local app picture leader login supervisor workers of_apps of_workers
    app=$(app_of alice)
    picture=$(pgrep --parent "$app" --exact test-app)
    leader=$(ps --format ppid= --pid "$app" | xargs)
    login=$(ps --format ppid= --pid "$leader" | xargs)
    supervisor=$(supervisor_of alice)
    mapfile -t workers < <(workers_of alice)
    expect "alice's workers" "$(printf '%s\n' "${workers[@]% *}" | sort | xargs)" \
        'lumen-composito lumen-gamepad lumen-media lumen-rtc lumen-sound'
    workers=("${workers[@]##* }" "$supervisor" "$login")
    read -ra of_apps < <(attempts_at "$app" "$picture" "$leader")
    read -ra of_workers < <(attempts_at "${workers[@]}")
    expect_all alice done "${of_apps[@]}"
    expect_all root done "${of_workers[@]}"
    expect_all bob 'EACCES|EPERM' "${of_apps[@]}" "${of_workers[@]}"
    expect_all alice 'EACCES|EPERM' "${of_workers[@]}"
}

check_roots() {
    local attempts
    read -ra attempts < <(attempts_at_roots)
    expect_all root done "${attempts[@]}"
    expect_all bob 'EACCES|EPERM' "${attempts[@]}"
}

# denied ACCOUNT COMMAND: the command fails in the account's desktop.
denied() {
    local said
    ! said=$(inside "$1" "$2") || fail "$1 may: $2"
    say "$1, $2: $(head -n 1 <<<"$said")"
}

check_administration() {
    local session command
    session=$(session_of alice)
    expect 'whose sessions bob sees' "$(inside bob 'lumen sessions' | awk 'NR > 1' | grep --count alice || true)" 0
    expect 'whose sessions bob sees' "$(inside bob 'lumen sessions' | awk 'NR > 1' | grep --count bob)" 1
    for command in "logs $session" "metrics $session" "restart $session gamepad" "stop $session" \
        'restart gateway'; do
        denied bob "lumen $command"
    done
    say "bob, lumen revoke user alice: $(inside bob 'lumen revoke user alice' || true)"
    browser=alice
    expect "whether alice's log-in opens the desktop" "$(session_status)" 200
    for command in "logs $session" "metrics $session" "restart $session gamepad"; do
        inside alice "lumen $command" >/dev/null || fail "alice may not: $command"
    done
    denied alice 'lumen restart gateway'
    lumen restart gateway
}

# --- Rights -------------------------------------------------------------------------

check_sudo() {
    expect "what confines alice's app" \
        "$(inside alice "grep --extended-regexp --word-regexp 'NoNewPrivs|Seccomp' /proc/self/status" | xargs)" \
        'NoNewPrivs: 0 Seccomp: 0'
    expect 'who sudo makes alice' "$(inside alice "echo '$PASSWORD' | sudo --stdin --prompt= id --user --name 2>/dev/null")" root
    denied bob "echo '$PASSWORD' | sudo --stdin --prompt= id --user --name"
}

serve_accounts
install --mode=644 /share/guest/reach.py $REACH
# Not by a group: her desktop may be there already, and has the groups of its beginning.
install --mode=440 /dev/stdin /etc/sudoers.d/alice <<<'alice ALL=(ALL) ALL'
in_view alice "$PASSWORD"
in_view bob "$PASSWORD"
check_files
check_processes
check_roots
check_administration
check_sudo
browser=alice
inside alice 'lumen revoke user alice' || fail 'alice may not end her sign-ins'
expect "whether alice's log-in opens the desktop" "$(session_status)" 401
