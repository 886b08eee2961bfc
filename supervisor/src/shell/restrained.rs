//! Carries out what [`crate::policy`] lists: finds the paths, and gives up the rest.

use std::{collections::BTreeSet, fs, io, os::fd::AsRawFd, path::PathBuf};

use lumen_ipc::{
    front_door::Listen,
    service::{AuthMode, ConfinementReport},
};
use lumen_ipc_runtime::confine::{self, ConfineError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use super::{
    certificate,
    fence::Namespaces,
    stage::{Ground, HostStage, Stage},
};
use crate::{
    policy::{self, Places},
    protection::Loss,
};

/// Gives up the capabilities that are not needed. For a process with one thread.
pub(super) fn shed_capabilities(session: bool) -> io::Result<()> {
    if session && !nix::unistd::geteuid().is_root() {
        // Whatever the caller has is for the app.
        return Ok(());
    }
    confine::keep_capabilities(policy::capabilities(session), !session)
}

/// Restrains a process that is a host and nothing else, before it starts its workers.
pub(super) fn host(
    ground: &Ground,
    stage: &HostStage,
    config: Vec<PathBuf>,
) -> Result<ConfinementReport, ConfineError> {
    let report = confine::restrain(&policy::host(&places(ground, stage, config)))?;
    if report.landlock_abi == 0 {
        warn!("{}", Loss::Landlock.sentence());
    }
    Ok(report)
}

fn places(ground: &Ground, stage: &HostStage, config: Vec<PathBuf>) -> Places {
    let programs = stage.staff().programs();
    Places {
        run: ground.home.directory.clone(),
        config,
        door: match &stage.front_door.listen {
            Listen::Tcp(_) => None,
            Listen::Unix(path) => Some(PathBuf::from(path.as_str())),
        },
        proxy: stage.proxy_path.clone(),
        group: stage.origin().group().map(PathBuf::from),
        certificates: stage.certificate.files().map(certificate::folders).unwrap_or_default(),
        programs: programs
            .map(|open| format!("/proc/self/fd/{}", open.as_raw_fd()).into())
            .collect(),
        libraries: libraries(&fs::read_to_string("/proc/self/maps").unwrap_or_default()),
        signs_in: stage.auth == AuthMode::Password,
        writes_proc: ground.namespaces != Namespaces::Privileged || !can_limit_core_dumps(),
    }
}

/// Whether a worker's core dumps are prevented by a limit; if not, by a file in `/proc`.
fn can_limit_core_dumps() -> bool {
    getrlimit(Resource::RLIMIT_CORE)
        .and_then(|(soft, hard)| setrlimit(Resource::RLIMIT_CORE, soft, hard))
        .is_ok()
}

/// The files of code in a list of mappings (proc(5), `/proc/PID/maps`).
fn libraries(maps: &str) -> Vec<PathBuf> {
    let code = maps.lines().filter_map(|line| {
        let (place, path) = line.split_once('/')?;
        place.split_whitespace().nth(1)?.contains('x').then(|| PathBuf::from(format!("/{path}")))
    });
    code.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_files_of_executable_mappings_once_each() {
        let maps = "\
            5000-6000 r--p 00000000 fe:01 7 /usr/lib/libc.so.6\n\
            6000-7000 r-xp 00000000 fe:01 7 /usr/lib/libc.so.6\n\
            7000-8000 r-xp 00000000 fe:01 7 /usr/lib/libc.so.6\n\
            8000-9000 r-xp 00000000 fe:01 9 /usr/lib/a name/ld-linux.so.2\n\
            9000-a000 rw-s 00000000 00:01 5 /memfd:ring (deleted)\n\
            a000-b000 r-xp 00000000 00:00 0 [vdso]\n";
        let found = libraries(maps);
        assert_eq!(
            found,
            ["/usr/lib/a name/ld-linux.so.2", "/usr/lib/libc.so.6"].map(PathBuf::from)
        );
        assert!(!libraries(&fs::read_to_string("/proc/self/maps").expect("/proc")).is_empty());
    }
}
