//! The processes of Lumen, and the exit codes by which they say why they ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::SessionId;

/// A kind of worker: a confined program that the supervisor spawns.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
// The same spelling as `name`, so that JSON for scripts matches the command line.
#[serde(rename_all = "lowercase")]
pub enum Worker {
    /// Wayland compositor of one session.
    Compositor,
    /// Virtual gamepads of one session.
    Gamepad,
    /// HTTP front door of the host.
    Gateway,
    /// Encoder of one session.
    Media,
    /// WebRTC of one session.
    Rtc,
    /// Sound of one session.
    Sound,
    /// TURN relay of the host.
    Turn,
}

impl Worker {
    /// Every worker, in the order `lumen status` lists them.
    pub const ALL: [Self; 7] = [
        Self::Compositor,
        Self::Media,
        Self::Sound,
        Self::Rtc,
        Self::Gamepad,
        Self::Gateway,
        Self::Turn,
    ];

    /// The name in commands, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compositor => "compositor",
            Self::Gamepad => "gamepad",
            Self::Gateway => "gateway",
            Self::Media => "media",
            Self::Rtc => "rtc",
            Self::Sound => "sound",
            Self::Turn => "turn",
        }
    }

    /// File name of its binary.
    #[must_use]
    pub const fn binary(self) -> &'static str {
        match self {
            Self::Compositor => "lumen-compositor",
            Self::Gamepad => "lumen-gamepad",
            Self::Gateway => "lumen-gateway",
            Self::Media => "lumen-media",
            Self::Rtc => "lumen-rtc",
            Self::Sound => "lumen-sound",
            Self::Turn => "lumen-turn",
        }
    }

    /// How far it is trusted compared with others.
    #[must_use]
    pub const fn trust(self) -> Trust {
        match self {
            Self::Compositor => Trust::Apps,
            Self::Media | Self::Sound => Trust::Pictures,
            Self::Gamepad => Trust::Devices,
            Self::Gateway => Trust::FrontDoor,
            Self::Rtc | Self::Turn => Trust::Network,
        }
    }

    /// The scope it belongs to.
    #[must_use]
    pub const fn scope(self) -> Scope {
        match self {
            Self::Compositor | Self::Gamepad | Self::Media | Self::Rtc | Self::Sound => {
                Scope::Session
            }
            Self::Gateway | Self::Turn => Scope::Host,
        }
    }

    /// The worker called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|worker| worker.name() == name)
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a worker is trusted compared with others: more, the less of it strangers can reach, and
/// the more is lost with it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Trust {
    /// Anybody on the network can send it datagrams.
    Network,
    /// Anybody on the network can connect to it, but it holds no pictures and no input.
    FrontDoor,
    /// It receives viewers' data through another worker, and games keep their devices without it.
    Devices,
    /// It reads pixels or samples of apps, and receives nothing from viewers but what is wanted of
    /// them.
    Pictures,
    /// The apps end with it.
    Apps,
}

/// The unit that is planned, started, restarted and ended by itself.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scope {
    /// The front that all sessions share, with one of each of its workers.
    Host,
    /// One user's desktop; each session has its own workers.
    Session,
}

/// One worker of a host and its sessions: its kind, and its session unless it belongs to the host.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "RawProcessId", into = "RawProcessId")]
pub struct ProcessId {
    session: Option<SessionId>,
    kind: Worker,
}

/// A session was given for a worker of the host, or none for a worker of a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} belongs to the other scope")]
pub struct WrongScope(pub Worker);

#[derive(Serialize, Deserialize)]
struct RawProcessId {
    session: Option<SessionId>,
    kind: Worker,
}

impl TryFrom<RawProcessId> for ProcessId {
    type Error = WrongScope;

    fn try_from(raw: RawProcessId) -> Result<Self, WrongScope> {
        Self::new(raw.session, raw.kind)
    }
}

impl From<ProcessId> for RawProcessId {
    fn from(id: ProcessId) -> Self {
        Self { session: id.session, kind: id.kind }
    }
}

impl ProcessId {
    /// The worker of this kind of a session or, without one, of the host.
    ///
    /// # Errors
    /// [`WrongScope`] when the kind does not belong to that scope.
    pub const fn new(session: Option<SessionId>, kind: Worker) -> Result<Self, WrongScope> {
        match (kind.scope(), session) {
            (Scope::Host, None) | (Scope::Session, Some(_)) => Ok(Self { session, kind }),
            (Scope::Host, Some(_)) | (Scope::Session, None) => Err(WrongScope(kind)),
        }
    }

    /// The worker of this kind that serves `session`: the session's or the host's.
    #[must_use]
    pub const fn serving(session: SessionId, kind: Worker) -> Self {
        match kind.scope() {
            Scope::Host => Self { session: None, kind },
            Scope::Session => Self { session: Some(session), kind },
        }
    }

    /// The session it belongs to; `None` for a worker of the host.
    #[must_use]
    pub const fn session(self) -> Option<SessionId> {
        self.session
    }

    /// The kind of worker.
    #[must_use]
    pub const fn kind(self) -> Worker {
        self.kind
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.session {
            Some(session) => write!(f, "{session} {}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

/// Why a Lumen process ended. The numbers are part of the interface: the supervisor's restart
/// policy and administrators' scripts read them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ExitCode {
    /// It was asked to end.
    Ok = 0,
    /// A failure while running, described in the log.
    Failed = 1,
    /// Unusable command line or configuration (`lumen` only).
    Usage = 2,
    /// A Rust panic, which is a bug.
    Panicked = 101,
    /// A worker was started by hand, not by a supervisor.
    NotSupervised = 110,
    /// The other process is of another build.
    WrongBuild = 111,
    /// A grant was missing or unusable, or the worker could not start with what it was granted.
    CouldNotStart = 112,
    /// The confinement that the policy requires could not be put in place.
    CouldNotConfine = 113,
    /// The other side of a link broke the contract; the log names the link.
    LinkViolation = 114,
    /// The supervisor's end of `control` closed.
    SupervisorGone = 115,
    /// A graphics processor or its driver did not finish in time (media only).
    GpuHung = 116,
    /// A graphics processor or its driver failed and lost what it held (media only).
    GpuLost = 117,
    /// A system call outside the policy was trapped; the log names it.
    ForbiddenSyscall = 148,
}

impl ExitCode {
    /// Every code, for documentation and for [`ExitCode::from_number`].
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Panicked,
        Self::NotSupervised,
        Self::WrongBuild,
        Self::CouldNotStart,
        Self::CouldNotConfine,
        Self::LinkViolation,
        Self::SupervisorGone,
        Self::GpuHung,
        Self::GpuLost,
        Self::ForbiddenSyscall,
    ];

    /// The number passed to the kernel.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number, if it is one of these.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| i32::from(code.number()) == number)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variants::variants_of;

    #[test]
    fn lists_have_every_code_and_every_worker_once() {
        let mut codes = ExitCode::ALL.map(|code| format!("{code:?}"));
        let mut workers = Worker::ALL.map(Worker::name);
        let (mut all_codes, mut all_workers) = (variants_of::<ExitCode>(), variants_of::<Worker>());
        codes.sort();
        workers.sort_unstable();
        all_codes.sort_unstable();
        all_workers.sort_unstable();
        assert_eq!(codes.as_slice(), all_codes);
        assert_eq!(workers.as_slice(), all_workers);
    }

    #[test]
    fn from_number_inverts_number_for_every_code() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_number(i32::from(code.number())), Some(code));
        }
        assert_eq!(ExitCode::from_number(77), None);
    }

    #[test]
    fn process_of_the_wrong_scope_cannot_be_said() {
        let session = Some(SessionId(7));
        assert!(ProcessId::new(session, Worker::Rtc).is_ok());
        assert!(ProcessId::new(None, Worker::Gateway).is_ok());
        for (session, kind) in [(session, Worker::Turn), (None, Worker::Media)] {
            assert_eq!(ProcessId::new(session, kind), Err(WrongScope(kind)));
            let mut buffer = [0; 16];
            let bytes = postcard::to_slice(&(session, kind), &mut buffer).expect("room");
            assert!(postcard::from_bytes::<ProcessId>(bytes).is_err(), "{kind}");
        }
    }

    #[test]
    fn process_reads_as_its_session_and_kind() {
        let of = |kind| ProcessId::serving(SessionId(7), kind);
        assert_eq!(of(Worker::Rtc).to_string(), "7 rtc");
        assert_eq!(
            (of(Worker::Turn).to_string(), of(Worker::Turn).session()),
            ("turn".into(), None)
        );
    }

    #[test]
    fn from_name_inverts_name_for_every_worker() {
        for worker in Worker::ALL {
            assert_eq!(Worker::from_name(worker.name()), Some(worker));
        }
    }
}
