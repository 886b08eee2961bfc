# shellcheck shell=bash
# Shared by the tests of the package under systemd, after lib.sh: the host as a service, and a browser that signs
# in as the page does.

# The package's programs, and not those of the tests' own disk.
PATH=/usr/sbin:/usr/bin
export DEBIAN_FRONTEND=noninteractive

PAGE=https://localhost
PASSWORD='correct horse'

property() { systemctl show --property="$1" --value lumen.service; }
is_active() { systemctl is-active --quiet lumen.service; }
has_status() { prints "$1" property StatusText; }
is_another() { is_active && [ "$(property MainPID)" != "$1" ] && [ "$(property MainPID)" != 0 ]; }
await_journal() { prints "$1" journalctl --unit=lumen.service; }
# A leader's lines have the unit of its login session.
await_login_journal() { prints "$1" journalctl --identifier=lumen-login; }

# What lib.sh calls when a test fails.
explain() {
    systemctl status --no-pager --full 'lumen*' || true
    lumen status || true
    journalctl --no-pager --unit='lumen*' --lines=80 || true
}

# The machine is gone after the test, so dpkg need not wait for the disk.
QUICK=--force-unsafe-io

# install_package: as an administrator does; what the package depends on is here.
install_package() {
    apt-get install --quiet=2 --yes --option=APT::Sandbox::User=root --option=DPkg::Options::=$QUICK \
        /share/packages/lumen-1.deb >"$scratch/apt" 2>&1 || {
        cat "$scratch/apt"
        fail 'the package is not installed'
    }
}

# package OPTION...: what dpkg does with it.
package() { dpkg $QUICK "$@" >"$scratch/dpkg" 2>&1 || { cat "$scratch/dpkg"; fail "dpkg $* failed"; }; }

# --- Browsers ----------------------------------------------------------------------------------
# Each keeps its cookies and the page's half of the key in files. `browser` is the one that acts, and `from` the
# address that it has, because passwords from one address are tried slowly.
browser=first from=127.0.0.1

browse() {
    curl --silent --show-error --insecure --max-time "$PATIENCE" --ipv4 --interface "$from" \
        --header "Origin: $PAGE" --cookie "$scratch/$browser.cookies" --cookie-jar "$scratch/$browser.cookies" "$@"
}

answers() { browse --output /dev/null "$PAGE/"; }

# post BODY: sets `status` and `answer`, and how many seconds it took.
post() {
    read -r status seconds < <(browse --header 'Content-Type: application/json' --data "$1" \
        --output "$scratch/answer" --write-out '%{http_code} %{time_total}\n' "$PAGE/login")
    answer=$(cat "$scratch/answer")
}

# sign_in ACCOUNT ANSWER...: answers one question after the other. Sets `status` and `answer`, those of the last
# answer, and `asked` to the texts of what was asked, a line each.
sign_in() {
    asked=
    post "{\"account\":\"$1\"}"
    shift
    while [ "$status" = 202 ] && [ $# -gt 0 ]; do
        asked+=$(jq --raw-output '.prompts[].text' <<<"$answer")$'\n'
        post "$(jq --compact-output --arg given "$1" '{attempt, answers: [$given]}' <<<"$answer")"
        shift
    done
    [ "$status" != 200 ] || jq --raw-output .key <<<"$answer" >"$scratch/$browser.key"
}

# The status of a request that only a log-in opens.
session_status() {
    browse --header "Lumen-Key: $(<"$scratch/$browser.key")" --request POST --output "$scratch/answer" \
        --write-out '%{http_code}' "$PAGE/api/session"
}
