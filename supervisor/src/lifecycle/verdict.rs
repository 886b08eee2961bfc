//! How a process ended, and whether starting it again can help.

use std::fmt;

use lumen_ipc::process::ExitCode;

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// Its program could not be executed.
    NotSpawned,
}

impl Verdict {
    /// The reason why the next attempt would end the same way, if it would.
    #[must_use]
    pub fn is_hopeless(self) -> Option<&'static str> {
        let Self::Exited(code) = self else { return None };
        match ExitCode::from_number(code)? {
            ExitCode::WrongBuild => Some("it is of another build; install all programs together"),
            ExitCode::CouldNotConfine => {
                Some("its confinement could not be put in place; see `lumen doctor`")
            }
            ExitCode::NotSupervised | ExitCode::Usage => Some("it did not find its supervisor"),
            ExitCode::CouldNotStart
            | ExitCode::Failed
            | ExitCode::ForbiddenSyscall
            | ExitCode::GpuHung
            | ExitCode::GpuLost
            | ExitCode::Ok
            | ExitCode::Panicked
            | ExitCode::LinkViolation
            | ExitCode::SupervisorGone => None,
        }
    }

    /// The exit status by which a shell reports such an end: the process's own, or 128 plus the
    /// signal's number (POSIX, "Shell Command Language", 2.8.2). `None` when nothing ran.
    #[must_use]
    pub fn as_status(self) -> Option<u8> {
        let status = match self {
            // The kernel keeps eight bits of the status.
            Self::Exited(code) => code & 0xff,
            Self::Killed(signal) => 128 + (signal & 0x7f),
            Self::NotSpawned => return None,
        };
        u8::try_from(status).ok()
    }

    /// Whether it ended successfully.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Whether it ended because of a system call outside its policy.
    #[must_use]
    pub fn is_forbidden_syscall(self) -> bool {
        self == Self::Exited(ExitCode::ForbiddenSyscall.number().into())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Killed(signal) => write!(f, "was ended by signal {signal}"),
            Self::NotSpawned => f.write_str("could not be executed"),
            Self::Exited(code) => match ExitCode::from_number(code) {
                Some(known) => write!(f, "exited with {code} ({known:?})"),
                None => write!(f, "exited with {code}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_only_of_what_cannot_change_is_hopeless() {
        let hopeless = |code: ExitCode| Verdict::Exited(code.number().into()).is_hopeless();
        assert!(hopeless(ExitCode::WrongBuild).is_some());
        assert!(hopeless(ExitCode::CouldNotConfine).is_some());
        assert!(hopeless(ExitCode::Panicked).is_none());
        assert!(Verdict::Killed(9).is_hopeless().is_none());
    }

    #[test]
    fn verdict_as_a_status_is_what_a_shell_says() {
        assert_eq!(Verdict::Exited(0).as_status(), Some(0));
        assert_eq!(Verdict::Exited(255).as_status(), Some(255));
        assert_eq!(Verdict::Killed(9).as_status(), Some(137));
        assert_eq!(Verdict::NotSpawned.as_status(), None);
    }

    #[test]
    fn verdict_reads_as_the_end_of_a_sentence() {
        assert_eq!(Verdict::Exited(101).to_string(), "exited with 101 (Panicked)");
        assert_eq!(Verdict::Exited(77).to_string(), "exited with 77");
        assert_eq!(Verdict::Killed(9).to_string(), "was ended by signal 9");
    }
}
