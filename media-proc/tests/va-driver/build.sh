#!/usr/bin/env bash
# Compiles the driver of the tests into a folder: vgem_drv_video.so, which libva finds for the kernel's vgem, and
# libdrm-vgem.so, which makes any file such a device when it is loaded before libdrm.
#
#   media-proc/tests/va-driver/build.sh FOLDER
set -euo pipefail
to=$(realpath "$1")
cd "$(dirname "$0")"

compile() {
    cc -std=gnu11 -O1 -Wall -Wextra -Werror -Wno-cast-function-type -fPIC -shared "$@"
}

compile -fvisibility=hidden -o "$to/vgem_drv_video.so" driver.c objects.c encode.c coder.c headers.c bits.c \
    memory.c personality.c -lx264
compile -o "$to/libdrm-vgem.so" drm.c
