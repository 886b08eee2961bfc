#!/usr/bin/env bash
# Builds the VM's image from Debian packages unless the same one is there already, and prints the
# folder that holds it: vmlinuz, initrd.img, root.img.
#
# The folder's name is a hash of everything the recipe consists of, so an image is never stale and
# never built twice. Works as root, and as a user who may make user namespaces.
set -euo pipefail
cd "$(dirname "$0")"
source ../debian.sh
# resize2fs is there, and in no ordinary user's PATH.
PATH=$PATH:/usr/sbin

SUITE=bookworm
# A disk image needs room for what tests write; it is sparse, so the room costs nothing.
DISK=2G

cache=${LUMEN_VM_CACHE:-$(realpath ../..)/tests/.artifacts/vm}

say() { printf 'image: %s\n' "$*" >&2; }

recipe_hash() {
    cat image.sh ../debian.sh image/* | sha256sum | cut -c1-16
}

packages() {
    sed -E 's/#.*//; s/[[:space:]]+//g; /^$/d' image/packages | paste -sd,
}

# dpkg never unpacks what no test needs; documentation and drivers are two thirds of a system.
UNPACK=(
    path-exclude='/usr/share/doc/*'
    path-exclude='/usr/share/man/*'
    path-exclude='/usr/share/locale/*'
    path-exclude='/lib/modules/*/kernel/arch/*'
    path-exclude='/lib/modules/*/kernel/drivers/*'
    path-exclude='/lib/modules/*/kernel/sound/*'
    path-include='/lib/modules/*/kernel/drivers/block/virtio_blk.ko'
    path-include='/lib/modules/*/kernel/drivers/gpu/drm/*.ko'
    path-include='/lib/modules/*/kernel/drivers/gpu/drm/vgem/*'
    path-include='/lib/modules/*/kernel/drivers/input/*.ko'
    path-include='/lib/modules/*/kernel/drivers/input/misc/uinput.ko'
    path-include='/lib/modules/*/kernel/drivers/virtio/*'
)

build() {
    say 'building the image (a few minutes; kept until its recipe changes)'
    local folder=$1 units=/etc/systemd/system options=() sources
    network_options >"$folder/apt.conf"
    [ ! -s "$folder/apt.conf" ] || options+=(--aptopt="$folder/apt.conf")
    mapfile -t sources < <(mirrors "$SUITE")
    # shellcheck disable=SC2016 # $1 is the new system's folder, filled in when a hook runs
    mmdebstrap --variant=essential --format=ext2 "${options[@]}" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io "${UNPACK[@]/#/--dpkgopt=}" \
        --include="$(packages)" \
        --essential-hook='upload image/inside.sh /inside.sh' \
        --essential-hook='chroot "$1" sh /inside.sh before_kernel' \
        --customize-hook="upload image/lumen-tests.service $units/lumen-tests.service" \
        --customize-hook='chroot "$1" sh /inside.sh finish' \
        --customize-hook="download /vmlinuz '$folder/vmlinuz'" \
        --customize-hook="download /initrd.img '$folder/initrd.img'" \
        "$SUITE" "$folder/root.img" "${sources[@]}" >&2
    truncate --size="$DISK" "$folder/root.img"
    resize2fs -f "$folder/root.img" >/dev/null 2>&1
}

cached "$cache" "image-$(recipe_hash)" build
