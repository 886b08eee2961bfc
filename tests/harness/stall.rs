//! Stops processes for a while, as a suspended machine does.

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::process::Process;

/// Stopped processes; dropping this continues them.
#[derive(Debug)]
pub struct Stall {
    processes: Vec<Pid>,
}

impl Stall {
    /// Stops `processes`. Those that have ended meanwhile are skipped.
    ///
    /// # Errors
    /// When the kernel refuses; then none is stopped.
    pub fn of(processes: &[Process]) -> Result<Self> {
        let mut stall = Self { processes: Vec::new() };
        for process in processes {
            let pid = Pid::from_raw(i32::try_from(process.0)?);
            match kill(pid, Signal::SIGSTOP) {
                Ok(()) => stall.processes.push(pid),
                Err(Errno::ESRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("stopping {pid}")),
            }
        }
        Ok(stall)
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        for pid in &self.processes {
            // It fails only for a process that has ended.
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}
