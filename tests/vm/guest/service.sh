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
    explain_viewers
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

# --- An identity provider ----------------------------------------------------------------------
PROVIDER=https://id.example:8443

# certify NAME OPTION...: a key and a certificate of that name, $scratch/NAME.key and $scratch/NAME.pem.
certify() {
    openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj "/CN=$1" -keyout "$scratch/$1.key" \
        -out "$scratch/$1.pem" "${@:2}" 2>"$scratch/openssl" || fail "$(cat "$scratch/openssl")"
}

# start_provider PERSON: says of every browser that it is this person's. Its pid is in `provider_pid`.
start_provider() {
    certify authority
    certify id.example -CA "$scratch/authority.pem" -CAkey "$scratch/authority.key" \
        -addext subjectAltName=DNS:id.example -addext basicConstraints=critical,CA:FALSE
    [ ! -e /etc/hosts ] || fail 'this machine knows names already'
    echo '127.0.0.1 id.example' >/etc/hosts
    python3 /share/guest/provider.py "$PROVIDER" 8443 "$scratch/id.example.pem" "$scratch/id.example.key" \
        lumen "its client's secret" "$1" >"$scratch/provider" 2>&1 &
    provider_pid=$!
    await_line "$scratch/provider" '^ready' "$provider_pid"
}

# trust_provider SECRET: what an administrator writes down.
trust_provider() {
    install -m 644 "$scratch/authority.pem" /etc/lumen/authority.pem
    printf 'issuer = "%s"\nclient_id = "lumen"\nca_file = "/etc/lumen/authority.pem"\n' "$PROVIDER" \
        >/etc/lumen/oidc.toml
    install -d -m 700 /etc/credstore
    (umask 077 && echo "$1" >/etc/credstore/lumen-oidc-secret)
}

# end_provider: what the package is told of it stays.
end_provider() {
    kill "$provider_pid"
    rm /etc/hosts /etc/lumen/authority.pem
}

# leave_for_provider: sets `attempt` and `visit`, where the browser has to go.
leave_for_provider() {
    post '{"provider":true}'
    expect 'the answer to a browser that signs in at the provider' "$status" 202
    attempt=$(jq --raw-output .attempt <<<"$answer") visit=$(jq --raw-output .visit <<<"$answer")
}

# return_from_provider: brings back what the provider gives. Sets `status` and `answer`.
return_from_provider() {
    local back
    back=$(curl --silent --show-error --cacert "$scratch/authority.pem" --output /dev/null \
        --write-out '%{redirect_url}' "$visit")
    post "$(jq --null-input --arg attempt "$attempt" --arg returned "${back#*\?}" '{$attempt, $returned}')"
    [ "$status" != 200 ] || jq --raw-output .key <<<"$answer" >"$scratch/$browser.key"
}

# The units of browsers that are away.
errands() { systemctl list-units --plain --no-legend 'lumen-oidc@*.service' | awk '{ print $1 }'; }
has_no_errand() { [ -z "$(errands)" ]; }
