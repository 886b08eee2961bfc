//! The session's sound server: where it listens, and how Lumen connects to it and starts its own.
//!
//! Where the session's user runs PipeWire, that one is used. Otherwise three helpers are started in a
//! directory of the session's own: PipeWire, the session manager that connects programs with devices,
//! and what speaks to programs of PulseAudio.

use std::{
    ffi::OsStr,
    fs::DirBuilder,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt,
};
use tracing::info;

use super::{
    helpers::{HelperLaunch, Sign},
    places::{self, PlaceError},
    programs,
};
use crate::{environment::Environment, lifecycle::Helper, plan::Identity};

/// The name of PipeWire's socket.
const SOCKET: &str = "pipewire-0";

/// Where a session's sound server listens.
#[derive(Clone, Debug)]
pub(crate) struct SoundServer {
    socket: PathBuf,
    /// The user whose process must listen there.
    owner: Identity,
    /// Whether it runs, or is started with the session.
    pub(crate) is_expected: bool,
}

/// The programs of a sound server.
const PROGRAMS: [&str; 2] = ["pipewire", "wireplumber"];
/// The program for those of PulseAudio.
const PULSE: &str = "pipewire-pulse";

/// The sound server of an app with this environment, to which its variables are added, and the helpers
/// to start for it. `directory` is private to the session's user; must be called as that user, `owner`.
pub(crate) fn prepare(
    environment: &mut Environment,
    runtime_dir: &Path,
    directory: &Path,
    owner: Identity,
) -> Result<(SoundServer, Vec<HelperLaunch>), PlaceError> {
    let usual = SoundServer { socket: runtime_dir.join(SOCKET), owner, is_expected: true };
    if usual.connect().is_ok() {
        return Ok((usual, Vec::new()));
    }
    let path = environment.get("PATH").unwrap_or_default().to_owned();
    let find = |name: &str| programs::find(OsStr::new(name), &path);
    let [Some(pipewire), Some(wireplumber)] = PROGRAMS.map(find) else {
        info!(
            "there is no sound server, and no PipeWire to start one: there is no sound; \
             on Debian or Ubuntu: apt install pipewire wireplumber pipewire-pulse"
        );
        return Ok((SoundServer { is_expected: false, ..usual }, Vec::new()));
    };
    environment.set("PIPEWIRE_RUNTIME_DIR", directory);
    let socket = directory.join(SOCKET);
    let mut helpers = vec![
        launch(Helper::SoundServer, pipewire, Sign::Listening(socket.clone(), owner)),
        launch(Helper::SoundManager, wireplumber, Sign::Execution),
    ];
    match find(PULSE) {
        Some(program) => {
            let pulse = directory.join("pulse");
            DirBuilder::new().mode(0o700).create(&pulse).map_err(places::at(&pulse))?;
            let native = pulse.join("native");
            let mut address = std::ffi::OsString::from("unix:");
            address.push(&native);
            environment.set("PULSE_SERVER", address);
            let mut launch = launch(Helper::SoundPulse, program, Sign::Listening(native, owner));
            launch.own.push(("PULSE_RUNTIME_PATH", pulse.into()));
            helpers.push(launch);
        }
        None => info!("{PULSE} is missing: programs of PulseAudio play no sound"),
    }
    Ok((SoundServer { socket, ..usual }, helpers))
}

/// Which programs a sound server of a session's own lacks on this `PATH`.
pub(crate) fn missing(path: &OsStr) -> Vec<&'static str> {
    let all = PROGRAMS.into_iter().chain([PULSE]);
    all.filter(|name| programs::find(OsStr::new(name), path).is_none()).collect()
}

fn launch(helper: Helper, program: PathBuf, ready: Sign) -> HelperLaunch {
    HelperLaunch {
        helper,
        program,
        arguments: Vec::new(),
        own: Vec::new(),
        connects: false,
        opened: None,
        said: None,
        ready,
    }
}

/// The connection over which the sink was made. The server removes the sink when the last descriptor
/// of it is closed: with the session, however that ends, and not with its sound worker.
#[derive(Debug, Default)]
pub(crate) struct SinkOwner {
    /// Of the sink that is there.
    owner: Option<OwnedFd>,
    /// What the sound worker was handed last, in case it makes one.
    offered: Option<OwnedFd>,
}

impl SinkOwner {
    /// The sound worker may make a sink over `connection`.
    pub(crate) fn offered(&mut self, connection: OwnedFd) {
        self.offered = Some(connection);
    }

    /// It has made one; any before is gone.
    pub(crate) fn made(&mut self) {
        self.owner = self.offered.take().or_else(|| self.owner.take());
    }
}

impl SoundServer {
    /// A connection to it. Refused where the listener is another user's: the directory belongs to the
    /// session's user, who could lead root to any socket.
    pub(crate) fn connect(&self) -> io::Result<OwnedFd> {
        let connection = reach(&self.socket, self.owner)?;
        let listener = getsockopt(&connection, sockopt::PeerCredentials)?;
        if listener.uid() == self.owner.uid {
            return Ok(connection);
        }
        Err(io::Error::other("another user listens there"))
    }
}

/// A connection to a listening socket of `owner`'s, whose directory may be closed to everybody else, without
/// waiting for it.
pub(crate) fn reach(path: &Path, owner: Identity) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connection = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = UnixAddr::new(path)?;
    let reached = || {
        connect(connection.as_raw_fd(), &address).map_err(|errno| places::at(path)(errno.into()))
    };
    places::as_user(owner, reached).map_err(io::Error::other)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use nix::unistd::{Gid, Uid};

    use super::*;

    #[test]
    fn server_of_another_user_or_none_is_not_connected_to() {
        let folder = std::env::temp_dir().join(format!("lumen-sound-{}", std::process::id()));
        std::fs::create_dir(&folder).expect("a folder");
        let socket = folder.join(SOCKET);
        let own = Uid::effective().as_raw();
        let server = |uid| SoundServer {
            socket: socket.clone(),
            owner: Identity { uid, gid: Gid::effective().as_raw() },
            is_expected: true,
        };
        assert!(server(own).connect().is_err(), "nobody listens");
        let _listener = UnixListener::bind(&socket).expect("free");
        assert!(server(own).connect().is_ok());
        assert!(server(own + 1).connect().is_err());
        std::fs::remove_dir_all(&folder).expect("ours");
    }
}
