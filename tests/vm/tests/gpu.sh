#!/usr/bin/env bash
# shows: a trial tells what a node is worth; media draws on it and encodes by VA-API, descends after two deaths, says why where it cannot
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/graphics.sh
source /share/guest/graphics.sh

# expect_processor WHAT REASON [OPTION...]: starts a desktop that the processor draws, for that reason.
expect_processor() {
    local what=$1 reason=$2
    shift 2
    start_lumen alice "$@" -- foot
    wait_until "rung 3: $what" says "$reason"
    expect "$what" "$(graphics)" "rung 3: drawn and encoded by the processor$reason"
    stop_lumen
}

make_node alice
# A test before this one may have left it.
remove_driver

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
expect 'the rung after one death' "$(rung)" 'rung 2'
pictures=$(pictures_of viewer picture)
kill_worker media
expect 'the rung after two' "$(rung)" 'rung 3'
says 'media ended 2 times within a minute while it drew' || fail "the reason: $(graphics)"
wait_until 'the viewer has a picture again' more_pictures_of viewer picture "$pictures"
expect 'the app' "$(pgrep --exact foot)" "$app"
expect 'frames drawn on the node' "$(metric media frames_drawn_total)" 0
expect 'who has the node' "$(holders "$NODE")" ''
leave viewer
stop_lumen

install_driver
try_out "$scratch/reports/with.txt"
expect 'encoding in one place' "$(found "$scratch/reports/with.txt" 'without a copy')" \
    "drawn into the encoder's memory as plain numbers say, and encoded there"
prints ' ms in the median, ' found "$scratch/reports/with.txt" \
    'converting and encoding by the graphics processor, without a copy' ||
    fail "no times: $(cat "$scratch/reports/with.txt")"

# The first rung: an app's shared memory and another's memory of the device, drawn into the driver's memory and encoded
# there.
personality 'log -'
start_mixed_desktop alice
expect 'who encodes' "$(without_names)" "rung 1: drawn by … ($NODE, vgem), without a copy"
says "and encoded by Lumen's test driver" || fail "not the driver: $(graphics)"
start_viewer another --decode
hears another '^picture'
expect 'what media says' "$(as alice lumen status | grep -c '^media .* VA-API without a copy, ')" 1
app=$(pgrep --exact foot)
drawn=$(metric media frames_drawn_total)
[ "$drawn" -gt 0 ] || fail "frames drawn on the node: $drawn"
expect 'frames that the processor touched' "$(metric media frames_mapped_total)" 0
expect 'the rung that media counts' "$(metric media graphics_rung)" 1
# What the viewer decodes is, bit for bit, what the driver reconstructed.
wait_until 'the viewer has decoded some' more_pictures_of another decoded 20
reconstructed() { sed -n 's/.*reconstructed [a-z]* [0-9]* //p' "$lumen_log" | sort -u; }
strange=$(comm -23 <(sed -n 's/^decoded //p' "$scratch/another" | sort -u) <(reconstructed) | wc -l)
expect 'decoded pictures that the driver has not made' "$strange" 0
say "decoded: $(pictures_of another decoded), different ones: $(sed -n 's/^decoded //p' "$scratch/another" | sort -u | wc -l)"

# Another size takes another encoder, whose memory is drawn into, too.
metric_is() { [ "$(metric media "$1")" = "$2" ]; }
play another input "$(printf '08%04x%04x%04x' 208 160 120)"
wait_until 'pictures have another size' metric_is coded_width_pixels 208
decoded=$(pictures_of another decoded)
wait_until 'the viewer decodes them' more_pictures_of another decoded $((decoded + 3))
expect 'frames that the processor touched' "$(metric media frames_mapped_total)" 0

# Nobody watches: memory is given back, and there again for the next viewer. That takes nothing but VP8: the processor
# encodes it, and reads back what is drawn.
rests() { [ "$(grep -c 'memory for pictures is given back' "$lumen_log")" -gt "$1" ]; }
rested=$(grep -c 'memory for pictures is given back' "$lumen_log" || true)
leave another
wait_until 'media rests' rests "$rested"
start_viewer plain --vp8
hears plain '^picture'
expect 'the rung while VP8 is wanted' "$(metric media graphics_rung)" 2
mapped=$(metric media frames_mapped_total)
[ "$mapped" -gt 0 ] || fail 'VP8 of nothing'
leave plain
start_viewer again --decode
wait_until 'the next viewer decodes pictures' more_pictures_of again decoded 3
expect 'the rung once H.264 will do' "$(metric media graphics_rung)" 1
mapped=$(metric media frames_mapped_total)
decoded=$(pictures_of again decoded)
wait_until 'the next viewer decodes more' more_pictures_of again decoded $((decoded + 3))
expect 'frames that the processor touched meanwhile' "$(($(metric media frames_mapped_total) - mapped))" 0
strange=$(cat "$scratch"/{another,again} | sed -n 's/^decoded //p' | sort -u | comm -23 - <(reconstructed) | wc -l)
expect 'decoded pictures that the driver has not made' "$strange" 0

# Two deaths within a minute: what is drawn is read back and encoded by the processor.
kill_worker media
expect 'the rung after one death' "$(rung)" 'rung 1'
pictures=$(pictures_of again picture)
kill_worker media
expect 'the rung after two' "$(without_names)" \
    "rung 2: drawn by … ($NODE, vgem), encoded by the processor: media ended 2 times within a minute while it \
drew and encoded by it, the last time it was ended by signal 9; \`lumen restart media\` tries it again"
wait_until 'the viewer has a picture again' more_pictures_of again picture "$pictures"
expect 'the app' "$(pgrep --exact foot)" "$app"
as alice lumen restart media
wait_until 'the first rung again' says 'rung 1'
leave again
stop_lumen

# A driver that shows its memory to the processor only.
personality 'exports 0'
start_lumen alice --gpu "$NODE" --encoder vaapi -- foot
expect 'who encodes' "$(without_names)" "rung 2: drawn by … ($NODE, vgem), encoded by Lumen's test driver: with a copy, \
because vaExportSurfaceHandle failed with 0x24"
start_viewer second
hears second '^picture'
expect 'what media says' "$(as alice lumen status | grep -c '^media .* VA-API, ')" 1
leave second
stop_lumen

# Left to itself, media compares both, once, and says what it has found.
personality
start_lumen alice --gpu "$NODE" -- foot
compared=': VA-API (keeps the processor busy for|takes) [0-9.]+ ms'
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
