#!/usr/bin/env bash
# Runs a command as a user of a bare system, with this machine's Rust and Node mounted in it.
#
#   unshare --mount tests/fresh/enter.sh ROOT USER COMMAND...
#
# The system becomes the root of a mount namespace instead of a chroot: in a chroot nobody may create user
# namespaces, which Lumen has on any machine. The mounts end with the last process in the namespace. ROOT/etc/lumen-fresh is the environment, a variable a line.
set -euo pipefail

root=$1 user=$2
shift 2

# lend FILE|FOLDER PLACE: read-only, so that nothing done in there harms this machine.
lend() {
    local place=$root/$2
    mkdir -p "${place%/*}"
    if [ -d "$1" ]; then mkdir -p "$place"; else touch "$place"; fi
    mount --bind "$1" "$place"
    mount -o remount,bind,ro "$place"
}

mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"

lend "$(rustc --print sysroot)" opt/rust
node=$(realpath "$(command -v node)")
npm=$(realpath "$(command -v npm)")
lend "$node" opt/node/bin/node
# .../npm/bin/npm-cli.js
lend "${npm%/*/*}" opt/node/lib/npm
ln -sf "../lib/npm/bin/${npm##*/}" "$root/opt/node/bin/npm"

cd "$root"
pivot_root . .
umount --lazy .

tools=/opt/rust/bin:/opt/node/bin
home=$(getent passwd "$user" | cut -d: -f6)
# As set by a login on Debian.
if [ "$user" = root ]; then
    path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
else
    path=/usr/local/bin:/usr/bin:/bin
fi
# Crates have the same path for every user, so that one can reuse what another has compiled.
mapfile -t environment </etc/lumen-fresh
cd /srv/lumen
exec setpriv --reuid="$user" --regid="$user" --init-groups \
    env -i "HOME=$home" "USER=$user" "LOGNAME=$user" "PATH=$tools:$path" LANG=C.UTF-8 \
    CARGO_HOME=/srv/cargo \
    "${environment[@]}" "$@"
