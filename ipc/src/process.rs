//! The processes Lumen consists of, and how each says why it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A worker: any process the supervisor spawns.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
// As `name` has them: JSON for scripts spells them as the command line does.
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
    /// TURN relay of the host.
    Turn,
}

impl Worker {
    /// Every worker, in the order `lumen status` lists them.
    pub const ALL: [Self; 6] =
        [Self::Compositor, Self::Media, Self::Rtc, Self::Gamepad, Self::Gateway, Self::Turn];

    /// The word used for it in commands, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compositor => "compositor",
            Self::Gamepad => "gamepad",
            Self::Gateway => "gateway",
            Self::Media => "media",
            Self::Rtc => "rtc",
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
            Self::Turn => "lumen-turn",
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

/// Why a Lumen process ended. The numbers are part of the interface: the supervisor's restart
/// policy and an administrator's scripts read them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ExitCode {
    /// Ended because it was asked to.
    Ok = 0,
    /// Something of ours failed while running; the log says what.
    Failed = 1,
    /// Unusable command line or configuration (`lumen` only).
    Usage = 2,
    /// A Rust panic: a bug of ours.
    Panicked = 101,
    /// A worker was started by hand, not by its supervisor.
    NotSupervised = 110,
    /// The other side is of another build.
    WrongBuild = 111,
    /// A grant was missing or unusable, or the worker could not start with what it was granted.
    CouldNotStart = 112,
    /// The confinement the policy asks for could not be put in place.
    CouldNotConfine = 113,
    /// A peer broke the contract; the peer is named in the log.
    PeerViolation = 114,
    /// The supervisor's end of `control` closed.
    SupervisorGone = 115,
    /// A system call outside the policy was trapped; the log names it.
    ForbiddenSyscall = 148,
}

impl ExitCode {
    /// Every code, for documentation and for [`ExitCode::from_number`].
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Panicked,
        Self::NotSupervised,
        Self::WrongBuild,
        Self::CouldNotStart,
        Self::CouldNotConfine,
        Self::PeerViolation,
        Self::SupervisorGone,
        Self::ForbiddenSyscall,
    ];

    /// The number handed to the kernel.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number, if it is one of ours.
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

    #[test]
    fn from_number_inverts_number_for_every_code() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_number(i32::from(code.number())), Some(code));
        }
        assert_eq!(ExitCode::from_number(77), None);
    }

    #[test]
    fn from_name_inverts_name_for_every_worker() {
        for worker in Worker::ALL {
            assert_eq!(Worker::from_name(worker.name()), Some(worker));
        }
    }
}
