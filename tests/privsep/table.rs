//! The tables of what each worker's filter lets through, tried in the running worker: under the
//! filter that it really has, by the kernel, on the sockets that it really holds.

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_ipc_runtime::policy_table::{self, Table, Try, Verdict};
use lumen_tests::process::Process;
use nix::libc::{self as c, c_long};

use crate::intruder::{Held, Intruder, Outcome};

/// Calls whose first argument is a descriptor and that could turn a socket into something else,
/// take from it, or change it for whoever gets it next.
const ON_SOCKETS: [c_long; 18] = [
    c::SYS_accept,
    c::SYS_accept4,
    c::SYS_bind,
    c::SYS_connect,
    c::SYS_fcntl,
    c::SYS_getpeername,
    c::SYS_getsockname,
    c::SYS_getsockopt,
    c::SYS_ioctl,
    c::SYS_listen,
    c::SYS_recvfrom,
    c::SYS_recvmmsg,
    c::SYS_recvmsg,
    c::SYS_sendmmsg,
    c::SYS_sendmsg,
    c::SYS_sendto,
    c::SYS_setsockopt,
    c::SYS_shutdown,
];

/// The table of a worker, which is the process `own`.
pub(crate) fn of(worker: Worker, own: Process) -> Result<Table> {
    let text = policy_table::read(worker.binary()).context("the worker's table")?;
    Ok(Table::parse(&text, own.0)?)
}

/// Of the values without a name, which no kernel knows, the worker tries one of so many; the table
/// was made from all of them.
const NAMELESS: usize = 17;

/// Makes the calls of the worker's table in the worker. Returns how many were made.
///
/// What the table lets through is made with an invalid descriptor and invalid pointers, so that it
/// fails without an effect. What ends the worker is made on a socket of each kind that it holds,
/// too.
pub(crate) fn try_all(worker: Worker, process: Process) -> Result<usize> {
    let table = of(worker, process)?;
    let intruder = Intruder::enter(process)?;
    let mut held = intruder.descriptors()?;
    held.sort_by_key(|(_, held)| *held);
    held.dedup_by_key(|(_, held)| *held);
    held.retain(|(_, held)| *held != Held::Other);
    let mut made = 0;
    for (number, one) in table.tries().enumerate() {
        if ends_whatever_is_decided(&one) || !one.is_named && number % NAMELESS != 0 {
            continue;
        }
        check(&intruder, &one)?;
        made += 1;
        if one.verdict == Verdict::Ends && ON_SOCKETS.contains(&one.syscall) {
            for (socket, _) in &held {
                let mut on_socket = one;
                on_socket.arguments[0] = u64::from(*socket);
                check(&intruder, &on_socket)?;
            }
            made += held.len();
        }
    }
    Ok(made)
}

/// Calls that end or derail the thread that makes them, whatever a filter says of them.
fn ends_whatever_is_decided(one: &Try) -> bool {
    let allowed_to_all = [c::SYS_exit, c::SYS_exit_group, c::SYS_rt_sigreturn];
    allowed_to_all.contains(&one.syscall) || TRAMPOLINES.contains(&one.syscall)
}

/// `uretprobe` and `uprobe`, which the kernel shows to no filter. They are made by code that the
/// kernel itself puts into traced programs; from anywhere else they are an illegal instruction.
#[cfg(target_arch = "x86_64")]
const TRAMPOLINES: [c_long; 2] = [335, 336];
#[cfg(not(target_arch = "x86_64"))]
const TRAMPOLINES: [c_long; 0] = [];

fn check(intruder: &Intruder, one: &Try) -> Result<()> {
    let outcome = intruder.call(one.syscall, one.arguments)?;
    let is_as_listed = match (one.verdict, outcome) {
        (Verdict::Ends, outcome) => outcome == Outcome::Ends,
        (Verdict::Refused(errno), outcome) => outcome == Outcome::Returned(-i64::from(errno)),
        (Verdict::Allowed, outcome) => outcome != Outcome::Ends,
        (Verdict::Killed, _) => false,
    };
    ensure!(is_as_listed, "{one:x?} has another outcome: {outcome:?}");
    Ok(())
}
