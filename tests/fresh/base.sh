#!/usr/bin/env bash
# Makes a bare Debian unless the same one is there already, and prints the folder that holds it as
# root.tar.
#
#   tests/fresh/base.sh [debian12|debian13]
#
# It holds what every Debian has, and of the rest only what a stranger needs to have come as far as our
# README: make, sudo, and the certificates by which Rust and Node were downloaded.
set -euo pipefail
cd "$(dirname "$0")"
source ../debian.sh

PACKAGES=ca-certificates,make,sudo

system=${1:-debian12}
case $system in
    debian12) suite=bookworm ;;
    debian13) suite=trixie ;;
    *) printf 'base: there is no system %s; debian12 and debian13 are\n' "$system" >&2; exit 2 ;;
esac

build() {
    local folder=$1 options=() sources
    printf 'base: making a bare %s (about a minute; kept until its recipe changes)\n' "$system" >&2
    network_options >"$folder/apt.conf"
    [ ! -s "$folder/apt.conf" ] || options+=(--aptopt="$folder/apt.conf")
    mapfile -t sources < <(mirrors "$suite")
    mmdebstrap --quiet --variant=minbase --format=tar "${options[@]}" \
        --dpkgopt=force-unsafe-io --include="$PACKAGES" \
        "$suite" "$folder/root.tar" "${sources[@]}" >&2
}

hash=$(cat base.sh ../debian.sh | sha256sum | cut -c1-16)
cached "$(realpath ..)/.artifacts/fresh" "$system-$hash" build
