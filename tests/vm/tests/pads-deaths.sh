#!/usr/bin/env bash
# shows: kill -9 of lumen-gamepad and lumen-rtc: evtest keeps its device and sees the next press
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

PRESS='\(BTN_EAST\), value 1$'

presses() { grep -c -E "$PRESS" "$scratch/events" || true; }
more_presses() { [ "$(presses)" -gt "$1" ]; }

check_press() {
    local before
    before=$(presses)
    play pads 'pad 0 2 0 0 0 0 0 0'
    wait_until 'evtest sees the press' more_presses "$before"
    play pads 'pad 0 0 0 0 0 0 0 0'
    kill -0 "$evtest_pid" || fail 'evtest lost its device'
    expect 'the node' "$(lumen_pad 0 event)" "$pad_event"
    expect 'who holds /dev/uinput' "$(holders /dev/uinput | cut -d' ' -f2)" lumen-gamepad
}

start_pad_desktop
start_player pads
play pads 'pad 0 0 0 0 0 0 0 0'
await_pad 0
record_events "$pad_event" "$scratch/events"
check_press

for round in 1 2; do
    # A button is held while the process dies: the successor releases it, and rtc reports it as down again.
    play pads 'pad 0 1 0 0 0 0 0 0'
    await_line "$scratch/events" '\(BTN_SOUTH\), value 1$' "$evtest_pid"
    kill_worker gamepad
    say "gamepad died, round $round"
    check_press
    expect 'devices made by the successor' "$(metric gamepad devices_created_total)" 0

    # The viewer must come back within the pads' grace; nothing else uses the processor meanwhile.
    connected=$(grep -c ^connected "$scratch/pads")
    kill -KILL "$(worker_pid rtc)"
    came_back() { [ "$(grep -c ^connected "$scratch/pads")" -gt "$connected" ]; }
    wait_until 'the viewer is back' came_back
    say "rtc died, round $round"
    check_press
done
expect 'devices made or removed since' \
    "$(metric gamepad devices_created_total) $(metric gamepad devices_destroyed_total)" '0 0'

# The successor answers requests that programs made while there was no gamepad worker.
kill -STOP "$(worker_pid gamepad)"
as alice fftest "$pad_event" </dev/null >"$scratch/fftest" 2>&1 &
waits_for_kernel() { pgrep --exact fftest >/dev/null; }
wait_until 'fftest asks' waits_for_kernel
kill_worker gamepad
no_fftest() { ! pgrep --exact fftest >/dev/null; }
wait_until 'fftest has its answers' no_fftest

# If nobody comes back, the device is removed after its grace.
kill "$evtest_pid"
leave pads
wait_until 'the device is gone' test ! -e "$pad_event"
stop_lumen
