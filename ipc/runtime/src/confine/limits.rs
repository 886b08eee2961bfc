//! Resource limits that a worker sets for itself.

use nix::{
    errno::Errno,
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
};

use super::{ConfineError, Policy};

/// The largest file that a worker can make. Memfds count as files; the largest legal ones are a
/// frame of 4096 × 4096 × 4 bytes and a packet ring, 64 MiB each. The limit keeps a compromised
/// worker from filling the memory with one larger file. It is not lower, because a standard error
/// redirected to a file counts, too.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

/// Lowers the limits, soft and hard alike, so that they can never be raised again. Returns the
/// names of the limits that are too high and that a container does not allow to be lowered: they
/// bound the resources of a compromised worker, not its reach.
pub(super) fn lower(policy: &Policy) -> Result<Vec<&'static str>, ConfineError> {
    let limits = [
        // A core file would contain keys and pictures of the screen. Where this limit cannot be
        // lowered, the supervisor prevents core files by other means.
        ("core files", Resource::RLIMIT_CORE, 0),
        ("file sizes", Resource::RLIMIT_FSIZE, LARGEST_FILE),
        // What a worker's own faults or an intruder pile up then ends this worker, not the machine. The
        // kernel counts heap and private mappings, stacks of threads included. The policies allow no
        // memory that is not counted, except that of a descriptor.
        ("private memory", Resource::RLIMIT_DATA, policy.private_memory_limit()),
        // A flood of descriptors then fills this worker's table, not the system's.
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
