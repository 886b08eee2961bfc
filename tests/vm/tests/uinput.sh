#!/usr/bin/env bash
# shows: instruments for pads: evtest sees exact values, jstest a joystick, SDL2 its mapping
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

make_pad test/0
say "nodes: $pad_event $pad_joystick"

record_events "$pad_event" "$scratch/events"
press 0x130 1
await_line "$scratch/events" '\(BTN_SOUTH\), value 1$' "$evtest_pid"
turn 0 -12345
await_line "$scratch/events" '\(ABS_X\), value -12345$' "$evtest_pid"
turn 5 200
await_line "$scratch/events" '\(ABS_RZ\), value 200$' "$evtest_pid"
prints ' evtest$' holders "$pad_event" || fail 'evtest is not seen to hold the device'
expect 'who holds /dev/uinput' "$(holders /dev/uinput | cut -d' ' -f2)" python3

stdbuf --output=L jstest --event "$pad_joystick" >"$scratch/joystick" 2>&1 &
await_line "$scratch/joystick" '^Joystick \(Xbox 360 Controller\) has 8 axes' $!

found=$(python3 /share/guest/sdl-pads.py)
say "SDL2: $found"
expect 'vendor and product' "$(jq -r '"\(.vendor) \(.product)"' <<<"$found")" '1118 654'
jq -e '.mapping | test("a:b0,") and test("lefttrigger:a2,") and test("dpup:h0.1,")' <<<"$found" \
    >/dev/null || fail 'SDL2 does not know it as a controller'

unplug_pad
