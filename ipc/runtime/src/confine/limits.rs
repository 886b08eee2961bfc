//! Resource limits a worker puts on itself.

use nix::{
    errno::Errno,
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
};

use super::{ConfineError, Policy};

/// Largest file a worker can make. Memfds count as files; the largest legal ones are a frame of
/// 4096 × 4096 × 4 bytes and a packet ring, 64 MiB each. A worker gone bad cannot fill the memory
/// with one larger file. Not lower, because a standard error redirected to a file counts too.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

/// Lowers the limits, soft and hard alike, so that they can never be raised again. Returns the names
/// of those that a container does not let be lowered and that are higher than they should be: they
/// bound what a worker gone bad can use up, not what it can reach.
pub(super) fn lower(policy: &Policy) -> Result<Vec<&'static str>, ConfineError> {
    let limits = [
        // A core file would hold keys and pictures of the screen; the supervisor forbids it by other
        // means where it cannot by this.
        ("core files", Resource::RLIMIT_CORE, 0),
        ("file sizes", Resource::RLIMIT_FSIZE, LARGEST_FILE),
        // A peer that floods with descriptors fills this table, not the system's.
        ("open files", Resource::RLIMIT_NOFILE, policy.open_file_limit()),
    ];
    let mut unlimited = Vec::new();
    for (limit, resource, most) in limits {
        let hard = getrlimit(resource).map_or(RLIM_INFINITY, |(_, hard)| hard);
        let most = most.min(hard);
        match setrlimit(resource, most, most) {
            Ok(()) => {}
            Err(Errno::EPERM | Errno::ENOSYS) if hard <= most => {}
            Err(Errno::EPERM | Errno::ENOSYS) => unlimited.push(limit),
            Err(errno) => return Err(ConfineError::Limit { limit, errno }),
        }
    }
    Ok(unlimited)
}
