//! The control of all attempts: each way of an intruder is gone where nothing confines, as root, and has to
//! succeed there. One that fails there would fail under every policy, and prove nothing.
//!
//! Each is tried on a decoy of its own. Machines differ in what they refuse even to root; where that is so,
//! an attempt counts only if the worker's filter ends the process that makes it.

use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use lumen_liar::{
    order::{Call, Tried},
    wire::Entrance,
};
use lumen_tests::{
    measured,
    process::Process,
    stage::{Folder, built},
};
use nix::libc as c;

use crate::{
    aims::{self, Way},
    devices,
    puppet::Puppet,
    scene::Bait,
};

/// A list of ways to a decoy.
type List = fn(&Decoy) -> Result<Vec<Way>>;

/// The ways that lead somewhere where nothing confines.
#[derive(Debug)]
pub(crate) struct Controls(BTreeSet<&'static str>);

impl Controls {
    /// Tries all ways, once for all workers.
    pub(crate) fn known() -> Result<&'static Self> {
        static KNOWN: OnceLock<Result<Controls, String>> = OnceLock::new();
        let known = KNOWN.get_or_init(|| Self::find().map_err(|error| format!("{error:#}")));
        known.as_ref().map_err(|error| anyhow!("the control fails: {error}"))
    }

    /// Whether ways of this kind lead somewhere where nothing confines.
    pub(crate) fn succeeds(&self, kind: &str) -> bool {
        self.0.contains(kind)
    }

    fn find() -> Result<Self> {
        let folder = Folder::new("control", 0o700)?;
        let entrance = Entrance::open(folder.path().join("entrance"))?;
        let program = built("examples/liar-unconfined")?;
        let mut command = Command::new(&program);
        command.arg(folder.path().join("entrance"));
        for set in [Command::stdin, Command::stdout, Command::stderr] {
            set(&mut command, Stdio::null());
        }
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let child = Ended(child);
        let puppet = Puppet::enter(&entrance)?;
        let mut found = Self(BTreeSet::new());
        let mut refused = Vec::new();
        let lists: [List; 9] = [
            |decoy| Ok(aims::files(&decoy.bait.files)),
            |decoy| Ok(aims::descriptor(0, &decoy.bait.files)),
            |decoy| Ok(aims::sockets(&decoy.bait.services)),
            |decoy| Ok(aims::process(decoy.process())),
            |_| Ok(aims::machine()),
            |_| Ok(aims::shared()),
            |decoy| aims::memory(decoy.process()),
            |_| Ok(aims::kernel()),
            |decoy| Ok(devices::ways(0, &decoy.bait.files.nothing)),
        ];
        for ways in lists {
            found.try_each(&puppet, ways, &mut refused)?;
        }
        drop((puppet, child));
        let note = format!("{} ways succeed; refused to root: {refused:?}", found.0.len());
        measured::note("where nothing confines", note);
        Ok(found)
    }

    /// Tries each way of a list on a decoy of its own.
    fn try_each(
        &mut self,
        puppet: &Puppet,
        ways: List,
        refused: &mut Vec<&'static str>,
    ) -> Result<()> {
        for place in 0.. {
            let decoy = Decoy::lay()?;
            let Some(way) = ways(&decoy)?.into_iter().nth(place) else { break };
            if way.uncontrolled.is_some() {
                continue;
            }
            let calls = way.control.unwrap_or(way.calls);
            let tried = puppet.attempt(&calls).context(way.kind)?;
            match outcome(&calls, &tried) {
                Ok(()) => drop(self.0.insert(way.kind)),
                Err(error) if REFUSALS.contains(&error) => refused.push(way.kind),
                Err(_) => bail!("{} fails: {tried:?}", way.kind),
            }
        }
        Ok(())
    }
}

/// What a kernel says to a call that it lacks, or that it refuses to everybody here.
const REFUSALS: [i32; 9] = [
    c::EACCES,
    c::EAFNOSUPPORT,
    c::ENODEV,
    c::ENOSPC,
    c::ENOSYS,
    c::EOPNOTSUPP,
    c::EPERM,
    c::EPROTONOSUPPORT,
    c::EUSERS,
];

/// Whether all calls succeeded, or the error of the first that did not.
fn outcome(calls: &[Call], tried: &Tried) -> Result<(), i32> {
    match tried.results.iter().take(calls.len()).find(|result| **result < 0) {
        Some(error) => Err(i32::try_from(-error).unwrap_or(0)),
        None if tried.reaches(calls.len()) => Ok(()),
        None => Err(0),
    }
}

/// What a control may destroy.
struct Decoy {
    bait: Bait,
    process: Ended,
    _folder: Folder,
}

impl Decoy {
    fn lay() -> Result<Self> {
        let folder = Folder::new("decoy", 0o755)?;
        let bait = Bait::lay(folder.path(), folder.path().join("nothing"))?;
        let process = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn()?;
        ensure!(process.id() > 0, "no process");
        Ok(Self { bait, process: Ended(process), _folder: folder })
    }

    fn process(&self) -> Process {
        Process(self.process.0.id())
    }
}

/// A child that ends with its owner.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
