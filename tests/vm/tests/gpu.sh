#!/usr/bin/env bash
# shows: a trial tells what a node is worth; media draws on it and encodes by VA-API, descends after two deaths, says why where it cannot
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh

# Of the kernel's devices for tests, the node on which Mesa draws by the processor.
NODE=/dev/dri/card0
EGL=$(ldconfig -p | awk '$1 == "libEGL.so.1" && !found++ { print $NF }')

graphics() { as "$lumen_user" lumen status | sed -n 's/^graphics //p'; }
# The same without what Mesa calls itself.
without_names() { graphics | sed 's/ by .* (/ by … (/'; }
says() { [[ $(graphics) == *"$1"* ]]; }

# expect_processor WHAT REASON [OPTION...]: starts a desktop that the processor draws, for that reason.
expect_processor() {
    local what=$1 reason=$2
    shift 2
    start_lumen alice "$@" -- foot
    wait_until "rung 3: $what" says "$reason"
    expect "$what" "$(graphics)" "rung 3: drawn and encoded by the processor$reason"
    stop_lumen
}

# shellcheck disable=SC2329 # called by wait_until
more_pictures() { [ "$(grep -c '^picture' "$scratch/viewer")" -gt "$1" ]; }

modprobe vgem
udevadm wait --timeout="$PATIENCE" "$NODE"
chown alice "$NODE"

# try_out REPORT: what a trial of the node finds, which is to forbid no call and to end by itself.
try_out() {
    as alice lumen doctor --gpu "$NODE" --report "$1" >"$1.said" || fail "the trial: $(cat "$1.said")"
    expect 'forbidden calls' "$(found "$1" 'forbidden calls')" none
    expect 'media in the trial' "$(found "$1" media)" ''
    prints ' ms in the median, ' found "$1" 'drawing and converting by the graphics processor' ||
        fail "no times: $(cat "$1")"
    expect 'the pattern' "$(found "$1" pattern)" 'drawn and converted as plain numbers say, each sample'
    ! grep -q -e alice -e "$(hostname)" "$1" || fail "the report names somebody: $(cat "$1")"
    expect 'the video begins with' "$(od -A n -t x1 -N 5 "${1%.txt}.h264")" ' 00 00 00 01 67'
}
found() { sed -n "s/^$2  *//p" "$1" | grep -v '^by ' || true; }

install -d -o alice "$scratch/reports"
try_out "$scratch/reports/without.txt"
expect 'encoding without a driver' "$(found "$scratch/reports/without.txt" encoding)" \
    'not possible: vaInitialize failed with 0xffffffff'

start_lumen alice --gpu "$NODE" -- foot
expect 'who draws' "$(without_names)" \
    "rung 2: drawn by … ($NODE, vgem), encoded by the processor: vaInitialize failed with 0xffffffff"
says softpipe || fail "not the driver that interprets: $(graphics)"
start_viewer viewer
hears viewer '^picture'
drawn=$(metric media frames_drawn_total)
[ "$drawn" -gt 0 ] || fail "frames drawn on the node: $drawn"
say "frames drawn on the node: $drawn"
expect 'who has the node' "$(holders "$NODE" | cut -d' ' -f2)" lumen-media
app=$(pgrep --exact foot)

# One death is forgiven, the second within a minute is not.
kill_worker media
expect 'the rung after one death' "$(graphics | cut -c-6)" 'rung 2'
pictures=$(grep -c '^picture' "$scratch/viewer")
kill_worker media
expect 'the rung after two' "$(graphics | cut -c-6)" 'rung 3'
says 'media ended 2 times within a minute while it drew' || fail "the reason: $(graphics)"
wait_until 'the viewer has a picture again' more_pictures "$pictures"
expect 'the app' "$(pgrep --exact foot)" "$app"
expect 'frames drawn on the node' "$(metric media frames_drawn_total)" 0
expect 'who has the node' "$(holders "$NODE")" ''
leave viewer
stop_lumen

# libva finds the driver by the name of the kernel's.
install -m 644 /share/guest/vgem_drv_video.so "$(dirname "$EGL")/dri"
start_lumen alice --gpu "$NODE" --encoder vaapi -- foot
expect 'who encodes' "$(without_names)" "rung 2: drawn by … ($NODE, vgem), encoded by Lumen's test driver"
start_viewer another
hears another '^picture'
expect 'what media says' "$(as alice lumen status | grep -c '^media .* VA-API, ')" 1
leave another
stop_lumen

# Left to itself, media compares both, once, and says what it has found.
start_lumen alice --gpu "$NODE" -- foot
compared='encoded by .*: VA-API (keeps the processor busy for|takes) [0-9.]+ ms'
prints "$compared" graphics || fail "nothing was compared: $(graphics)"
chosen=$(graphics)
kill_worker media
expect 'what the next media encodes by' "$(graphics)" "$chosen"
start_viewer third
hears third '^picture'
leave third
stop_lumen

expect_processor 'switched off' ': --gpu is off' --gpu off
mv "$EGL" "$EGL.away"
expect_processor 'without EGL' " ($NODE, vgem): libEGL.so.1 cannot be loaded" --gpu "$NODE"
mv "$EGL.away" "$EGL"
chown root "$NODE"
expect_processor 'without permission' \
    " ($NODE, vgem): alice may not open it, for which most systems have the group \`render\`" \
    --gpu "$NODE"
