#!/usr/bin/env bash
# Runs README's two commands on machines that have nothing but Debian, Rust and Node.
#
# SYSTEM     debian12 (the default) or debian13
# USERS      the users, one machine after the other: "alice root"; alice is an ordinary user with sudo
# COMMANDS   "run test"
# UNTIL      how far `make test` has to come: end (the default), or first-test
# LUMEN_FRESH_PATIENCE   seconds until a command is given up, 5400 by default
set -euo pipefail
cd "$(dirname "$0")/../.."
# chroot and pivot_root are not in an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

SYSTEM=${SYSTEM:-debian12}
USERS=${USERS:-alice root}
COMMANDS=${COMMANDS:-run test}
UNTIL=${UNTIL:-end}
patience=${LUMEN_FRESH_PATIENCE:-5400}

artifacts=$PWD/tests/.artifacts/fresh
work=$artifacts/machines
logs=$artifacts/logs

say() { printf 'fresh: %s\n' "$*"; }

# The rest of this script has mounts and processes of its own, which end with it.
enter_namespaces() {
    local options=(--mount --pid --fork --kill-child --mount-proc)
    [ "$(id -u)" = 0 ] || options+=(--user --map-root-user --map-auto)
    LUMEN_FRESH_BASE=$(tests/fresh/base.sh "$SYSTEM")
    export SYSTEM USERS COMMANDS UNTIL LUMEN_FRESH_BASE
    exec unshare "${options[@]}" tests/fresh/run.sh
}

# as USER COMMAND...: in that user's machine.
as() { unshare --mount tests/fresh/enter.sh "$work/$1" "$@"; }

# A bare system with a clean checkout and a user.
make_machine() {
    local user=$1 root=$work/$1
    mkdir -p "$root"
    # A mount covers /dev, and only root may create device nodes.
    tar -xpf "$LUMEN_FRESH_BASE/root.tar" --numeric-owner --exclude='./dev/*' -C "$root"
    reach_network "$root"
    mkdir -p "$root"/srv/{cargo,lumen}
    checkout | tar -x -C "$root/srv/lumen"
    [ "$user" = root ] || {
        chroot "$root" useradd --create-home --shell /bin/bash "$user"
        printf '%s ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep += "%s"\n' "$user" \
            'http_proxy https_proxy no_proxy' >"$root/etc/sudoers.d/$user"
    }
    chroot "$root" chown -R "$user:" /srv/cargo /srv/lumen
    as "$user" sh -c 'cargo --version && node --version && npm --version' >"$logs/tools" || {
        say "Rust or Node of this machine does not run in a bare $SYSTEM; see $logs/tools" >&2
        exit 1
    }
}

# The last commit; without a repository, this folder without build results.
checkout() {
    if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
        git -c safe.directory='*' archive HEAD
    else
        tar -c --exclude=./target --exclude=node_modules --exclude=./tests/.artifacts .
    fi
}

# Packages and crates are downloaded as on this machine: by its mirrors, proxies and certificates. Secrets
# are not copied.
reach_network() {
    local root=$1 bundle=/etc/ssl/certs/ca-certificates.crt variable suite
    suite=$(sed -n 's/^VERSION_CODENAME=//p' "$root/etc/os-release")
    mirrors "$suite" >"$work/sources.list"
    [ ! -s "$work/sources.list" ] || cp "$work/sources.list" "$root/etc/apt/sources.list"
    network_options >"$root/etc/apt/apt.conf.d/90network"
    cp --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
    cp --dereference "${SSL_CERT_FILE:-$bundle}" "$root$bundle"
    {
        for variable in NODE_EXTRA_CA_CERTS PIP_CERT CARGO_HTTP_CAINFO; do
            printf '%s=%s\n' "$variable" "$bundle"
        done
        printf 'npm_config_registry=%s\n' "$(npm config get registry)"
        env | grep -E '^((https?|no|all)_proxy|PIP_INDEX_URL|CARGO_REGISTRIES_[A-Z_]*_INDEX|CARGO_PROFILE_RELEASE_[A-Z_]*|LUMEN_LISTEN|CI)=' || true
    } >"$root/etc/lumen-fresh"
}

# A machine in use has things that only resemble our needs: a compiler without the C library, the
# compiler's own libclang, a font of icons.
live_in() {
    local user=$1 clang=libclang-cpp14
    [ "$SYSTEM" = debian12 ] || clang=libclang-cpp19
    # shellcheck disable=SC2016 # the inner shell's
    as "$user" sh -c 'sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends gcc "$1" fonts-font-awesome' sh "$clang" \
        >"$logs/$SYSTEM-$user-live-in.log" 2>&1
}

# Starts `make $2` as user $1 in a process group of its own, with its output in the pipe that descriptor 4
# reads. With job control it receives the keyboard's signals, which a script's background jobs otherwise
# ignore.
start() {
    rm -f "$work/pipe"
    mkfifo "$work/pipe"
    set -m
    as "$1" make "$2" >"$work/pipe" 2>&1 </dev/null &
    group=$!
    set +m
    exec 4<"$work/pipe"
}

# Reads the command's output into log $1 until a line contains $2, and keeps that line in `line`; false
# when the command ends first, or time runs out. The command's messages about its steps are repeated with
# the time.
read_until() {
    local log=$1 wanted=$2
    while [ "$SECONDS" -lt "$deadline" ] && IFS= read -r -t $((deadline - SECONDS)) line <&4; do
        printf '%s\n' "$line" >>"$log"
        [[ $line != '==> '* ]] || printf '%8d s  %s\n' $((SECONDS - began)) "$line"
        [ -z "$wanted" ] || [[ $line != *"$wanted"* ]] || return 0
    done
    return 1
}

# Does what ctrl-c does. No process of Lumen may be left after it.
interrupt() {
    local log=$1 left
    kill -INT -- "-$group"
    deadline=$((SECONDS + 300))
    read_until "$log" '' || true
    wait "$group" || true
    left=$(find /proc/[0-9]*/exe -lname '*/srv/lumen/target/*' 2>/dev/null || true)
    [ -z "$left" ] || { echo "Left running after ctrl-c: $left" >>"$log"; return 1; }
}

# Runs `make run` until a browser shows a picture.
make_run() {
    local log=$1 address
    start "$user" run
    read_until "$log" '#token=' || return 1
    address=$(grep -oE 'https?://[^[:space:]]+' <<<"$line")
    npm --prefix tests/browser ci --silent --no-audit --no-fund
    node tests/fresh/look.mjs "$address" "${log%.log}.png" 300 >>"$log" 2>&1 || return 1
    printf '%8d s  a picture: %s\n' $((SECONDS - began)) "$(tail -n 1 "$log")"
    interrupt "$log"
}

# Runs `make test` to its end, or to its first test.
make_test() {
    local log=$1
    start "$user" test
    if [ "$UNTIL" = first-test ]; then
        read_until "$log" 'test result: ok' && interrupt "$log"
    else
        read_until "$log" '' || [ "$SECONDS" -lt "$deadline" ] && wait "$group"
    fi
}

# Runs one command as one user, and prints a line of the table.
attempt() {
    local command=$1 log=$logs/$SYSTEM-$user-$1.log result=ok
    say "$SYSTEM, $user: make $command"
    began=$SECONDS deadline=$((SECONDS + patience))
    : >"$log"
    case $command in
        run) make_run "$log" ;;
        test) make_test "$log" ;;
        *) say "README has no command $command" >&2; exit 2 ;;
    esac || {
        result=FAILED
        say "its last lines, of ${log#"$PWD/"}:"
        tail -n 60 "$log"
        kill -KILL -- "-$group" 2>/dev/null || true
    }
    exec 4<&-
    rows+=("$(printf '%-10s %-8s %-10s %-8s %6s' "$SYSTEM" "$user" "make $command" "$result" \
        $((SECONDS - began)))")
    [ "$result" = ok ] || failed=$((failed + 1))
}

# This script is process 1 here, and -1 means all processes that it started.
clean_up() {
    [ $$ != 1 ] || kill -KILL -1 2>/dev/null || true
    rm -rf "$work"
}

main() {
    local user previous='' command
    rows=() failed=0
    mkdir -p "$logs"
    rm -rf "$work"
    mkdir -p "$work"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    for user in $USERS; do
        say "$SYSTEM: a bare machine for $user"
        make_machine "$user"
        [ "$user" = root ] || live_in "$user"
        # A second build would prove nothing more: the second machine continues with what the first compiled,
        # but installs its packages itself.
        if [ -d "$work/$previous/srv/lumen/target" ]; then
            mv "$work/$previous/srv/lumen/target" "$work/$user/srv/lumen/target"
            rmdir "$work/$user/srv/cargo"
            mv "$work/$previous/srv/cargo" "$work/$user/srv/cargo"
            chroot "$work/$user" chown -R "$user:" /srv/lumen/target /srv/cargo
        fi
        [ -z "$previous" ] || rm -rf "${work:?}/$previous"
        for command in $COMMANDS; do
            attempt "$command"
        done
        previous=$user
    done
    printf '\n%-10s %-8s %-10s %-8s %6s\n' SYSTEM USER COMMAND RESULT SECONDS
    printf '%s\n' "${rows[@]}"
    printf '\n%d passed, %d failed\n' $((${#rows[@]} - failed)) "$failed"
    [ "$failed" = 0 ]
}

if [ -z "${LUMEN_FRESH_BASE-}" ]; then
    enter_namespaces
fi
source tests/debian.sh
main
