#!/usr/bin/env bash
# shows: the package's service over time: twenty restarts in a row, a host that is stuck
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/service.sh
source /share/guest/service.sh

echo "alice:$PASSWORD" | chpasswd
install_package
systemctl --quiet enable --now lumen || fail 'the service does not start'
lumen session --user alice --name work -- sleep 10000 >"$scratch/session" 2>&1 &
session=$!
wait_until 'the host has a session' has_status '1 session'
sign_in alice "$PASSWORD"
expect 'the answer to the sign-in' "$status" 200

say 'twenty restarts, each as soon as the one before is done'
for _ in {1..20}; do
    systemctl restart lumen
done
wait_until 'the host has the session' has_status '1 session'
expect 'whether the log-in opens the desktop' "$(session_status)" 200

say 'a host that is stuck is ended and another serves'
before=$(property MainPID)
kill -STOP "$before"
wait_until 'another host serves' is_another "$before"
await_journal 'Watchdog timeout' || fail 'it was not the watchdog'
wait_until 'it has the session' has_status '1 session'
expect 'whether the log-in opens the desktop' "$(session_status)" 200

kill "$session"
wait "$session" || true
