//! Executes a command as a container would: as another user, with few capabilities, in a user
//! namespace, behind a filter that refuses system calls. Started by root.
//!
//! ```text
//! sandbox [--docker | --older-docker] [--refuse CALL[:FIRST]=ERRNO]... [--user UID]
//!         [--mapped FOLDER] [--capable] [--no-user-namespaces] -- COMMAND...
//! ```
//!
//! - `--docker` is docker's filter and set of capabilities as they come, `--older-docker` the same
//!   without the calls that came to Linux, and so to the filter, later;
//! - `--refuse` has one call fail, if FIRST is given only with that first argument;
//! - `--user` is who executes the command, root without it;
//! - `--mapped` maps users 0 to 65535 to 100000 and up, and shows FOLDER as `/run`;
//! - `--capable` leaves root all capabilities, in `--mapped` those of that namespace;
//! - `--no-user-namespaces` sets `user.max_user_namespaces` to 0 in the namespace of `--mapped`.
//!
//! The filter is put on with `no_new_privs`, which docker leaves out.

#![forbid(unsafe_code)]

mod filter;

use std::{
    fs,
    io::{PipeWriter, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, getpid, setgroups, setresgid, setresuid},
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
};

use filter::Refusal;

/// The capabilities that docker leaves to root in a container.
const DOCKERS: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::AUDIT_WRITE)
    .union(CapabilitySet::SETFCAP);

/// The command line.
#[derive(Debug, Default)]
struct Sandbox {
    refusals: Vec<Refusal>,
    user: u32,
    run: Option<String>,
    is_capable: bool,
    forbids_namespaces: bool,
    command: Vec<String>,
}

fn main() -> Result<()> {
    let sandbox = Sandbox::from_arguments(std::env::args().skip(1))?;
    if let Some(run) = &sandbox.run {
        enter_namespace(run, sandbox.forbids_namespaces)?;
    }
    let kept = if sandbox.is_capable { CapabilitySet::all() } else { DOCKERS };
    for capability in CapabilitySet::all().difference(kept).iter() {
        // A kernel older than the list does not know the newest capabilities.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let (uid, gid) = (Uid::from_raw(sandbox.user), Gid::from_raw(sandbox.user));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    if uid.is_root() && !sandbox.is_capable {
        let none = CapabilitySet::empty();
        set_capabilities(
            None,
            CapabilitySets { effective: kept, permitted: kept, inheritable: none },
        )?;
    }
    let (program, arguments) = sandbox.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    filter::put_on(&sandbox.refusals)?;
    Err(command.exec().into())
}

impl Sandbox {
    fn from_arguments(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut sandbox = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} of what?"));
            match word.as_str() {
                "--" => break,
                "--docker" => sandbox.refusals.extend(filter::dockers()),
                "--older-docker" => sandbox.refusals.extend(filter::older_dockers()),
                "--refuse" => sandbox.refusals.push(Refusal::parse(&value()?)?),
                "--user" => sandbox.user = value()?.parse()?,
                "--mapped" => sandbox.run = Some(value()?),
                "--capable" => sandbox.is_capable = true,
                "--no-user-namespaces" => sandbox.forbids_namespaces = true,
                other => bail!("unknown option {other}"),
            }
        }
        sandbox.command = words.collect();
        Ok(sandbox)
    }
}

/// Becomes root of a user namespace that has 65536 users.
fn enter_namespace(run: &str, forbids_namespaces: bool) -> Result<()> {
    // Only a process outside may map so many users.
    let mut mapper = Mapper::start()?;
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    mapper.map()?;
    setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0))?;
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0))?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    mount(Some(run), "/run", nothing, MsFlags::MS_BIND, nothing)?;
    if forbids_namespaces {
        fs::write("/proc/sys/user/max_user_namespaces", "0")?;
    }
    Ok(())
}

/// A process that stays outside, and maps users on command.
struct Mapper {
    child: Child,
    go: PipeWriter,
}

impl Mapper {
    fn start() -> Result<Self> {
        let (wait, go) = std::io::pipe()?;
        let pid = getpid();
        let script = format!(
            "read go && for map in uid gid; do echo '0 100000 65536' >/proc/{pid}/${{map}}_map; done"
        );
        let mut shell = Command::new("/bin/sh");
        shell.args(["-e", "-c", &script]).stdin(wait).stdout(Stdio::null());
        Ok(Self { child: shell.spawn()?, go })
    }

    fn map(&mut self) -> Result<()> {
        self.go.write_all(b"go\n")?;
        let status = self.child.wait()?;
        ensure!(status.success(), "mapping users: {status}");
        Ok(())
    }
}
