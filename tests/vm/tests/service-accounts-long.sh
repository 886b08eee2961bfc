#!/usr/bin/env bash
# shows: accounts under systemd: an expired password changed, a second factor, a group that may, one answer for all who may not; failing session modules and calls leave nothing
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/service.sh
source /share/guest/service.sh
# shellcheck source=../guest/desktops.sh
source /share/guest/desktops.sh

CHANGED='another horse, 9 hands'
DROP_IN=/run/systemd/system/lumen-login@.service.d

# The code that a second factor shows now (RFC 6238), of the secret in the file.
code() {
    python3 - "$1" <<'CODE'
import base64, hmac, struct, sys, time
with open(sys.argv[1]) as file:
    secret = base64.b32decode(file.readline().strip())
digest = hmac.digest(secret, struct.pack(">Q", int(time.time()) // 30), "sha1")
place = digest[-1] & 15
print(f"{(int.from_bytes(digest[place:place + 4], 'big') & 0x7FFFFFFF) % 10**6:06}")
CODE
}

# kind ACCOUNT: of its login session.
kind() { loginctl show-session --property=Type --property=Class --value "$(login_of "$1")" | xargs; }

# Sign-ins that go on or lead a session, and what is there of an account. Its own manager stays for a few seconds
# after its sessions.
attempts() { systemctl list-units --plain --no-legend 'lumen-login@*' 'lumen-session@*' | awk '{ print $1 }'; }
traces() {
    local pid
    for pid in $(pgrep --uid="$1"); do
        grep --quiet '/user@[0-9]*\.service/' "/proc/$pid/cgroup" 2>/dev/null ||
            tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null || true
    done
    login_of "$1"
    attempts
    pgrep --list-full --uid=root --full '^/usr/libexec/lumen/lumen-login' || true
}

only_leaders() { [ "$(attempts | grep --count login)" = 2 ]; }
leaves_nothing() { [ "$(traces carol)" = "$nothing" ]; }
is_logged() { prints "$2" journalctl --identifier=lumen-login --since="@$1"; }

breakages=0

# breaks WHAT LOG: carol signs in, but her session fails, for a reason that is in the log.
breaks() {
    local since=$EPOCHSECONDS
    # Each from another address, because passwords from one are tried slowly.
    browser=carol from=127.0.1.$((++breakages))
    sign_in carol "$PASSWORD"
    [ "$status" != 200 ] || fail "carol has a session without $1"
    expect "the answer without $1" "$status $answer" "${answer_to_broken:=$status $answer}"
    wait_until "nothing is left of a session without $1" leaves_nothing
    wait_until "the log says: $2" is_logged "$since" "$2"
}

serve_accounts
for account in carol dave; do
    id --user "$account" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$account"
    echo "$account:$PASSWORD" | chpasswd
done
getent group desktops >/dev/null || groupadd desktops
for account in alice bob carol; do gpasswd --add "$account" desktops >/dev/null; done
settings 'login-groups = ["desktops"]'
# As an administrator has a second factor asked for, of whom has one.
cp --preserve /etc/pam.d/common-auth "$scratch/common-auth"
echo 'auth required pam_google_authenticator.so nullok' >>/etc/pam.d/common-auth
printf '%s\n" TOTP_AUTH\n' JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP >/home/bob/.google_authenticator
chown bob: /home/bob/.google_authenticator
chmod 400 /home/bob/.google_authenticator

say "alice's password has expired, and is changed as she signs in"
chage --lastday 0 alice
browser=alice
sign_in alice "$PASSWORD" "$PASSWORD" "$CHANGED" "$CHANGED"
for words in 'You are required to change your password' 'Current password' 'New password' 'Retype new password'; do
    grep --quiet "$words" <<<"$asked" || fail "alice was not told '$words' but: $asked"
done
expect 'the answer to alice' "$status" 200
expect 'whether the log-in opens the desktop' "$(session_status)" 200
expect "alice's login session" "$(kind alice)" 'wayland user'
in_view alice "$CHANGED"

say 'bob has a second factor'
browser=bob
sign_in bob "$PASSWORD" "$(code /home/bob/.google_authenticator)"
expect 'what bob was asked' "$(xargs <<<"$asked")" 'Password: Verification code:'
expect 'the answer to bob' "$status" 200
expect 'whether the log-in opens the desktop' "$(session_status)" 200
expect "bob's login session" "$(kind bob)" 'wayland user'

say 'who may not sign in learns nothing of why'
browser=stranger from=127.0.0.2
sign_in nobody-here "$PASSWORD"
refused="$status $answer"
expect 'the answer to an unknown account' "$status" 401
sign_in alice 'wrong horse'
expect 'the answer to a wrong password' "$status $answer" "$refused"
sign_in alice "$PASSWORD"
expect 'the answer to the password of before' "$status $answer" "$refused"
sign_in bob "$PASSWORD" 000000
expect 'the answer to a wrong second factor' "$status $answer" "$refused"
from=127.0.0.3
sign_in dave "$PASSWORD"
expect 'the answer to an account outside the group' "$status $answer" "$refused"
await_login_journal 'none of the groups' || fail 'the log does not say why'
passwd --quiet --lock carol
sign_in carol "$PASSWORD"
expect 'the answer to an account that is locked' "$status $answer" "$refused"
passwd --quiet --unlock carol
echo "root:$PASSWORD" | chpasswd
sign_in root "$PASSWORD"
expect 'the answer to root' "$status $answer" "$refused"

say 'a session that cannot be opened as a whole is not opened'
cp --preserve "$scratch/common-auth" /etc/pam.d/common-auth
wait_until 'the attempts before are over' only_leaders
nothing=$(traces carol)
cp --preserve /etc/pam.d/lumen "$scratch/lumen.pam"
echo 'session required pam_deny.so' >>/etc/pam.d/lumen
breaks pam_open_session 'PAM does not open the session'
cp --preserve "$scratch/lumen.pam" /etc/pam.d/lumen
echo 'carol - maxlogins 0' >/etc/security/limits.d/lumen-tests.conf
breaks 'a login that limits allow' 'PAM does not open the session'
echo 'carol hard nproc 0' >/etc/security/limits.d/lumen-tests.conf
breaks 'a process that limits allow' "the user's side cannot be started"
rm /etc/security/limits.d/lumen-tests.conf
mkdir "$DROP_IN"
for call in setgroups setresgid setresuid; do
    printf '[Service]\nSystemCallFilter=~%s\nSystemCallErrorNumber=EPERM\n' "$call" >"$DROP_IN/test.conf"
    systemctl daemon-reload
    breaks "$call" "the account's groups cannot be taken|the user's side cannot be started"
done
rm -r "$DROP_IN"
systemctl daemon-reload
from=127.0.0.4
sign_in carol "$PASSWORD"
expect 'the answer once nothing fails' "$status" 200
end_desktop carol
