#!/usr/bin/env bash
# Boots the VM and runs tests in it.
#
#   tests/vm/run.sh [TEST...]    all tests but long ones, or those named (kernel, desktop, ...)
#   tests/vm/run.sh --long       the long ones
#   tests/vm/run.sh --shell      a root shell in the same machine; ctrl-a x ends it
#
# LUMEN_VM_BINARIES   folder of Lumen's binaries; built by cargo when not set
# LUMEN_VM_CACHE      folder of images, tests/.artifacts/vm by default
# LUMEN_VM_PATIENCE   seconds until a machine that does not end is killed, by default 1800, and 14400 with long tests
# LUMEN_VM_ACCEL      qemu's accelerator, tcg by default: works everywhere
set -euo pipefail
cd "$(dirname "$0")/../.."

artifacts=$PWD/tests/.artifacts/vm
share=$artifacts/share
results=$share/results
disk=$artifacts/binaries.img
packages=$artifacts/packages
console=$artifacts/console.log

say() { printf 'vm: %s\n' "$*"; }

# Image and binaries are made at the same time: one waits for the network, the other for the processor.
prepare() {
    local building
    mkdir -p "$artifacts"
    binaries=${LUMEN_VM_BINARIES:-${CARGO_TARGET_DIR:-target}/debug}
    tests/vm/image.sh >"$artifacts/image" &
    building=$!
    if [ -z "${LUMEN_VM_BINARIES-}" ]; then
        ${CARGO:-cargo} build --quiet --locked --workspace --bins
        # The relay is a workspace of its own; turn-proc/Cargo.toml says why.
        ${CARGO:-cargo} build --quiet --locked --bins --manifest-path turn-proc/Cargo.toml \
            --target-dir "${CARGO_TARGET_DIR:-target}"
        # So is what signs in by identity providers.
        ${CARGO:-cargo} build --quiet --locked --bins --manifest-path supervisor/oidc/Cargo.toml \
            --target-dir "${CARGO_TARGET_DIR:-target}"
    fi
    wait "$building"
    [[ " $* " != *" service"* ]] || make_packages
    image=$(<"$artifacts/image")
}

# Two versions of the package: one to install, and one to upgrade to.
make_packages() {
    local tree=$packages/tree
    rm -rf "$packages"
    # Emulated, an archive that is not small is unpacked sooner.
    systemd/package/build.sh deb "$binaries" "$packages/lumen-1.deb" --compress-type gzip --fast
    dpkg-deb --raw-extract "$packages/lumen-1.deb" "$tree"
    sed -i 's/^\(Version: .*\)-1$/\1-2/' "$tree/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$packages/lumen-2.deb" >/dev/null
    rm -rf "$tree"
}

# A disk with Lumen's binaries as a package would install them: programs start slowly from a share.
# Stripped of debug information they are a third as large.
fill_disk() {
    local tree=$artifacts/tree binary folder
    rm -rf "$tree" "$disk"
    mkdir -p "$tree"/{bin,libexec/lumen}
    while IFS= read -r -d '' binary; do
        folder=bin
        [[ $binary != */lumen-* ]] || folder=libexec/lumen
        strip --strip-debug -o "$tree/$folder/${binary##*/}" "$binary"
    done < <(find "$binaries" -maxdepth 1 -type f -executable ! -name lumen-bench -print0)
    genext2fs --squash-uids --block-size 4096 --size-in-blocks 65536 --root "$tree" "$disk"
}

# Copies of everything else that the machine needs: it cannot change the sources through the share.
fill_share() {
    local test
    rm -rf "$share"
    install -d "$share"/{guest,packages,tests,systemd} "$results"
    install -m 755 tests/vm/guest/* "$share/guest"
    find systemd -maxdepth 1 -type f -exec install -m 644 -t "$share/systemd" {} +
    [[ " $* " != *" service"* ]] || install -m 644 "$packages"/*.deb "$share/packages"
    [[ " $* " != *" gpu"* ]] || media-proc/tests/va-driver/build.sh "$share/guest"
    for test in "$@"; do
        install -m 755 "tests/vm/tests/$test.sh" "$share/tests"
        printf '%s\n' "$test"
    done >"$share/selected"
}

# Runs qemu with this machine and further options. The disk is a snapshot: nothing outlives a run, but the machine's own
# restarts.
machine() {
    timeout --foreground "$1" qemu-system-x86_64 -accel "${LUMEN_VM_ACCEL:-tcg}" \
        -cpu max -smp 2 -m 2048 -nodefaults -no-user-config -nic none \
        -kernel "$image/vmlinuz" -initrd "$image/initrd.img" \
        -append "root=/dev/vda rw console=ttyS0 quiet fsck.mode=skip mitigations=off" \
        -drive "file=$image/root.img,format=raw,if=virtio,snapshot=on" \
        -drive "file=$disk,format=raw,if=virtio,readonly=on" \
        -virtfs "local,path=$share,mount_tag=share,security_model=none" \
        "${@:2}"
}

run_tests() {
    local patience=1800
    [[ " $* " != *"-long "* ]] || patience=14400
    patience=${LUMEN_VM_PATIENCE:-$patience}
    if ! machine "$patience" -display none -serial "file:$console"; then
        say "the machine failed, or did not end within $patience s; its console says last:"
        tail -n 20 "$console"
    fi
}

# Prints one line of the table for a test; false when it did not pass.
report() {
    local test=$1 shows status seconds result=FAILED
    shows=$(sed -n 's/^# shows: //p' "tests/vm/tests/$test.sh")
    if read -r status seconds <"$results/$test.status"; then
        [ "$status" != success ] || result=ok
    else
        result='NOT RUN' seconds=-
    fi 2>/dev/null
    printf '%-22s %-8s %7s  %s\n' "$test" "$result" "$seconds" "$shows"
    [ "$result" = ok ]
}

sum_up() {
    local test failed=()
    printf '\n%-22s %-8s %7s  %s\n' TEST RESULT SECONDS SHOWS
    for test in "$@"; do
        report "$test" || failed+=("$test")
    done
    for test in "${failed[@]}"; do
        printf '\n--- %s printed:\n' "$test"
        cat "$results/$test.log" 2>/dev/null || say "nothing; the console is in $console"
    done
    printf '\nJournal and outputs are in %s.\n' "${results#"$PWD"/}"
    printf '\n%d passed, %d failed\n' $(($# - ${#failed[@]})) ${#failed[@]}
    [ ${#failed[@]} = 0 ]
}

main() {
    local tests=("$@")
    case ${1-} in
        '') mapfile -t tests < <(basename -s .sh tests/vm/tests/*.sh | grep -v -e '-long$') ;;
        --long) mapfile -t tests < <(basename -s .sh tests/vm/tests/*-long.sh) ;;
    esac
    prepare "${tests[@]}"
    fill_disk
    if [ "${1-}" = --shell ]; then
        fill_share
        machine 0 -display none -serial mon:stdio
        return
    fi
    fill_share "${tests[@]}"
    say 'booting'
    run_tests "${tests[@]}"
    sum_up "${tests[@]}"
}

main "$@"
