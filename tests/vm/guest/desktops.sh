# shellcheck shell=bash
# Shared by the tests of accounts' desktops under systemd, after service.sh. They find the package installed if a
# test before them has left it so, and desktops that it has left, because both take long in an emulated machine.

# What a desktop is, in a place that every account reads.
DESKTOP=/opt/lumen-tests/desktop

# The lines of lumen.toml that all these tests have.
SETTINGS="auth = \"password\"
app = \"exec $DESKTOP\"
size = \"320x240\""

# serve_accounts: the host serves, and alice and bob have passwords and homes of their own.
serve_accounts() {
    local account
    [ -x /usr/bin/lumen ] || install_package
    install -D --mode=755 /share/guest/desktop "$DESKTOP"
    for account in alice bob; do
        echo "$account:$PASSWORD" | chpasswd
        # As adduser makes it.
        chmod 700 "/home/$account"
        make_orders "$account"
    done
    settings ''
    systemctl --quiet enable --now lumen || fail 'the service does not start'
    wait_until 'it says that it serves' has_status 'Browsers connect to'
}

# settings LINE...: all that lumen.toml says.
settings() {
    local before
    before=$(cat /etc/lumen/lumen.toml)
    printf '%s\n' "$SETTINGS" "$@" >/etc/lumen/lumen.toml
    [ "$before" != "$(cat /etc/lumen/lumen.toml)" ] || return 0
    lumen config check
    ! is_active || systemctl restart lumen
}

make_orders() {
    local orders=/home/$1/orders
    [ ! -p "$orders/next" ] || return 0
    install --directory --owner="$1" --group="$1" --mode=700 "$orders"
    as "$1" mkfifo "$orders/next"
}

# inside ACCOUNT COMMAND: in the account's desktop; prints what it prints, and succeeds if it does.
inside() {
    local orders=/home/$1/orders order
    order=$(mktemp --tmpdir="$orders" XXXXXX)
    printf '%s\n' "$2" >"$order"
    chown "$1:" "$order"
    basename "$order" >"$orders/next"
    wait_until "the desktop of $1 has carried out: $2" test -s "$order.done"
    cat "$order.out"
    return "$(<"$order.done")"
}

# in_view ACCOUNT ANSWER...: signs in, as the browser that has the account's name. Its desktop is there then.
in_view() {
    browser=$1
    sign_in "$@"
    expect "the answer to $1" "$status" 200
    wait_until "the app of $1 runs" app_of "$1" >/dev/null
}

# The app of an account, the login session that it is in, the session at the host, and its supervisor.
app_of() { pgrep --uid="$1" --full "^/bin/sh $DESKTOP\$"; }
login_of() { loginctl list-sessions --no-legend | awk -v account="$1" '$3 == account { print $1 }'; }
has_no_login() { [ -z "$(login_of "$1")" ]; }
session_of() { lumen sessions | awk -v account="$1" '$2 == account || $3 == account { print $1 }'; }
supervisor_of() { lumen sessions --json | jq --arg account "$1" '.[] | select(.user == $account).supervisor_pid'; }

# workers_of ACCOUNT: name and process of each worker of its desktop, a line each.
workers_of() {
    local pid
    for pid in $(pgrep --parent "$(supervisor_of "$1")"); do
        echo "$(cat "/proc/$pid/comm") $pid"
    done
}

# end_desktop ACCOUNT
end_desktop() {
    local session
    session=$(session_of "$1")
    [ -z "$session" ] || lumen stop "$session"
    wait_until "the login session of $1 has ended" has_no_login "$1"
}
