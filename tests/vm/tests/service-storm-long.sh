#!/usr/bin/env bash
# shows: 200 deaths over the host and two accounts' desktops: apps live, pages have picture and keys again, nothing stays pressed, no descriptor is left
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/service.sh
source /share/guest/service.sh
# shellcheck source=../guest/desktops.sh
source /share/guest/desktops.sh

# On a machine that is busy with more than this.
PATIENCE=300
KILLS=200
# Any number: the same processes are picked in the same order in every run.
RANDOM=2026
# The viewers of these tests speak no TLS.
PAGE=http://127.0.0.1:443

# A worker that dies ten times within a minute is restarted only after a pause (supervisor/src/lifecycle/budget.rs).
MOST_DEATHS=6

MORTALS=(serve gateway turn alice/media alice/rtc alice/gamepad bob/media bob/rtc bob/gamepad)
declare -A supervisors=() last=() recent=() died=() down=([alice]=0 [bob]=0)

# --- Processes ---------------------------------------------------------------------------------

# running NAME: the process that has this part now.
running() {
    local host
    case $1 in
    serve) pgrep --full '^/usr/bin/lumen serve' ;;
    */*) pgrep --parent "${supervisors[${1%/*}]}" --exact "lumen-${1#*/}" ;;
    *) host=$(running serve) && pgrep --parent "$host" --exact "lumen-$1" ;;
    esac
}

may_die() {
    local at within=()
    for at in ${recent[$1]-}; do
        [ $((SECONDS - at)) -ge 60 ] || within+=("$at")
    done
    recent[$1]="${within[*]-}"
    [ ${#within[@]} -lt $MOST_DEATHS ]
}

# dies NAME: kills its process, unless there is none or it has died too often.
dies() {
    local pid
    may_die "$1" && pid=$(running "$1") && [ "$pid" != "${last[$1]-}" ] && kill -KILL "$pid" 2>/dev/null || return 1
    last[$1]=$pid
    recent[$1]+=" $SECONDS"
    died[$1]=$((${died[$1]-0} + 1))
}

# The one that is picked dies, or else the next in the list that can.
somebody_dies() {
    local at
    for ((at = 0; at < ${#MORTALS[@]}; at++)); do
        ! dies "${MORTALS[(picked + at) % ${#MORTALS[@]}]}" || return 0
    done
    return 1
}

# Every worker of the host and of both desktops is ready, as the host's table says.
all_serve() {
    local status
    status=$(lumen status 2>/dev/null) || return 1
    awk '
        $1 ~ /^(gateway|turn|compositor|media|sound|rtc|gamepad)$/ { workers++; ready += $4 == "ready" }
        END { exit workers != 12 || ready != workers }
    ' <<<"$status"
}

# descriptors_of NAME PID: a line for the process and for each child, which are its workers.
descriptors_of() {
    local pid
    for pid in "$2" $(pgrep --parent "$2"); do
        echo "$1 $(<"/proc/$pid/comm") $(descriptors "$pid")"
    done
}
census() {
    {
        descriptors_of host "$(running serve)"
        descriptors_of alice "${supervisors[alice]}"
        descriptors_of bob "${supervisors[bob]}"
    } | sort
}
is_settled() {
    local before=$settled
    settled=$(census 2>/dev/null)
    [ "$settled" = "$before" ] || alike=0
    [ $((++alike)) -gt 5 ]
}
is_as_before() { [ "$(census 2>/dev/null)" = "$settled" ]; }

# --- Pages -------------------------------------------------------------------------------------

# open_page ACCOUNT: a viewer with a pad, by a log-in of the account's.
open_page() {
    local cookie
    cookie=$(awk 'NF == 7 { print $6 "=" $7 }' "$scratch/$1.cookies")
    watch "$1" "http://127.0.0.1:443/#login=$cookie,$(<"$scratch/$1.key")"
    hears "$1" '^picture'
    play "$1" pad 0 0 0 0 0 0 0 0
}

# toggle ACCOUNT: presses a key in the account's page, or releases it.
toggle() {
    down[$1]=$((1 - down[$1]))
    play "$1" input "01001e0${down[$1]}"
}

# Keys that the app of an account has got and not seen released.
held() {
    awk -F '[:,}]' '
        /"keyboard_left"/ { delete held }
        /"event":"key"/ { if (/true/) held[$4]; else delete held[$4] }
        END { for (code in held) print code }
    ' "/home/$1/events"
}
holds_nothing() { [ -z "$(held "$1")" ]; }
# presses_of ACCOUNT CODE: how often the app has got the key.
presses_of() { grep --count "\"event\":\"key\",\"code\":$2,\"pressed\":true" "/home/$1/events" || true; }
has_more_presses() { [ "$(presses_of "$1" 48)" -gt "$2" ]; }
pictures_of() { grep --count '^picture' "$scratch/$1" || true; }
has_more_pictures() { [ "$(pictures_of "$1")" -gt "$2" ]; }

# goes_on ACCOUNT: its page gets the picture of a new media, a key that it presses arrives, and nothing stays pressed.
goes_on() {
    local pictures presses
    pictures=$(pictures_of "$1") presses=$(presses_of "$1" 48)
    kill -KILL "$(running "$1/media")"
    wait_until "the page of $1 has a picture again" has_more_pictures "$1" "$pictures"
    play "$1" input 01003001
    play "$1" input 01003000
    wait_until "the app of $1 gets a key again" has_more_presses "$1" "$presses"
    wait_until "no key is held for $1" holds_nothing "$1"
}

# -----------------------------------------------------------------------------------------------

DROP_IN=/run/systemd/system/lumen.socket.d
# listen_at ADDRESS LINE...: at this one or, if it is empty, at the package's, with these lines of lumen.toml.
listen_at() {
    # Desktops look for a host at the second socket, and would have one started before the first is there.
    systemctl stop lumen.service lumen.socket lumen-sessions.socket
    rm -rf "$DROP_IN"
    if [ -n "$1" ]; then
        install -d "$DROP_IN"
        printf '[Socket]\nListenStream=\nListenStream=%s\n' "$1" >"$DROP_IN/storm.conf"
    fi
    systemctl daemon-reload
    settings "${@:2}"
    systemctl start lumen.socket lumen-sessions.socket lumen.service
}

modprobe --all uinput evdev joydev
serve_accounts
trap "listen_at '' ''" EXIT
# Passwords go unencrypted only where nobody else hears them.
listen_at 127.0.0.1:443 'tls = "off"'
wait_until 'it serves without TLS' has_status "Browsers connect to http:"
for account in alice bob; do
    in_view "$account" "$PASSWORD"
    supervisors[$account]=$(supervisor_of "$account")
done
apps="$(app_of alice) $(app_of bob)"

# Each dies once before anything is counted: what a first death sets up does not count as a leak.
for name in "${MORTALS[@]}"; do
    wait_until "$name dies" dies "$name"
done
wait_until 'all workers are ready' all_serve
died=() settled='' alike=0
wait_until 'the number of descriptors stays as it is' is_settled
say "descriptors:"$'\n'"$settled"

open_page alice
open_page bob
for ((number = 1; number <= KILLS; number++)); do
    picked=$RANDOM
    wait_until 'somebody may die' somebody_dies
    [ $((RANDOM % 2)) = 0 ] || toggle alice
    [ $((RANDOM % 2)) = 0 ] || toggle bob
    # Others die while their host or their session handles the death of one before.
    [ $((RANDOM % 4)) != 0 ] || wait_until 'all workers are ready' all_serve
    [ $((number % 20)) != 0 ] || say "$number deaths"
done
for name in "${MORTALS[@]}"; do printf '%s died %d times\n' "$name" "${died[$name]-0}"; done
for account in alice bob; do
    [ "${down[$account]}" = 0 ] || toggle "$account"
done
wait_until 'all workers are ready' all_serve
goes_on alice
goes_on bob
expect 'the apps' "$(app_of alice) $(app_of bob)" "$apps"
expect 'the supervisors of both desktops' "$(supervisor_of alice) $(supervisor_of bob)" \
    "${supervisors[alice]} ${supervisors[bob]}"
# The later one has inherited the earlier one's commands.
for account in bob alice; do
    say "$account's page connected $(grep --count '^connected' "$scratch/$account") times"
    leave "$account"
done
wait_until 'all workers are ready' all_serve
say "descriptors:"$'\n'"$(census)"
wait_until 'there are as many descriptors as before' is_as_before
