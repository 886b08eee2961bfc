#!/usr/bin/env bash
# Builds the VM's image from Debian packages unless the same one is there already, and prints the
# folder that holds it: vmlinuz, initrd.img, root.img.
#
# The folder's name is a hash of everything the recipe consists of, so an image is never stale and
# never built twice. Works as root, and as a user who may make user namespaces.
set -euo pipefail
cd "$(dirname "$0")"
# resize2fs is there, and in no ordinary user's PATH.
PATH=$PATH:/usr/sbin

SUITE=bookworm
# A disk image needs room for what tests write; it is sparse, so the room costs nothing.
DISK=2G

cache=${LUMEN_VM_CACHE:-$(realpath ../..)/tests/.artifacts/vm}

say() { printf 'image: %s\n' "$*" >&2; }

recipe_hash() {
    cat image.sh image/* | sha256sum | cut -c1-16
}

packages() {
    sed -E 's/#.*//; s/[[:space:]]+//g; /^$/d' image/packages | paste -sd,
}

# The mirrors of Debian that this machine's own apt uses, one `deb` line each. None on a machine of
# another release; mmdebstrap then takes Debian's own.
mirrors() {
    # shellcheck disable=SC2016 # apt's variables, not the shell's
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' |
        awk -v suite="$SUITE" '$3 == suite || index($3, suite "-") == 1' | sort -u
}

# How this machine's own apt reaches the network: proxies, certificates.
network_options() {
    apt-config dump --format '%F "%v";%n' Acquire::http
    apt-config dump --format '%F "%v";%n' Acquire::https
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
    local folder=$1 units=/etc/systemd/system options=() sources
    network_options >"$folder/apt.conf"
    [ ! -s "$folder/apt.conf" ] || options+=(--aptopt="$folder/apt.conf")
    mapfile -t sources < <(mirrors)
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

main() {
    local image building
    image=$cache/image-$(recipe_hash)
    mkdir -p "$cache"
    # Whoever wants the image meanwhile waits for it.
    exec 9>"$cache/lock"
    flock 9
    if [ ! -d "$image" ]; then
        say 'building the image (a few minutes; kept until its recipe changes)'
        building=$(mktemp --directory "$cache/building-XXXXXX")
        # shellcheck disable=SC2064 # the folder as it is called now
        trap "rm -rf '$building'" EXIT
        build "$building"
        rm -rf "$cache"/image-*
        # In one step: a folder of this name is a whole image.
        mv "$building" "$image"
        say "built in $SECONDS s"
    fi
    printf '%s\n' "$image"
}

main
