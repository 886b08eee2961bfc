#!/usr/bin/env bash
# shows: a driver that fails, hangs, aborts, writes garbage or cuts pictures short, in its trial or later: the picture comes back, the app stays, the rung and its reason are right, there is no loop
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/graphics.sh
source /share/guest/graphics.sh

# On a machine that is busy with more than this.
PATIENCE=300
# media-proc/src/shell/sharing.rs: so many pictures are encoded before the first is shown.
TRIED=3
# Media is started some thirty times, and draws in its trial. So it draws little and seldom.
lumen_size=96x80

restarts() { as alice lumen status | awk '$1 == "media" { print $6 }'; }
millis() { echo $((${EPOCHREALTIME/./} / 1000)); }

# restart_with LINE...: another driver; media is restarted by hand, so that it is tried.
restart_with() {
    personality "$@"
    before=$(restarts) pictures=$(pictures_of viewer picture) since=$(millis)
    as alice lumen restart media >/dev/null
}

# rung_becomes RUNG REASON ENDS: the picture is there again, media is there after so many ends of its own, and the app is
# the one that was there.
rung_becomes() {
    local ended
    wait_until "$1$2" says_both "$1" "$2"
    ended=$(millis)
    wait_until 'a picture' more_pictures_of viewer picture "$pictures"
    say "$1 after $((ended - since)) ms, a picture after $(($(millis) - since))"
    wait_until 'all workers are ready' all_ready
    expect 'the rung' "$(rung)" "$1"
    expect 'ends of media but the one that was asked for' "$(($(restarts) - before - 1))" "$3"
    expect 'the apps' "$(apps)" "$apps"
}
# shellcheck disable=SC2329 # called by wait_until
says_both() { local said; said=$(graphics) && [[ $said == "$1"*"$2"* ]]; }

# mended: the driver without a fault brings the first rung back.
mended() {
    restart_with
    rung_becomes 'rung 1' 'without a copy' 0
}

# in_trial FAULT REASON: of a driver whose first picture is wrong.
in_trial() {
    say "in its trial it $1"
    restart_with "fault $1" 'at 1'
    rung_becomes 'rung 2' "encoded by the processor: $2" 0
    mended
}

# later FAULT END: of a driver that works in its trial, and not then.
later() {
    say "later it $1"
    restart_with "fault $1" "at $((TRIED + 2))"
    rung_becomes 'rung 2' "media ended 2 times within a minute while it drew and encoded by it, the last time it $2" 2
    mended
}

make_node alice
install_driver
personality
start_mixed_desktop alice --fps 5
start_viewer viewer
hears viewer '^picture'
apps=$(apps)

in_trial fails 'vaEndPicture failed'
in_trial garbage "the driver's stream is wrong"
in_trial truncates "the driver's stream is wrong"
in_trial overflows 'the driver says that a coded picture'
say 'in its trial it aborts'
restart_with 'fault aborts' 'at 1'
rung_becomes 'rung 2' 'media ended 2 times within a minute while it drew and encoded by it, the last time it was ended by signal 6' 2
mended

later fails 'exited with 117 (GpuLost)'
later garbage 'exited with 117 (GpuLost)'
later truncates 'exited with 117 (GpuLost)'
later overflows 'exited with 117 (GpuLost)'
later aborts 'was ended by signal 6'

# Where the processor draws, media waits a minute for a picture, and one second elsewhere (media-proc/src/shell/watch.rs).
# The supervisor does not hear of it for so long, and ends it.
later hangs 'was ended by signal 9'
leave viewer
stop_lumen
