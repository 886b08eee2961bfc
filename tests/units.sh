#!/usr/bin/env bash
# What systemd says of our units: mistakes in them, and how exposed the services are. Needs no running systemd.
set -euo pipefail
cd "$(dirname "$0")/.."

# The highest exposure that a service may have, in tenths, and the one that is aimed at; systemd/README.md has the
# reason of each line, and what stands between the two.
#
# service                        exposure  aim
EXPOSURE='
lumen.service                    29        20
lumen-login@.service             98        98
lumen-oidc@.service              13        13
lumen-session@.service           32        32
'

fail() { printf 'units: %s\n' "$*" >&2; exit 1; }

command -v systemd-analyze >/dev/null || fail 'systemd-analyze is missing: tests/install.sh test'
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
cp systemd/*.service systemd/*.socket systemd/*.slice "$copies"
# Systemd looks whether a program is there, and Lumen need not be installed.
sed -i 's,^ExecStart=/usr/\(bin\|libexec/lumen\)/lumen[^ ]*,ExecStart=/bin/true,' "$copies"/*.service
cd "$copies"

# It prints what it would ignore, and succeeds all the same.
said=$(systemd-analyze verify --man=no ./*.service ./*.socket ./*.slice 2>&1) || fail "$said"
[ -z "$said" ] || fail "$said"
for service in *.service; do
    threshold=$(awk -v service="$service" '$1 == service { print $2 }' <<<"$EXPOSURE")
    [ -n "$threshold" ] || fail "how exposed may $service be? tests/units.sh does not say"
    systemd-analyze security --no-pager --offline=true --threshold="$threshold" "./$service" \
        >report || { cat report; fail "$service is more exposed than $threshold tenths"; }
done
