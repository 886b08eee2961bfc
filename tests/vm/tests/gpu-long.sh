#!/usr/bin/env bash
# shows: a hundred deaths of media on the first rung: apps live, and DMA-BUFs and descriptors stay as many as they were
# shellcheck source=../guest/lib.sh
source /share/guest/lib.sh
# shellcheck source=../guest/graphics.sh
source /share/guest/graphics.sh

# On a machine that is busy with more than this.
PATIENCE=300
# Media is started 150 times, and draws in its trial. So it draws little and seldom, and is watched by looking at files:
# asking Lumen takes an emulated processor longer.
lumen_size=96x80
# Two deaths each.
ROUNDS=50
# Counts are compared after each so many rounds, with those after the first of them.
APART=10

make_node alice
install_driver
personality
mountpoint --quiet /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug

# How many buffers of devices the kernel has, whoever holds them.
dma_bufs() { awk '/^Total .* objects/ { print $2 }' /sys/kernel/debug/dma_buf/bufinfo; }

worker() { pgrep --parent "$supervisor" --exact "lumen-$1"; }
counts() {
    echo "$(dma_bufs) DMA-BUFs; descriptors of the supervisor $(descriptors "$supervisor")," \
        "compositor $(descriptors "$(worker composito)"), media $(descriptors "$(worker media)")"
}
# Each look takes place after the one before, so what is on its way has come or gone after some that are alike.
are_settled() {
    local before=$settled
    settled=$(counts)
    [ "$settled" = "$before" ] || alike=0
    [ $((++alike)) -gt 5 ]
}
are_as_before() { [ "$(counts)" = "$settled" ]; }

# How often a media has begun to draw.
draws() { grep --count 'media draws by a graphics processor' "$lumen_log" || true; }
draws_again() { [ "$(draws)" -gt "$1" ]; }

# after WHAT COMMAND...: what the command does to media, after which another draws, and the viewer has a picture of it.
after() {
    local what=$1 drawn pictures
    shift
    drawn=$(draws) pictures=$(pictures_of viewer picture)
    "$@"
    wait_until "media draws again after $what" draws_again "$drawn"
    wait_until "a picture after $what" more_pictures_of viewer picture "$pictures"
}

# Media dies on the first rung.
die() {
    local media
    expect "the rung before death $((++deaths))" "$(rung)" 'rung 1'
    media=$(worker media)
    after "death $deaths" kill -KILL "$media"
}

start_mixed_desktop alice --fps 5
start_viewer viewer
hears viewer '^picture'
supervisor=$(ps --format ppid= --pid "$(worker_pid media)" | xargs)
apps=$(apps) deaths=0 settled='' alike=0

for ((round = 1; round <= ROUNDS; round++)); do
    die
    # The second within a minute costs the rung, which is tried again then.
    die
    after 'the restart' as alice lumen restart media
    [ $((round % APART)) = 0 ] || continue
    say "after $deaths deaths: $(counts)"
    if [ "$round" = "$APART" ]; then
        wait_until 'counts stay as they are' are_settled
    else
        wait_until "counts are '$settled'" are_as_before
    fi
    expect 'the apps' "$(apps)" "$apps"
    expect 'frames that the processor touched' "$(metric media frames_mapped_total)" 0
done
expect 'deaths' "$deaths" $((2 * ROUNDS))
leave viewer
stop_lumen
