#!/usr/bin/env bash
# shows: a viewer's pad is an Xbox 360 pad that only alice can use: evtest, jstest, SDL2; press to event p50/p95
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# The positions of all buttons in the standard mapping, with their evdev names.
BUTTONS=(0 SOUTH 1 EAST 2 NORTH 3 WEST 4 TL 5 TR 8 SELECT 9 START 10 THUMBL 11 THUMBR 16 MODE)

# shellcheck disable=SC2016 # the inner shell expands it
opens() { as "$1" sh -c ': <>"$1"' sh "$2" 2>/dev/null; }

check_header() {
    local line
    for line in \
        'Input device ID: bus 0x3 vendor 0x45e product 0x28e version 0x114' \
        'Input device name: "Microsoft X-Box 360 pad"'; do
        grep -qF "$line" "$scratch/events" || fail "evtest does not print: $line"
    done
    expect 'axes: code, minimum, maximum, fuzz, flat' "$(awk '
        /Event code .*\(ABS_/ { code = $3 }
        /^ +(Min|Max|Fuzz|Flat) / { found[code] = found[code] " " $2 }
        /^ +Max / { order[code] = 1 }
        END { for (code = 0; code < 64; code++) if (code in order) printf "%d%s;", code, found[code] }
    ' "$scratch/events")" "$(
        for code in 0 1; do printf '%d -32768 32767 16 128;' $code; done
        printf '2 0 255;'
        for code in 3 4; do printf '%d -32768 32767 16 128;' $code; done
        printf '5 0 255;16 -1 1;17 -1 1;'
    )"
}

check_buttons() {
    local place name
    set -- "${BUTTONS[@]}"
    while [ $# -gt 0 ]; do
        place=$1 name=$2
        shift 2
        play pads "pad 0 $((1 << place)) 0 0 0 0 0 0"
        await_line "$scratch/events" "\(BTN_$name\), value 1\$" "$evtest_pid"
        play pads 'pad 0 0 0 0 0 0 0 0'
        await_line "$scratch/events" "\(BTN_$name\), value 0\$" "$evtest_pid"
        say "button $place is BTN_$name"
    done
}

check_axes() {
    local event
    # Up and left; sticks at odd positions and at their limits; one trigger half pulled, one fully.
    play pads "pad 0 $((1 << 12 | 1 << 14)) 12345 -23456 -32768 32767 128 255"
    for event in 'X\), value 12345' 'Y\), value -23456' 'RX\), value -32768' 'RY\), value 32767' \
        'Z\), value 128' 'RZ\), value 255' 'HAT0X\), value -1' 'HAT0Y\), value -1'; do
        await_line "$scratch/events" "\(ABS_$event\$" "$evtest_pid"
    done
    play pads "pad 0 $((1 << 13 | 1 << 15)) 0 0 0 0 0 0"
    for event in 'HAT0X\), value 1' 'HAT0Y\), value 1' 'X\), value 0' 'RZ\), value 0'; do
        await_line "$scratch/events" "\(ABS_$event\$" "$evtest_pid"
    done
    say 'axes and directional pad have exact values'
}

check_sdl() {
    local found
    found=$(as alice python3 /share/guest/sdl-pads.py)
    say "SDL2: $found"
    expect 'vendor and product' "$(jq -r '"\(.vendor) \(.product)"' <<<"$found")" '1118 654'
    jq -e '.mapping | test("a:b0,") and test("b:b1,") and test("x:b2,") and test("y:b3,")
        and test("lefttrigger:a2,") and test("righttrigger:a5,") and test("dpup:h0.1,")
        and test("guide:b8,")' <<<"$found" >/dev/null || fail 'SDL2 does not know its layout'
    expect 'pads SDL2 finds for bob' "$(as bob python3 /share/guest/sdl-pads.py)" ''
}

check_owner() {
    local node
    for node in "$pad_event" "$pad_joystick"; do
        opens alice "$node" || fail "alice cannot open $node"
        ! opens bob "$node" || fail "bob opens $node"
    done
    expect 'who holds /dev/uinput' "$(holders /dev/uinput | cut -d' ' -f2)" lumen-gamepad
    expect 'its user is neither root nor alice' \
        "$(stat --format=%u "/proc/$(worker_pid gamepad)" | grep -cvxE '0|1000')" 1
}

start_pad_desktop
start_player pads
expect 'devices before any pad' "$(metric gamepad devices_count)" 0
play pads 'pad 0 0 0 0 0 0 0 0'
await_pad 0
say "nodes: $pad_event $pad_joystick"

record_events "$pad_event" "$scratch/events"
check_header
check_buttons
check_axes
check_sdl
check_owner

stdbuf --output=L jstest --event "$pad_joystick" >"$scratch/joystick" 2>&1 &
await_line "$scratch/joystick" '^Joystick \(Microsoft X-Box 360 pad\) has 8 axes' $!

play pads "latency $pad_event 100"
hears pads '^latency'
say "press of a viewer's button to its event, emulated processor: $(grep ^latency "$scratch/pads")"

play pads 'unplug 0'
wait_until 'the device is gone' test ! -e "$pad_event"
stop_lumen
