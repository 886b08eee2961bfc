//! A liar in a worker's place, as its test orders it about.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{
    link::{Generation, LinkName},
    message::grants::{ToSupervisor, ToWorker},
    units::SessionId,
};
use lumen_ipc_runtime::channel::Channel;
use lumen_liar::{
    order::{Answer, Argument, Call, Held, Order, Tried},
    wire::{Entrance, Wire},
};
use lumen_tests::{patience::patience, process::Process};
use nix::libc::SYS_read;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A liar.
#[derive(Debug)]
pub(crate) struct Puppet(Wire);

impl Puppet {
    /// Waits for the next liar at an entrance.
    pub(crate) fn enter(entrance: &Entrance) -> Result<Self> {
        wait_for_input(entrance.as_fd()).context("no liar comes")?;
        Ok(Self(entrance.accept()?))
    }

    /// The liar's process.
    pub(crate) fn process(&self) -> Result<Process> {
        Ok(Process(self.0.peer()?))
    }

    fn order(&self, order: &Order) -> Result<(Answer, Vec<OwnedFd>)> {
        self.0.send(order, &[]).context("the liar has ended")?;
        wait_for_input(self.0.as_fd()).context("the liar does not answer")?;
        self.0.receive()?.context("the liar has ended")
    }

    /// Has a child make these calls, confined as the worker.
    pub(crate) fn attempt(&self, calls: &[Call]) -> Result<Tried> {
        match self.order(&Order::Attempt(calls.to_vec()))? {
            (Answer::Tried(tried), _) => Ok(tried),
            other => bail!("an odd answer: {other:?}"),
        }
    }

    /// Has the liar confine itself and serve.
    pub(crate) fn confine(&self) -> Result<()> {
        self.order(&Order::Confine).map(drop)
    }

    /// Has the liar make these calls itself, all of which its policy allows.
    pub(crate) fn make(&self, calls: &[Call]) -> Result<Tried> {
        match self.order(&Order::Make(calls.to_vec()))? {
            (Answer::Tried(tried), _) => Ok(tried),
            other => bail!("an odd answer: {other:?}"),
        }
    }

    /// Has the liar hold a text in its memory: as the argument of a call that does nothing.
    pub(crate) fn hold(&self, text: &str) -> Result<()> {
        let (nowhere, nothing) = (Argument::Word(u64::MAX), Argument::Word(0));
        let arguments = vec![nowhere, Argument::Bytes(text.into()), nothing];
        self.make(&[Call { number: SYS_read, arguments }]).map(drop)
    }

    /// Sets the liar's summary.
    pub(crate) fn summarise(&self, summary: &str) -> Result<()> {
        self.order(&Order::Summarise(summary.to_owned())).map(drop)
    }

    /// The descriptors that the liar holds.
    pub(crate) fn holds(&self) -> Result<Vec<Held>> {
        match self.order(&Order::Lend)? {
            (Answer::Held(held), _) => Ok(held),
            other => bail!("an odd answer: {other:?}"),
        }
    }

    /// Borrows all of them; the liar must serve.
    pub(crate) fn borrow(&self) -> Result<Borrowed> {
        let (answer, descriptors) = self.order(&Order::Lend)?;
        let Answer::Held(held) = answer else { bail!("an odd answer: {answer:?}") };
        ensure!(held.len() == descriptors.len(), "{held:?} came with {descriptors:?}");
        let mut all = held.into_iter().zip(descriptors);
        let (_, control) = all.next().context("control")?;
        let (_, grants) = all.next().context("grants")?;
        let grants = Channel::from_descriptor(grants)?;
        let granted = all.filter_map(|(held, descriptor)| Some((held.grant?, descriptor)));
        Ok(Borrowed { control, grants, granted: granted.collect() })
    }
}

fn wait_for_input(descriptor: std::os::fd::BorrowedFd<'_>) -> Result<()> {
    let mut waiting = [PollFd::new(descriptor, PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(patience()).unwrap_or(PollTimeout::MAX);
    let ready = poll(&mut waiting, limit)?;
    ensure!(ready == 1, "waited {} s in vain", patience().as_secs());
    Ok(())
}

/// Copies of a liar's descriptors: what the test says on them, the worker says.
#[derive(Debug)]
pub(crate) struct Borrowed {
    pub(crate) control: OwnedFd,
    pub(crate) grants: Channel<ToWorker, ToSupervisor>,
    pub(crate) granted: Vec<(ToWorker, OwnedFd)>,
}

/// One end of a link that a liar holds.
#[derive(Debug)]
pub(crate) struct End<'borrowed> {
    pub(crate) link: LinkName,
    pub(crate) session: Option<SessionId>,
    pub(crate) generation: Generation,
    pub(crate) socket: &'borrowed OwnedFd,
}

impl Borrowed {
    /// The newest end of each link.
    pub(crate) fn ends(&self) -> Vec<End<'_>> {
        let mut ends: Vec<End<'_>> = Vec::new();
        for (grant, socket) in &self.granted {
            let (link, session, generation) = match *grant {
                ToWorker::LinkEnd { link, generation } => (link, None, generation),
                ToWorker::SignallingEnd { session, generation } => {
                    (LinkName::Signalling, Some(session), generation)
                }
                _ => continue,
            };
            ends.retain(|end| (end.link, end.session) != (link, session));
            ends.push(End { link, session, generation, socket });
        }
        ends
    }
}

impl AsFd for Puppet {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
