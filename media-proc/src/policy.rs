//! What media may still do while it serves: beyond the base policy it gives the ring's memory back and takes the time as
//! libvpx does, and no more unless it draws by a graphics processor.
//!
//! x264 and libvpx run on the caller's thread, and neither they nor the colour converter need any file; all
//! detect the processor by its own instructions. libvpx counts processors whenever an encoder is opened, by a
//! file of the kernel, and is refused it: the C library then counts those that the thread may run on. Encoders
//! of a new size and newly announced buffers need memory and shared mappings, which the base policy allows
//! without execution. The packet ring is made before confinement and serves every rtc in turn.
//!
//! A driver is loaded and tried while media can read little more than libraries ([`drawing`]), and before
//! system calls are filtered. Afterwards it opens nothing any more: what it tries to open it is refused,
//! because drivers look for settings at any time and work without.

use std::path::Path;

use libc::{self as c, c_long};
use lumen_ipc_runtime::confine::{Condition, MIB, Policy};

/// Descriptors: 0–2, control, grants, three link ends, ring, event queue and wakers of the control
/// thread's runtime and of the loop (8), and room for those that arrive: the descriptor of an
/// announced buffer is closed as soon as the buffer is mapped.
const OPEN_FILES: u64 = 64;

/// Heap: the planes and x264's pictures take 80 MiB at 1280 × 720 and 300 MiB at 4096 × 2304, the largest
/// size.
const PRIVATE_MEMORY: u64 = 1024 * MIB;

/// The same with a driver: its own descriptors of the node, of buffers and of fences.
const OPEN_FILES_DRAWING: u64 = 256;

/// The same with a driver, which keeps copies of what it uploads.
const PRIVATE_MEMORY_DRAWING: u64 = 2048 * MIB;

/// The confinement.
#[must_use]
pub fn policy() -> Policy {
    serving(Policy::base()).open_files(OPEN_FILES).private_memory(PRIVATE_MEMORY).refuse(
        c::SYS_openat,
        c::EACCES,
        "libvpx counts processors by a file, and works without",
    )
}

/// Also lets shared memory that media writes be given back, and the time be asked for.
fn serving(policy: Policy) -> Policy {
    let remove = Condition::arg(2).equals(c::MADV_REMOVE);
    policy
        .allow_when(c::SYS_madvise, &[remove], "the ring takes no memory while nobody watches")
        .allow(c::SYS_gettimeofday, "libvpx measures itself, where the vDSO has no answer")
}

/// What a driver reads while it is loaded. Some of these are files or do not exist everywhere.
const READ: &[(&str, &str)] = &[
    ("/usr/lib", "drivers and the libraries that they need"),
    ("/lib", "the same, where it is a directory of its own"),
    ("/lib64", "the same, where it is a directory of its own"),
    ("/usr/lib64", "the same, where it is a directory of its own"),
    ("/usr/local/lib", "the same, of the administrator's own making"),
    ("/nix/store", "the same on NixOS"),
    ("/run/opengl-driver", "the same on NixOS"),
    ("/etc/ld.so.cache", "where libraries are"),
    ("/usr/share/glvnd", "which vendors' drivers there are"),
    ("/etc/glvnd", "which vendors' drivers there are"),
    ("/usr/share/drirc.d", "settings of drivers"),
    ("/etc/drirc", "settings of drivers"),
    ("/etc/libva.conf", "settings of libva, which finds the driver that encodes"),
    ("/usr/share/libdrm", "names of processors"),
    ("/sys/dev/char", "which device the granted node is"),
    ("/sys/devices", "which device the granted node is"),
];

/// Requests of the DRM subsystem beside those of each driver (`include/uapi/drm/drm.h`).
const DRM_REQUESTS: &[(u8, &str)] = &[
    (0x00, "which driver it is"),
    (0x09, "a buffer is given back"),
    (0x0c, "what the driver can"),
    (0x2d, "a buffer becomes a descriptor"),
    (0x2e, "a descriptor becomes a buffer"),
    (0xb2, "memory of a driver without a processor of its own"),
    (0xb3, "the same is mapped"),
    (0xb4, "the same is given back"),
    (0xbf, "a fence is made"),
    (0xc0, "a fence is given back"),
    (0xc1, "a fence becomes a descriptor"),
    (0xc2, "a descriptor becomes a fence"),
    (0xc3, "waiting for fences"),
    (0xc4, "a fence is used again"),
    (0xc5, "a fence is signalled"),
    (0xca, "waiting for points of a timeline"),
    (0xcb, "how far a timeline is"),
    (0xcc, "a point of a timeline is copied"),
    (0xcd, "a point of a timeline is signalled"),
];

/// Requests on descriptors of buffers (`include/uapi/linux/dma-buf.h`).
const BUFFER_REQUESTS: &[(u8, &str)] = &[
    (0x00, "the processor begins or ends to use a buffer"),
    (0x02, "those who draw into a buffer, as a fence"),
    (0x03, "a fence for those who use a buffer later"),
];

/// Requests on descriptors of fences (`include/uapi/linux/sync_file.h`).
const FENCE_REQUESTS: &[(u8, &str)] = &[
    (0x03, "two fences become one"),
    (0x04, "whether a fence is signalled"),
    (0x05, "by when a fence is wanted"),
];

/// Calls by which drivers look for what may be there; they work without.
const REFUSED: &[(c_long, i32)] = &[
    (c::SYS_openat, c::EACCES),
    (c::SYS_newfstatat, c::EACCES),
    (c::SYS_statx, c::EACCES),
    (c::SYS_readlinkat, c::EACCES),
    (c::SYS_faccessat, c::EACCES),
    (c::SYS_faccessat2, c::EACCES),
    (c::SYS_kcmp, c::ENOSYS),
    (c::SYS_memfd_create, c::ENOSYS),
    (c::SYS_sched_setaffinity, c::EPERM),
    (c::SYS_sched_setscheduler, c::EPERM),
    (c::SYS_setpriority, c::EPERM),
];

/// The same on older architectures.
#[cfg(target_arch = "x86_64")]
const REFUSED_LEGACY: &[(c_long, i32)] = &[
    (c::SYS_access, c::EACCES),
    (c::SYS_open, c::EACCES),
    (c::SYS_readlink, c::EACCES),
    (c::SYS_stat, c::EACCES),
    (c::SYS_lstat, c::EACCES),
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_LEGACY: &[(c_long, i32)] = &[];

/// The type of a request, and its number of this type (`asm-generic/ioctl.h`).
const TYPE: u64 = 0xff00;
const NUMBER: u64 = 0x00ff;
/// The type of requests of the DRM subsystem.
const DRM: u64 = (b'd' as u64) << 8;
/// That of requests of buffers, and of fences.
const BUFFER: u64 = (b'b' as u64) << 8;
const FENCE: u64 = (b'>' as u64) << 8;

/// The confinement of a media that draws by a graphics processor.
#[must_use]
pub fn drawing() -> Policy {
    let request = Condition::arg(1);
    let mut policy = serving(Policy::base())
        .open_files(OPEN_FILES_DRAWING)
        .private_memory(PRIVATE_MEMORY_DRAWING)
        // DRM_COMMAND_BASE to DRM_COMMAND_END, in two parts that a mask can name.
        .allow_when(
            c::SYS_ioctl,
            &[request.masked_equals(TYPE | 0xc0, DRM | 0x40)],
            "what each driver asks of its own part of the kernel",
        )
        .allow_when(
            c::SYS_ioctl,
            &[request.masked_equals(TYPE | 0xe0, DRM | 0x80)],
            "what each driver asks of its own part of the kernel",
        )
        .allow(c::SYS_lseek, "how large an announced buffer is")
        .allow(c::SYS_sysinfo, "how much memory there is")
        .allow(c::SYS_uname, "which kernel it is")
        .threads("drivers start threads when there is more to compile");
    for (of, requests) in [(DRM, DRM_REQUESTS), (BUFFER, BUFFER_REQUESTS), (FENCE, FENCE_REQUESTS)]
    {
        for (number, reason) in requests {
            let this = request.masked_equals(TYPE | NUMBER, of | u64::from(*number));
            policy = policy.allow_when(c::SYS_ioctl, &[this], reason);
        }
    }
    for (syscall, errno) in REFUSED.iter().chain(REFUSED_LEGACY) {
        let reason = "drivers look for settings and for other devices, and work without";
        policy = policy.refuse(*syscall, *errno, reason);
    }
    let there = READ.iter().filter(|(path, _)| Path::new(path).exists());
    there.fold(policy, |policy, (path, reason)| policy.read_path(path, reason))
}
