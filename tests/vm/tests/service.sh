#!/usr/bin/env bash
# shows: the package: installed, enabled, sign-ins by password and at an identity provider, a desktop that one starts, restarts and an upgrade with a live desktop, removal, purge
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/service.sh
source /share/guest/service.sh

# Every file that is not the package manager's own, and every account.
everything() {
    find /etc /opt /srv /usr /var -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache \
        -o -path /var/log -o -path /var/tmp \) -prune -o -print | LC_ALL=C sort
    getent passwd
    getent group
}

app() { pgrep --uid=alice --exact sleep; }
apps_of_bob() { pgrep --uid=bob --exact sleep; }
bobs_logins() { loginctl list-sessions --no-legend | awk '$3 == "bob" { print $1 }'; }
has_no_login_of_bob() { [ -z "$(bobs_logins)" ]; }

# Tests before this one have left it installed.
[ ! -e /usr/bin/lumen ] || package --purge lumen

say 'installed: nothing is enabled, and nothing runs'
echo "alice:$PASSWORD" | chpasswd
everything >"$scratch/before"
install_package
expect 'lumen.service is' "$(systemctl is-enabled lumen.service || true), $(systemctl is-active lumen.service || true)" \
    'disabled, inactive'
expect 'processes of Lumen' "$(pgrep --count --full '/lumen' || true)" 0
lumen config check

say 'systemctl enable --now lumen'
systemctl --quiet enable --now lumen || fail 'the service does not start'
wait_until 'it says that it serves' has_status 'Browsers connect to https://.*; 0 sessions'
status=$(lumen status)
for worker in gateway turn; do
    grep -qE "^$worker .* ready " <<<"$status" || fail "$worker does not serve: $status"
    pid=$(awk -v worker="$worker" '$1 == worker { print $2 }' <<<"$status")
    expect "the program of $worker" "$(readlink "/proc/$pid/exe")" "/usr/libexec/lumen/lumen-$worker"
    expect "the user of $worker" "$(stat --format=%U "/proc/$pid")" "lumen-$worker"
    expect "capabilities of $worker" "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" 0000000000000000
    [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] ||
        fail "$worker is in the machine's network"
done
! await_journal 'nothing keeps turn from sending' || fail "the relay's datagrams are not held"
systemd-analyze security --no-pager lumen.service | tail -n 1
prints '<title>Lumen' browse "$PAGE/" || fail 'the page is not served'

say 'the first browser starts a host that is stopped'
systemctl stop lumen.service
answers || fail 'no answer at the page'
wait_until 'it serves' has_status 'Browsers connect'

say 'an account signs in by its password, and no other way'
lumen session --user alice --name work -- sleep 10000 >"$scratch/session" 2>&1 &
session=$!
wait_until 'the host has a session' has_status '1 session'
wait_until "alice's app runs" app >/dev/null
app=$(app)
sign_in alice 'wrong horse'
expect 'the answer to a wrong password' "$status" 401
refused=$answer
sign_in nobody-here "$PASSWORD"
expect 'the answer to an unknown account' "$status $answer" "401 $refused"
sign_in alice "$PASSWORD"
expect 'the answer to the right one' "$status" 200
expect 'whether the log-in opens the desktop' "$(session_status)" 200

say 'an account without a desktop gets one as it signs in: a login session of its own'
echo "bob:$PASSWORD" | chpasswd
browser=bob
printf 'auth = "password"\napp = "sleep 20000"\n' >/etc/lumen/lumen.toml
sign_in bob "$PASSWORD"
expect 'the answer to the account' "$status" 200
expect 'whether the log-in opens the desktop' "$(session_status)" 200
wait_until "bob's app runs" apps_of_bob >/dev/null
wait_until 'the host has both sessions' has_status '2 sessions'
app_of_bob=$(apps_of_bob)
expect "the kind of bob's login session" \
    "$(loginctl show-session --property=Type --property=Class --value "$(bobs_logins)" | xargs)" 'wayland user'
expect "what confines bob's app" \
    "$(awk '/^(NoNewPrivs|Seccomp):/ { printf "%s ", $2 }' "/proc/$app_of_bob/status")" '0 0 '
grep -q "/user-$(id --user bob).slice/" "/proc/$app_of_bob/cgroup" || fail "bob's app is not in bob's slice"
unit=$(systemctl list-units --plain --no-legend 'lumen-session@*.service' | awk '{ print $1 }')
programs=$(find "/sys/fs/cgroup$(systemctl show --property=ControlGroup --value "$unit")" -name cgroup.procs \
    -exec cat {} + | while read -r pid; do
    [ "$(stat --format=%U "/proc/$pid")" != bob ] || fail "$pid of $unit is bob's own process"
    basename "$(readlink "/proc/$pid/exe")"
done | sort | xargs)
expect "what runs in the desktop's unit" "$programs" 'lumen lumen-compositor lumen-gamepad lumen-media lumen-rtc lumen-sound'
systemd-analyze security --no-pager "$unit" | tail -n 1
browser=another
sign_in bob "$PASSWORD"
expect 'the answer to another browser' "$status" 200
expect "bob's app" "$(apps_of_bob)" "$app_of_bob"
lumen sessions
systemctl stop 'lumen-session@*.service'
wait_until "bob's login session has ended" has_no_login_of_bob
wait_until "the host has alice's session only" has_status '1 session'
! apps_of_bob || fail "bob's app outlives the desktop"
browser=first

say 'an account signs in at an identity provider, by a process of its own that has no rights'
start_provider alice
trust_provider 'not the secret'
printf 'auth = "password"\noidc-socket = "/run/lumen/oidc"\n' >/etc/lumen/lumen.toml
systemctl --quiet enable --now lumen-oidc.socket
systemctl restart lumen
wait_until 'the host has the session' has_status '1 session'
browser=provided
leave_for_provider
errand=$(errands)
pid=$(systemctl show --property=MainPID --value "$errand")
grep -qE '^Uid:.6[1-5][0-9]{3}.' "/proc/$pid/status" || fail "$errand is of no user that systemd has made"
expect "what confines $errand" \
    "$(awk '/^(CapEff|NoNewPrivs|Seccomp):/ { printf "%s ", $2 }' "/proc/$pid/status")" '0000000000000000 1 2 '
systemd-analyze security --no-pager "$errand" | tail -n 1
return_from_provider
expect 'the answer where the secret is wrong' "$status" 401
wait_until 'an administrator reads why' prints 'nobody is signed in: .*invalid_client' journalctl --unit="$errand"
trust_provider "its client's secret"
leave_for_provider
return_from_provider
expect 'the answer where it is right' "$status" 200
expect 'whether the log-in opens the desktop' "$(session_status)" 200
wait_until 'nothing of it is left' has_no_errand
end_provider
browser=first

say 'restarts: browsers wait, log-ins and desktops stay'
for _ in 1 2; do
    before=$(property MainPID)
    systemctl restart --no-block lumen
    answers || fail 'no answer during the restart'
    wait_until 'another host serves' is_another "$before"
    wait_until 'it has the session' has_status '1 session'
    expect 'whether the log-in opens the desktop' "$(session_status)" 200
done
expect "alice's app" "$(app)" "$app"

say 'reload'
printf 'auth = "password"\nbase-path = "/desk/"\n' >/etc/lumen/lumen.toml
systemctl reload lumen
wait_until 'what waits is told' has_status 'A restart is due for base-path'
printf 'auth = "password"\nlogin-idle = 1\n' >/etc/lumen/lumen.toml
systemctl reload lumen
wait_until 'the fault is told' await_journal 'lumen.toml:2: login-idle is the number 1'

say 'an upgrade'
printf 'auth = "password"\nlogin-idle = "12h"\n' >/etc/lumen/lumen.toml
before=$(property MainPID) fingerprint=$(lumen status | grep -A 1 SHA-256)
package --install /share/packages/lumen-2.deb
expect 'the version' "$(dpkg-query --show --showformat='${Version}' lumen)" 0.1.0-2
wait_until 'another host serves' is_another "$before"
wait_until 'it has the session' has_status '1 session'
expect "alice's app" "$(app)" "$app"
expect 'whether the log-in opens the desktop' "$(session_status)" 200
expect "the page's certificate" "$(lumen status | grep -A 1 SHA-256)" "$fingerprint"
expect "the administrator's file" "$(tail -n 1 /etc/lumen/lumen.toml)" 'login-idle = "12h"'
expect 'lumen.service is' "$(systemctl is-enabled lumen.service)" enabled

say 'removal ends what the service started, and purging leaves nothing'
kill "$session"
wait "$session" || true
package --remove lumen
expect 'processes of Lumen' "$(pgrep --count --full '/lumen' || true)" 0
! answers 2>/dev/null || fail 'something listens at the port of the page'
package --purge lumen
rmdir /etc/credstore || fail "the identity provider's secret is left"
everything >"$scratch/after"
diff "$scratch/before" "$scratch/after" || fail 'something is left, or missing'
[ ! -e /run/lumen ] || fail '/run/lumen is left'
expect 'units that are active or failed' "$(systemctl list-units --no-legend --plain 'lumen*' |
    grep --count --invert-match '^lumen-test' || true)" 0
