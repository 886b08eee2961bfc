#!/usr/bin/env bash
# Builds the container image of systemd/package/Containerfile without a daemon, and starts a desktop in it.
#
#   tests/container.sh PACKAGE
#
# PACKAGE is the lumen.deb to install. The base is a bare Debian as tests/fresh has it, from the mirrors of this
# machine's own apt, because registries of images may be out of reach. Needs root; `tests/install.sh container`.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/debian.sh

package=$(realpath "$1")
work=$(mktemp -d)
store=$work/store
say() { printf 'container: %s\n' "$*"; }
# Plain folders instead of layers that need a driver of the kernel's, and a chroot instead of a runtime: that works
# in a container, too.
buildah() {
    BUILDAH_ISOLATION=chroot command buildah --root "$store" --runroot "$work/run" --storage-driver vfs "$@"
}
clean_up() {
    buildah rm --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT

# A bare Debian that finds packages as this machine does.
make_base() {
    local root=$work/root container bundle=/etc/ssl/certs/ca-certificates.crt
    mkdir "$root"
    tar -xpf "$(tests/fresh/base.sh)/root.tar" --numeric-owner --exclude='./dev/*' -C "$root"
    mirrors bookworm >"$work/sources.list"
    [ ! -s "$work/sources.list" ] || cp "$work/sources.list" "$root/etc/apt/sources.list"
    network_options >"$root/etc/apt/apt.conf.d/90network"
    cp --dereference "${SSL_CERT_FILE:-$bundle}" "$root$bundle"
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$root" / >/dev/null
    buildah commit --quiet "$container" localhost/lumen-base >/dev/null
    buildah rm "$container" >/dev/null
    rm -rf "$root"
}

say 'a bare Debian'
make_base
say 'the image'
mkdir "$work/context"
cp "$package" "$work/context/lumen.deb"
buildah build --quiet --network host --build-arg BASE=localhost/lumen-base \
    --file systemd/package/Containerfile --tag localhost/lumen "$work/context" >/dev/null
buildah images --format 'container: {{.Name}} has {{.Size}}' localhost/lumen

say 'a desktop in it'
container=$(buildah from localhost/lumen)
buildah run --user desktop "$container" -- lumen doctor || true
# shellcheck disable=SC2016 # the inner shell's
buildah run --user desktop --network host "$container" -- bash -euc '
    lumen run --listen 127.0.0.1:0 >/tmp/log 2>&1 &
    grep -q -m 1 "^Lumen is ready" < <(timeout 120 tail --lines=+1 --follow /tmp/log)
    lumen status
    lumen stop
    wait $!
' || { say 'no desktop was started'; exit 1; }
