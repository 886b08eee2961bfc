#!/usr/bin/env bash
# Installs what building, running or testing Lumen needs and this machine lacks.
#
#   tests/install.sh run     a compiler's libraries and a demo desktop
#   tests/install.sh test    the same, and what the tests drive: Chromium, sway, weston, foot,
#                            and coturn, the relay's referee
#   tests/install.sh vm      what builds Lumen, makes the tests' virtual machine and runs it
#
# Each need is a probe and the Debian package that satisfies it. When every probe succeeds nothing
# is done and nothing is asked of the network. Rust and Node are prerequisites, only checked.
set -euo pipefail

# probe                          package
BUILD='
command:cc                       build-essential
command:pkg-config               pkg-config
module:x264                      libx264-dev
module:pixman-1                  libpixman-1-dev
module:xkbcommon                 libxkbcommon-dev
libclang                         libclang-dev
path:/usr/share/X11/xkb/rules    xkb-data
'
RUN='
command:foot                     foot
font                             fonts-dejavu-core
'
TEST='
command:chromium                 chromium
command:foot                     foot
command:openssl                  openssl
command:ip                       iproute2
command:iptables                 iptables
command:sway                     sway
command:openssl                  openssl
command:turnutils_uclient        coturn
python-venv                      python3-venv
command:weston                   weston
font                             fonts-dejavu-core
'
VM='
command:genext2fs                genext2fs
command:mmdebstrap               mmdebstrap
command:newuidmap                uidmap
command:qemu-system-x86_64       qemu-system-x86
path:/usr/sbin/resize2fs         e2fsprogs
command:strip                    binutils
path:/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
'

say() { printf 'install: %s\n' "$*"; }

probe() {
    case $1 in
        command:*) command -v "${1#command:}" >/dev/null ;;
        module:*) pkg-config --exists "${1#module:}" 2>/dev/null ;;
        path:*) [ -e "${1#path:}" ] ;;
        libclang) has_libclang && has_clang_headers ;;
        python-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        font) [ -n "$(find /usr/share/fonts -name '*.ttf' -print -quit 2>/dev/null)" ] ;;
        desktop) command -v labwc >/dev/null || command -v sway >/dev/null ;;
        *) say "unknown probe $1" >&2; exit 1 ;;
    esac
}

# bindgen, which x264-sys builds with, loads libclang at build time. It takes the file names below, and
# not libclang-cpp, the library of the compiler itself, which other packages bring along.
has_libclang() {
    find ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} /usr/lib/llvm-*/lib /usr/lib /usr/lib64 /usr/local/lib \
        -maxdepth 2 \( -name 'libclang.so' -o -name 'libclang.so.*' \
        -o -name 'libclang-[0-9]*.so' -o -name 'libclang-[0-9]*.so.*' \) -print -quit 2>/dev/null |
        grep -q .
}

# libclang parses C with headers of its own (stddef.h), which are in another package than it.
has_clang_headers() {
    compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib64/clang/*/include/stddef.h' >/dev/null
}

# The packages of the table in $1 whose probe fails.
missing_of() {
    local what package
    while read -r what package; do
        [ -z "$what" ] || probe "$what" || printf '%s\n' "$package"
    done <<<"$1"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends "$@" </dev/null
}

# labwc looks more like a desktop, but not every release of Debian has it.
desktop_packages() {
    if apt-cache show labwc >/dev/null 2>&1; then
        echo labwc swaybg
    else
        echo sway swaybg sway-backgrounds
    fi
}

require_toolchains() {
    local tool
    for tool in cargo "$@"; do
        command -v "$tool" >/dev/null || {
            say "$tool is missing. Install Rust from https://rustup.rs and Node 20 or later first." >&2
            exit 1
        }
    done
}

install_missing() {
    local packages=$1 wants_desktop=$2
    if ! command -v apt-get >/dev/null; then
        say "this is neither Debian nor Ubuntu. Please install what these Debian packages hold:" >&2
        say "$packages${wants_desktop:+ labwc (or sway)}" >&2
        exit 1
    fi
    say "installing $packages${wants_desktop:+ and a demo desktop} through apt"
    apt update
    [ -z "$wants_desktop" ] || packages="$packages $(desktop_packages)"
    case " $packages " in *' coturn '*) keep_coturn_from_serving ;; esac
    # shellcheck disable=SC2086 # a list of names
    apt install $packages
}

# The tests use its client, and start its server themselves: a relay open to the world is nothing a
# test may leave on somebody's machine. Whoever wants it there: systemctl unmask coturn.
keep_coturn_from_serving() {
    local unit=/etc/systemd/system/coturn.service
    [ -e "$unit" ] || [ -L "$unit" ] || {
        as_root mkdir -p "${unit%/*}"
        as_root ln -s /dev/null "$unit"
    }
}

# aiortc, a WebRTC implementation that shares no code with a browser's or ours, in a folder of its own.
ensure_aiortc() {
    local venv
    venv=$(dirname "$0")/.artifacts/venv
    "$venv/bin/python" -c 'import aiortc, websockets' 2>/dev/null && return
    say "installing aiortc into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'aiortc==1.16.0' 'websockets==17.4'
}

# Tests that root runs need an ordinary user to be: sway, for one, refuses root.
ensure_test_user() {
    [ "$(id -u)" = 0 ] || return 0
    id lumen-test >/dev/null 2>&1 || {
        say "adding the user lumen-test, who runs the tests that must not be root"
        useradd --system --create-home --shell /usr/sbin/nologin lumen-test
    }
}

main() {
    local needs wants_desktop='' packages
    case ${1-} in
        run)
            require_toolchains
            needs=$BUILD$RUN
            probe desktop || wants_desktop=yes
            ;;
        test)
            require_toolchains node npm
            needs=$BUILD$TEST
            ;;
        vm)
            require_toolchains
            needs=$BUILD$VM
            ;;
        *) say 'usage: tests/install.sh run|test|vm' >&2; exit 2 ;;
    esac
    packages=$(missing_of "$needs" | sort -u | tr '\n' ' ')
    if [ -n "$packages$wants_desktop" ]; then
        install_missing "$packages" "$wants_desktop"
    fi
    [ "$1" != test ] || ensure_test_user
    [ "$1" != test ] || ensure_aiortc
}

main "$@"
