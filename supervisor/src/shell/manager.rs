//! Tells the service manager how a host fares, after sd_notify(3): systemd, or who else sets the same
//! variables.
//!
//! The socket is connected at the start, because a host gives up connect(2) before its first worker; the
//! libraries for this connect for every message. Nothing but that it is ready is worth waiting for: the
//! loop must not depend on who reads.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        fd::AsRawFd,
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use lumen_ipc::visible::visible;
use nix::sys::socket::{MsgFlags, send};
use tracing::warn;

/// How long the manager may take to read that the host is ready.
const PATIENCE: Duration = Duration::from_secs(5);
/// Signs of life in the time after which the manager counts a host as stuck.
const SIGNS: u32 = 3;

/// What the manager is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word<'text> {
    /// The loop runs.
    Alive,
    /// Browsers can connect, and the configuration is read.
    Ready,
    /// The configuration is read anew.
    Reloading,
    /// A sentence for its administrator.
    Status(&'text str),
    /// The host ends.
    Stopping,
}

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub(super) struct Manager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Manager {
    /// Finds the manager by the variables of this process.
    pub(super) fn find() -> Self {
        let Some(place) = env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
            return Self::default();
        };
        let variable = |name: &str| env::var(name).ok();
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        match connected(&place) {
            Ok(socket) => Self { socket: Some(socket), watchdog },
            Err(error) => {
                warn!(%error, "the service manager cannot be told anything");
                Self::default()
            }
        }
    }

    /// Whether a manager started this process.
    pub(super) const fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// How often it expects a sign of life, if it does.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|longest| longest / SIGNS)
    }

    /// Tells it some words at once.
    pub(super) fn tell(&self, words: &[Word<'_>]) {
        let Some(socket) = &self.socket else { return };
        let waits = words.iter().any(|word| matches!(word, Word::Ready));
        let flags = if waits { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
        let flags = flags | MsgFlags::MSG_NOSIGNAL;
        match send(socket.as_raw_fd(), message(words).as_bytes(), flags) {
            Ok(_) => {}
            Err(error) if waits => warn!(%error, "the service manager does not read"),
            // The next sign of life, and the next status, tell the same.
            Err(error) => tracing::debug!(%error, "the service manager does not read"),
        }
    }
}

fn message(words: &[Word<'_>]) -> String {
    let line = |word: &Word<'_>| match word {
        Word::Alive => "WATCHDOG=1\n".to_owned(),
        Word::Ready => "READY=1\n".to_owned(),
        Word::Reloading => "RELOADING=1\n".to_owned(),
        Word::Status(text) => format!("STATUS={}\n", visible(text)),
        Word::Stopping => "STOPPING=1\n".to_owned(),
    };
    words.iter().map(line).collect()
}

/// A socket that reaches `place`: a path, or a name that begins with `@`.
fn connected(place: &OsStr) -> io::Result<UnixDatagram> {
    let address = match place.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(place)?,
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "NOTIFY_SOCKET is no address"));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// After which time without a sign of life this process counts as stuck.
fn watchdog(micros: Option<String>, pid: Option<String>) -> Option<Duration> {
    let own = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros = micros?.parse().ok().filter(|micros| own && *micros > 0)?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn message_has_a_line_for_each_word_and_no_others() {
        let words = [Word::Ready, Word::Status("Serving.\nREADY=0"), Word::Alive];
        assert_eq!(message(&words), "READY=1\nSTATUS=Serving.\\nREADY=0\nWATCHDOG=1\n");
        assert_eq!(message(&[Word::Reloading, Word::Stopping]), "RELOADING=1\nSTOPPING=1\n");
    }

    #[test]
    fn words_reach_a_manager_at_a_path_and_at_a_name() {
        let path = env::temp_dir().join(format!("lumen-manager-{}", std::process::id()));
        let name = format!("lumen-manager-{}", std::process::id());
        let at_name = SocketAddr::from_abstract_name(&name).expect("a name");
        let listeners = [
            (UnixDatagram::bind(&path).expect("ours"), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&at_name).expect("ours"), OsString::from(format!("@{name}"))),
        ];
        for (listener, place) in listeners {
            let manager = Manager { socket: connected(&place).ok(), watchdog: None };
            manager.tell(&[Word::Ready]);
            let mut read = [0; 64];
            let length = listener.recv(&mut read).expect("a message");
            assert_eq!(&read[..length], b"READY=1\n");
        }
        std::fs::remove_file(path).expect("ours");
        assert!(connected(OsStr::new("relative")).is_err());
    }

    #[test]
    fn manager_that_does_not_read_delays_nothing_but_readiness() {
        let (far, near) = UnixDatagram::pair().expect("a pair");
        near.set_write_timeout(Some(Duration::from_millis(1))).expect("ours");
        let manager = Manager { socket: Some(near), watchdog: None };
        // More than any queue holds: each call returns all the same.
        (0..5000).for_each(|_| manager.tell(&[Word::Alive, Word::Status("still here")]));
        manager.tell(&[Word::Ready]);
        drop(far);
        manager.tell(&[Word::Stopping]);
    }

    #[test]
    fn watchdog_is_for_the_process_that_it_names() {
        let own = std::process::id().to_string();
        let watched = |micros: &str, pid: Option<&str>| {
            watchdog(Some(micros.to_owned()), pid.map(str::to_owned))
        };
        assert_eq!(watched("30000000", Some(&own)), Some(Duration::from_secs(30)));
        assert_eq!(watched("30000000", None), Some(Duration::from_secs(30)));
        assert_eq!(watched("30000000", Some("1")), None);
        assert_eq!(watched("0", Some(&own)), None);
        assert_eq!(watched("soon", Some(&own)), None);
        assert_eq!(watchdog(None, None), None);
    }
}
