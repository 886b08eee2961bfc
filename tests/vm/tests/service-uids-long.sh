#!/usr/bin/env bash
# shows: fifty desktops beside units whose users exist only meanwhile: systemd and Lumen give no uid twice, whoever of them comes first
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/service.sh
source /share/guest/service.sh

# On a machine that is busy with more than this.
PATIENCE=300
DESKTOPS=50

# start_unit NAME UID: of a user that exists only meanwhile. systemd takes this uid if it is free, because a directory of
# the unit's belongs to it, and another if not.
start_unit() {
    install -d -o "$2" -g "$2" "/var/lib/private/$1"
    systemd-run --quiet --collect --unit="$1" --property=DynamicUser=yes --property=StateDirectory="$1" \
        sleep infinity
}

# The effective uid of a process.
uid_of() { awk '/^Uid:/ { print $3 }' "/proc/$1/status"; }
uid_of_unit() { uid_of "$(systemctl show --property=MainPID --value "$1")"; }

# The kernel keeps fifteen letters of a name. Beside workers a desktop has helpers, which are its user's.
WORKERS='lumen-composito|lumen-gamepad|lumen-media|lumen-rtc|lumen-sound'
workers_of_desktop() { pgrep --parent "$desktop" --exact "$WORKERS" || true; }
# One line each, in the order of the numbers.
uids_of_workers() {
    local pid
    for pid in $(workers_of_desktop); do uid_of "$pid"; done | sort --numeric-sort
}

serves() { has_status "$1 session"; }
has_workers() { [ "$(workers_of_desktop | wc -l)" = 5 ]; }
has_no_workers() { [ -z "$(workers_of_desktop)" ]; }

# Since before the first desktop, as the service of somebody else is.
start_unit bystander 0
install_package
systemctl --quiet enable --now lumen || fail 'the service does not start'
# Desktops of a test before this one.
systemctl stop 'lumen-session@*.service'
wait_until 'it serves' serves 0
first=61184
for ((round = 1; round <= DESKTOPS; round++)); do
    # Wants what the next desktop's first worker would get, and so has it first.
    start_unit early "$first"
    expect "the uid of the unit before desktop $round" "$(uid_of_unit early)" "$first"
    lumen session --user alice --name "round-$round" -- sleep 10000 >"$scratch/session" 2>&1 &
    desktop=$!
    wait_until 'the desktop is there' serves 1
    wait_until 'it has its workers' has_workers
    mapfile -t workers < <(uids_of_workers)
    # Wants what a worker has.
    start_unit late "${workers[round % ${#workers[@]}]}"
    all=("${workers[@]}" "$(uid_of_unit early)" "$(uid_of_unit late)" "$(uid_of_unit bystander)")
    expect "who has a uid twice of ${all[*]}" "$(printf '%s\n' "${all[@]}" | sort | uniq --repeated)" ''
    systemctl stop early late
    kill "$desktop"
    wait "$desktop" || true
    wait_until 'the desktop is gone' serves 0
    has_no_workers || fail "a worker outlives its desktop: $(workers_of_desktop)"
    first=${workers[0]}
done
systemctl stop bystander
