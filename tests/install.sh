#!/usr/bin/env bash
# Installs what this machine lacks for building, running or testing Lumen.
#
#   tests/install.sh run     a compiler's libraries and a demo desktop with a terminal, a file manager
#                            and an editor
#   tests/install.sh test    the same, and what the tests drive: Chromium, Firefox, sway, weston,
#                            foot, coturn, to compare the relay with, and nginx, a proxy
#   tests/install.sh fresh   tools for building bare systems, and the browser that tests them
#   tests/install.sh fuzz    what building the fuzz targets needs
#   tests/install.sh deb     what building Lumen and packing it for Debian needs
#   tests/install.sh rpm     the same for Fedora and its kind
#   tests/install.sh container  what building a container image without a daemon needs
#   tests/install.sh vm      tools for building Lumen, and for building and running the tests' VM
#
# Each need is a probe and the Debian package that satisfies it. A probe tests what is used (a
# compiler that finds its headers, a font that a terminal can draw with), because a program of the same
# name may not be enough. When every probe succeeds nothing is done and the network is not used. Rust and Node are prerequisites, only checked.
set -euo pipefail
cd "$(dirname "$0")/.."
# Debian omits the sbin directories from an ordinary user's PATH, and from root's after `su`. Tests that
# run as root find their programs there all the same.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# probe                          package
BUILD='
compilers                        build-essential
command:cmake                    cmake
command:pkg-config               pkg-config
module:libpipewire-0.3           libpipewire-0.3-dev
module:vpx                       libvpx-dev
module:x264                      libx264-dev
module:pixman-1                  libpixman-1-dev
module:xkbcommon                 libxkbcommon-dev
libclang                         libclang-dev
header:security/pam_appl.h       libpam0g-dev
path:/usr/share/X11/xkb/rules/evdev xkb-data
'
DESKTOP='
command:dbus-daemon              dbus-daemon
command:fc-list                  fontconfig
command:foot                     foot
command:perl                     perl-base
command:pipewire                 pipewire
command:pipewire-pulse           pipewire-pulse
command:swaybg                   swaybg
command:waybar                   waybar
command:wireplumber              wireplumber
command:wofi                     wofi
font                             fonts-dejavu-core
family:Cantarell                 fonts-cantarell
path:/usr/share/icons/Adwaita/cursors adwaita-icon-theme
svg-icons                        librsvg2-common
'
RUN='
app:FileManager                  thunar
app:TextEditor                   mousepad
path:/usr/share/dbus-1/services/org.xfce.Tumbler.Thumbnailer1.service tumbler
'
TEST='
chromium                         chromium
command:aplay                    alsa-utils
command:ffmpeg                   ffmpeg
firefox                          firefox-esr
header:va/va_backend.h           libva-dev
library:va-drm.so.2              libva-drm2
command:paplay                   pulseaudio-utils
command:pw-play                  pipewire-bin
path:/usr/share/alsa/alsa.conf.d/50-pipewire.conf pipewire-alsa
command:Xwayland                 xwayland
command:curl                     curl
command:dbus-send                dbus-bin
command:fish                     fish
command:ip                       iproute2
library:EGL.so.1                 libegl1
library:gbm.so.1                 libgbm1
dri                              libgl1-mesa-dri
command:iptables                 iptables
command:nginx                    nginx-light
command:openssl                  openssl
command:unshare                  util-linux
pam:google_authenticator         libpam-google-authenticator
command:sway                     sway
command:sysctl                   procps
command:systemd-analyze          systemd
command:systemd-socket-activate  systemd
command:turnutils_uclient        coturn
python-gstreamer                 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-plugins-base gstreamer1.0-plugins-bad gstreamer1.0-plugins-good python3-gst-1.0 python3-websockets
python-gtk3                      gir1.2-gtk-3.0 python3-gi
python-gtk4                      gir1.2-gtk-4.0 python3-gi
python-venv                      python3-venv
command:weston                   weston
command:wl-copy                  wl-clipboard
command:xclock                   x11-apps
command:zsh                      zsh
'
FRESH='
chromium                         chromium
command:git                      git
command:mmdebstrap               mmdebstrap
command:newuidmap                uidmap
path:/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
'
DEB='
command:dpkg-shlibdeps           dpkg-dev
command:lintian                  lintian
command:strip                    binutils
command:xz                       xz-utils
'
RPM='
command:strip                    binutils
'
CONTAINER='
command:buildah                  buildah
command:mmdebstrap               mmdebstrap
path:/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
'
VM='
header:va/va_backend.h           libva-dev
command:genext2fs                genext2fs
command:mmdebstrap               mmdebstrap
command:newuidmap                uidmap
command:qemu-system-x86_64       qemu-system-x86
path:/usr/sbin/resize2fs         e2fsprogs
path:/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
'

say() { printf 'install: %s\n' "$*"; }

probe() {
    case $1 in
        command:*) command -v "${1#command:}" >/dev/null ;;
        module:*) pkg-config --exists "${1#module:}" 2>/dev/null ;;
        path:*) [ -e "${1#path:}" ] ;;
        library:*) compgen -G "/usr/lib/*/lib${1#library:}" >/dev/null ;;
        # Mesa's drivers for the processor.
        dri) compgen -G '/usr/lib/*/dri/*swrast*_dri.so' >/dev/null || compgen -G '/usr/lib/*/libgallium-*.so' >/dev/null ;;
        header:*) compiles c cc "${1#header:}" ;;
        firefox) [ -x "${LUMEN_TEST_FIREFOX:-/usr/bin/firefox-esr}" ] ;;
        chromium) [ -x "${LUMEN_TEST_CHROMIUM:-/usr/bin/chromium}" ] ;;
        compilers) compiles c cc stdlib.h && compiles c++ c++ vector ;;
        libclang) has_libclang && has_clang_headers ;;
        # A second factor.
        pam:*) compgen -G "/lib/*/security/pam_${1#pam:}.so" >/dev/null ;;
        python-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
        python-gstreamer) has_gstreamer ;;
        python-gtk3) /usr/bin/python3 -c 'import gi; gi.require_version("Gtk", "3.0")' 2>/dev/null ;;
        python-gtk4) /usr/bin/python3 -c 'import gi; gi.require_version("Gtk", "4.0")' 2>/dev/null ;;
        # A font for terminals: fonts of icons and symbols do not suffice.
        font) [ -n "$(fc-list :spacing=mono:lang=en 2>/dev/null)" ] ;;
        family:*) [ -n "$(fc-list ":family=${1#family:}" 2>/dev/null)" ] ;;
        app:*) has_app "${1#app:}" ;;
        svg-icons) compgen -G '/usr/lib/*/gdk-pixbuf-2.0/*/loaders/*svg.so' >/dev/null ;;
        desktop) command -v labwc >/dev/null || command -v sway >/dev/null ;;
        *) say "unknown probe $1" >&2; exit 1 ;;
    esac
}

# The headers and start files of the C library are in a package of their own. A compiler that does not
# find the header lacks both.
compiles() {
    local language=$1 compiler=$2 header=$3
    printf '#include <%s>\n' "$header" | "$compiler" -x "$language" -fsyntax-only - 2>/dev/null
}

# bindgen, which lumen-media, x264-sys and libspa-sys use, loads libclang at build time. It accepts the file names below, and not
# libclang-cpp, the library of the compiler itself, which other packages install.
has_libclang() {
    find ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} /usr/lib/llvm-*/lib /usr/lib /usr/lib64 /usr/local/lib \
        -maxdepth 2 \( -name 'libclang.so' -o -name 'libclang.so.*' \
        -o -name 'libclang-[0-9]*.so' -o -name 'libclang-[0-9]*.so.*' \) -print -quit 2>/dev/null |
        grep -q .
}

# libclang parses C with headers of its own (stddef.h), which are in another package.
has_clang_headers() {
    compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib64/clang/*/include/stddef.h' >/dev/null
}

# An app in a category of the desktop menu, with a window of its own.
has_app() {
    local file
    for file in /usr/share/applications/*.desktop /usr/local/share/applications/*.desktop; do
        grep -qsE "^Categories=.*\b$1\b" "$file" &&
            ! grep -qE '^(Terminal|NoDisplay)=true' "$file" && return
    done
    return 1
}

# GStreamer with what a WebRTC viewer of its own is made of.
has_gstreamer() {
    /usr/bin/python3 - 2>/dev/null <<'PYTHON'
import gi, websockets
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstWebRTC
Gst.init(None)
used = ("webrtcbin", "nicesrc", "rtph264depay", "openh264dec", "opusdec", "videoconvert")
assert all(map(Gst.ElementFactory.find, used))
PYTHON
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
    # A machine that was just started is often updating itself: waits some minutes for its lock.
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# labwc's windows have all buttons, but not every release of Debian has labwc.
desktop_packages() {
    if apt-cache show labwc >/dev/null 2>&1; then
        echo labwc
    else
        echo sway
    fi
}

# The first version number that a tool prints; nothing when there is none, or only rustup's placeholder
# for a missing toolchain.
version_of() { "$1" --version 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1 || true; }

# Prerequisite $1, whose tool $2 must have at least the version $3; $4 says how to install it.
require() {
    local found
    found=$(version_of "$2")
    [ -z "$found" ] || ! printf '%s\n' "$3" "$found" | sort --check=quiet --version-sort || return 0
    say "$1 $3 or later is needed${found:+, and this is $found}: $4" >&2
    exit 1
}

require_rust() {
    require Rust cargo "$(sed -nE 's/^rust-version = "(.*)"/\1/p' Cargo.toml)" \
        'install it from https://rustup.rs, or update it with rustup update'
}

# What else linting and testing need of the toolchains.
require_toolchains_of_tests() {
    local component
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 || {
            say "cargo $component is missing: rustup component add rustfmt clippy" >&2
            exit 1
        }
    done
    require_node
}

require_node() {
    require Node node 20 'install it from https://nodejs.org; Debian 12 has an older one'
    require npm npm 9 'it comes with Node'
}

install_missing() {
    local packages=$1 wants_desktop=$2
    if ! command -v apt-get >/dev/null; then
        say "this is neither Debian nor Ubuntu. Please install what these Debian packages hold:" >&2
        say "$packages${wants_desktop:+ labwc (or sway)}" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "installing needs root, and there is no sudo. Please run as root:" >&2
        say "apt-get install $packages${wants_desktop:+$(desktop_packages)}" >&2
        exit 1
    fi
    say "installing $packages${wants_desktop:+ and a demo desktop} through apt"
    # One failed repository does not matter: the packages may be in another.
    apt update || say 'apt could not refresh all its lists; going on with what there is'
    [ -z "$wants_desktop" ] || packages="$packages $(desktop_packages)"
    keep_from_serving "$packages"
    # shellcheck disable=SC2086 # a list of names
    apt install $packages
}

# The tests start these servers themselves, and must not leave a relay or a site open to the world on
# this machine. A service that exists already is left alone. To use one later: systemctl unmask SERVICE.
#
# package                        service
SERVERS='
coturn                           coturn
nginx-light                      nginx
'

# Masks the services of those packages in $1 that would start when they are installed.
keep_from_serving() {
    local package service unit
    while read -r package service; do
        case " $1 " in *" ${package:-none} "*) ;; *) continue ;; esac
        unit=/etc/systemd/system/$service.service
        [ -e "$unit" ] || [ -L "$unit" ] || [ -e "/lib/systemd/system/$service.service" ] || {
            as_root mkdir -p "${unit%/*}"
            as_root ln -s /dev/null "$unit"
        }
    done <<<"$SERVERS"
}

# aiortc, a WebRTC implementation that shares no code with a browser's or ours, in a folder of its own.
# Every file that pip fetches has its hash in the list. Only wheels: building a source package would
# fetch tools that no list pins.
ensure_aiortc() {
    local venv=tests/.artifacts/venv list=tests/e2e/viewers/aiortc.txt
    "$venv/bin/python" - "$list" 2>/dev/null <<'PYTHON' && return
import re, sys
from importlib.metadata import version
import aiortc, websockets
pins = re.findall(r"^(\S+)==(\S+)", open(sys.argv[1]).read(), re.MULTILINE)
assert pins and all(version(name) == wanted for name, wanted in pins)
PYTHON
    say "installing aiortc into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement "$list"
}

# The identity provider of lumen-oidc's tests, with what its lock file pins. npm notes in that hidden file what it has
# installed.
ensure_identity_provider() {
    local folder=supervisor/oidc/tests/provider
    [ ! "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] || return 0
    say "installing an identity provider into $folder"
    npm --prefix "$folder" ci --silent --no-audit --no-fund
}

# ensure_tool NAME VERSION [OPTION...]: a program of cargo's, for this checkout alone. Not optimised: that would
# take longer than all that it has to do.
ensure_tool() {
    local name=$1 version=$2 tools=tests/.artifacts/tools
    [ -x "$tools/bin/$name" ] && grep -qsF "\"$name $version (" "$tools/.crates.toml" && return
    say "building $name $version into $tools"
    CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug \
        --version "$version" --root "$tools" --target-dir "$tools/build" "${@:3}" "$name"
    rm -rf "$tools/build"
}

# Tests run by root need an ordinary user: sway, for example, refuses root.
ensure_test_user() {
    [ "$(id -u)" = 0 ] || return 0
    getent group lumen-admin >/dev/null || {
        say "adding the group lumen-admin, whose members administer hosts in tests"
        groupadd --system lumen-admin
    }
    id lumen-test >/dev/null 2>&1 || {
        say "adding the user lumen-test, who runs the tests that must not be root"
        useradd --system --create-home --shell /usr/sbin/nologin lumen-test
    }
}

# Containers often lack this node though their kernel has the device; the tests' lines are made of it.
ensure_tun() {
    [ "$(id -u)" = 0 ] && [ ! -e /dev/net/tun ] || return 0
    say 'adding the device node /dev/net/tun'
    mkdir -p /dev/net
    mknod /dev/net/tun c 10 200 || say 'this machine allows no TUN device; tests of lines will fail'
}

main() {
    local needs wants_desktop='' packages
    case ${1-} in
        run)
            require_rust
            needs=$BUILD$DESKTOP$RUN
            probe desktop || wants_desktop=yes
            ;;
        test)
            require_rust
            require_toolchains_of_tests
            needs=$BUILD$DESKTOP$TEST
            ;;
        fresh)
            require_rust
            require_node
            needs=$FRESH
            ;;
        fuzz)
            require_rust
            needs=$BUILD
            ;;
        deb)
            require_rust
            needs=$BUILD$DEB
            ;;
        rpm)
            require_rust
            needs=$BUILD$RPM
            ;;
        container) needs=$CONTAINER ;;
        vm)
            require_rust
            needs=$BUILD$DEB$VM
            ;;
        *) say 'usage: tests/install.sh run|test|fresh|fuzz|deb|rpm|container|vm' >&2; exit 2 ;;
    esac
    packages=$(missing_of "$needs" | sort -u | tr '\n' ' ')
    if [ -n "$packages$wants_desktop" ]; then
        install_missing "$packages" "$wants_desktop"
    fi
    [ "$1" != test ] || ensure_test_user
    [ "$1" != test ] || ensure_tun
    [ "$1" != test ] || ensure_aiortc
    [ "$1" != test ] || ensure_identity_provider
    case $1 in
        # Checks what others wrote.
        test) ensure_tool cargo-deny 0.20.2 ;;
        deb | vm) ensure_tool cargo-deb 3.8.0 --no-default-features ;;
        rpm) ensure_tool cargo-generate-rpm 0.21.1 --no-default-features ;;
    esac
}

main "$@"
