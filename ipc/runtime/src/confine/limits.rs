//! Resource limits a worker puts on itself.

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{ConfineError, Policy};

/// Largest file a worker can make. Memfds count as files; the largest legal ones are a frame of
/// 4096 × 4096 × 4 bytes and a packet ring, 64 MiB each. A worker gone bad cannot fill the memory
/// with one larger file. Not lower, because a standard error redirected to a file counts too.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

/// Lowers the limits, soft and hard alike, so that they can never be raised again.
pub(super) fn lower(policy: &Policy) -> Result<(), ConfineError> {
    let limits = [
        // A core file would hold keys and pictures of the screen.
        ("core files", Resource::Core, 0),
        ("file sizes", Resource::Fsize, LARGEST_FILE),
        // A peer that floods with descriptors fills this table, not the system's.
        ("open files", Resource::Nofile, policy.open_file_limit()),
    ];
    limits.into_iter().try_for_each(|(limit, resource, most)| {
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
        let new = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, new).map_err(|errno| ConfineError::Limit { limit, errno })
    })
}
