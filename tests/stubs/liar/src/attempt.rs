//! Attempts: calls that a child makes under the worker's policy, with the worker's descriptors.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use lumen_ipc::process::ExitCode;
use lumen_ipc_runtime::confine::{Policy, confine};
use rustix::{
    io::{read, write},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, waitpid},
    stdio::{dup2_stderr, stdin},
};

use crate::{
    ffi,
    order::{Argument, Call, Ended, Tried},
};

/// Seconds until a call that does not return is given up.
const LONGEST_SECONDS: u32 = 3;

/// Makes the calls in a child of its own, confined by a policy if there is one. The process must have one
/// thread.
pub(crate) fn make_in_child(calls: &[Call], policy: Option<fn() -> Policy>) -> io::Result<Tried> {
    let (results, says) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some(child) = ffi::fork()? else {
        drop(results);
        act(calls, policy, says.as_fd())
    };
    drop(says);
    let mut tried = Tried::default();
    let mut result = [0; 8];
    // A result is written whole or not at all.
    while let Ok(8) = read(&results, &mut result) {
        tried.results.push(i64::from_ne_bytes(result));
    }
    tried.ended = wait_for(child)?;
    Ok(tried)
}

fn wait_for(child: i32) -> io::Result<Option<Ended>> {
    let ended = waitpid(Pid::from_raw(child), WaitOptions::empty())?;
    let Some((_, status)) = ended else { return Ok(None) };
    Ok(match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(Ended::Code(code)),
        (None, signal) => Some(Ended::Signal(signal.unwrap_or_default())),
    })
}

/// The child. Its standard error is the null device: hundreds of forbidden calls would fill the log.
fn act(calls: &[Call], policy: Option<fn() -> Policy>, says: BorrowedFd<'_>) -> ! {
    ffi::end_after(LONGEST_SECONDS);
    let confined = policy.is_none_or(|policy| confine(&policy(), "liar").is_ok());
    if dup2_stderr(stdin()).is_err() || !confined {
        ffi::exit(i32::from(ExitCode::CouldNotConfine.number()));
    }
    let mut results = Vec::new();
    for call in calls {
        let result = make(call, &results);
        results.push(result);
        if write(says, &result.to_ne_bytes()).is_err() {
            ffi::exit(i32::from(ExitCode::Failed.number()));
        }
    }
    ffi::exit(0)
}

/// Makes a call; `earlier` are the results of those before it.
pub(crate) fn make(call: &Call, earlier: &[i64]) -> i64 {
    let mut arguments = [0; 6];
    for (place, argument) in arguments.iter_mut().zip(&call.arguments) {
        *place = value(argument, earlier);
    }
    ffi::call(call.number, arguments)
}

fn value(argument: &Argument, earlier: &[i64]) -> u64 {
    match argument {
        Argument::Bytes(bytes) => address(bytes),
        Argument::Earlier(place) => {
            earlier.get(usize::from(*place)).copied().unwrap_or(-1).cast_unsigned()
        }
        Argument::Header { address: name, body } => header(name, body),
        Argument::OwnPid => u64::from(std::process::id()),
        Argument::Part(bytes) => part(bytes) as u64,
        Argument::Word(word) => *word,
    }
}

/// A vector of one part (`iovec`).
fn part(bytes: &[u8]) -> *mut u64 {
    vec![address(bytes), bytes.len() as u64].leak().as_mut_ptr()
}

/// The address of a copy that is never freed, so that no call can outlive it.
fn address(bytes: &[u8]) -> u64 {
    bytes.to_vec().leak().as_mut_ptr() as u64
}

/// `msghdr` on 64-bit machines: name and its length, parts and their count, control data and its
/// length, flags.
fn header(name: &[u8], body: &[u8]) -> u64 {
    let part = part(body);
    let length = name.len() as u64;
    let name = if name.is_empty() { 0 } else { address(name) };
    let words: &mut [u64] = vec![name, length, part as u64, 1, 0, 0, 0].leak();
    words.as_mut_ptr() as u64
}
