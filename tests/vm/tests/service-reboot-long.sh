#!/usr/bin/env bash
# shows: the machine starts anew: the service, which is enabled, serves, and an account signs in to a desktop of its own
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/service.sh
source /share/guest/service.sh
# shellcheck source=../guest/desktops.sh
source /share/guest/desktops.sh

# The kernel's name of this start of the machine.
BOOT=/proc/sys/kernel/random/boot_id
KEPT=/opt/lumen-tests/boot

if ! has_restarted; then
    serve_accounts
    in_view alice "$PASSWORD"
    cp "$BOOT" "$KEPT"
    say 'the machine starts anew, with a desktop'
    restart_machine
fi

[ "$(<"$BOOT")" != "$(<"$KEPT")" ] || fail 'the machine has not started anew'
expect 'lumen.service is' "$(systemctl is-enabled lumen.service)" enabled
wait_until 'it says that it serves' has_status 'Browsers connect to .*; 0 sessions'
in_view alice "$PASSWORD"
expect 'whether the log-in opens the desktop' "$(session_status)" 200
expect "alice's login session" "$(loginctl show-session --property=Type --property=Class --value "$(login_of alice)" | xargs)" \
    'wayland user'
expect 'what her desktop carries out' "$(inside alice 'id --user --name')" alice
