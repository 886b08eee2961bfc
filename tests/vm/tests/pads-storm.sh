#!/usr/bin/env bash
# shows: 1,000 plugs a second, buttons of no pad and pad 255 harm nobody else, make few devices, are logged once
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

start_pad_desktop
start_player victim
play victim 'pad 0 0 0 0 0 0 0 0'
await_pad 0
record_events "$pad_event" "$scratch/events"

# Gamepad may create eight devices at once, and then one every two seconds.
start_player stormer
created=$(metric gamepad devices_created_total)
storm_began=$SECONDS
play stormer 'storm 1 1000'
hears stormer '^(stormed|closed)'
play victim 'pad 0 1 0 0 0 0 0 0'
await_line "$scratch/events" '\(BTN_SOUTH\), value 1$' "$evtest_pid"
created=$(($(metric gamepad devices_created_total) - created))
[ "$created" -le $((8 + (SECONDS - storm_began + 1) / 2)) ] || fail "$created devices were made"
say "devices made: $created, in $((SECONDS - storm_began)) s"

# All 32 bits of buttons cause no codes but those of the table.
play victim 'pad 0 4294967295 32767 32767 32767 32767 255 255'
await_line "$scratch/events" '\(BTN_MODE\), value 1$' "$evtest_pid"
play victim 'pad 0 0 0 0 0 0 0 0'
await_line "$scratch/events" '\(BTN_MODE\), value 0$' "$evtest_pid"
expect 'codes evtest has seen pressed' \
    "$(grep -oE '\(BTN_[A-Z0-9]+\), value 1$' "$scratch/events" | sort -u | wc -l)" 11

start_player liar
play liar 'raw 0aff0001'
hears liar '^closed '
play victim 'pad 0 2 0 0 0 0 0 0'
await_line "$scratch/events" '\(BTN_EAST\), value 1$' "$evtest_pid"
expect 'times pad 255 is logged' "$(as root lumen logs | grep -c 'gamepad index is 255')" 1
said=$(as root lumen logs gamepad | wc -l)
[ "$said" -le 20 ] || fail "gamepad logged $said lines"

# Four pads are enough; the fifth waits for a slot and gets it.
start_player crowd
for pad in 0 1 2 3; do play crowd "pad $pad 0 0 0 0 0 0 0"; done
full() { [ "$(metric gamepad devices_count)" = 4 ]; }
wait_until 'every slot has a device' full
play victim 'unplug 0'
adopted() { prints '^gamepad .*  4 pads$' as root lumen status; }
wait_until 'the waiting pad has the slot' adopted
kill -0 "$evtest_pid" || fail 'evtest lost the device that changed hands'
stop_lumen
