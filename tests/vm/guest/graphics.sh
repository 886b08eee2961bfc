# shellcheck shell=bash
# Shared by the tests of graphics processors, after lib.sh: the kernel's device for tests, on which Mesa draws by the
# processor, and the tests' driver, which encodes.

# The node that draws.
NODE=/dev/dri/card0
# Drawing by the processor is slow, and the machine is emulated, too.
lumen_size=176x144
EGL=$(ldconfig -p | awk '$1 == "libEGL.so.1" && !found++ { print $NF }')

# make_node ACCOUNT: makes the device, for this account alone.
make_node() {
    modprobe vgem
    udevadm wait --timeout="$PATIENCE" "$NODE"
    chown "$1" "$NODE"
}

# libva finds the driver by the name of the kernel's.
driver=$(dirname "$EGL")/dri/vgem_drv_video.so
install_driver() { install -m 644 /share/guest/vgem_drv_video.so "$driver"; }
remove_driver() { rm -f "$driver"; }

# personality LINE...: what kind of driver it is from now on.
personality() { printf '%s\n' "$@" >/usr/lib/lumen-test-va; }

# What `lumen status` says of who draws and encodes, and the same without what Mesa calls itself.
graphics() { as "$lumen_user" lumen status | sed -n 's/^graphics //p'; }
without_names() { graphics | sed 's/ by .* (/ by … (/'; }
says() { [[ $(graphics) == *"$1"* ]]; }
rung() { graphics | cut -c-6; }

# pictures_of VIEWER KIND: how many it has seen: each `picture` with which a decoder can start, each `decoded` one.
pictures_of() { grep -c "^$2" "$scratch/$1" || true; }
more_pictures_of() { [ "$(pictures_of "$1" "$2")" -gt "$3" ]; }

# start_mixed_desktop USER OPTION...: with two apps, one of shared memory and one of the device's, as the compositor says.
start_mixed_desktop() {
    local said=$scratch/apps/dmabuf
    install -d -o "$1" "$scratch/apps"
    start_lumen "$@" --gpu "$NODE" --encoder vaapi -- \
        sh -c "/share/guest/dmabuf-app.py $NODE >$said 2>&1 & exec foot"
    await_line "$said" '^accepted' "$lumen_pid"
    wait_until 'both have a window' prints '^compositor .* 2 windows of ' as "$1" lumen status
}

# Its apps' processes.
apps() { pgrep --exact --delimiter ' ' 'foot|python3'; }
