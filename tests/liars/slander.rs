//! Lies on the links: every message that the worker may send, messages that are none, descriptors that
//! do not belong there, and accusations of every neighbour, again and again, over several lives.

use std::{
    io::IoSlice,
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lumen_ipc::{
    link::{Carriage, Generation, LinkName},
    message::grants::{LossReason, ToSupervisor},
    process::ProcessId,
    service::HostStatus,
    units::SessionId,
};
use lumen_tests::rig::kill_hard;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};
use std::os::fd::AsFd;

use crate::{
    goal::{Goal, Row},
    puppet::{Borrowed, End, Puppet},
    scene::Scene,
    seeds,
};

/// Lives of the liar that are spent on lies.
const LIVES: usize = 3;
/// How long one life lies if nobody ends it: a second accusation does.
const LIFE: Duration = Duration::from_secs(2);
/// How often each message is said on each end of a link.
const TIMES: usize = 20;

/// One end of a link, by what names it.
type Name = (LinkName, Option<SessionId>, Generation);

/// Lies for some lives, the first of which is `puppet`'s, and judges who had to suffer since `before`. Returns the
/// last life, and copies of every end that it had: none of those pairs ever ends.
pub(crate) fn lie(
    scene: &Scene,
    puppet: Puppet,
    before: &HostStatus,
    row: &mut Row,
) -> Result<(Puppet, Vec<Borrowed>)> {
    let (begun, mut said) = (Instant::now(), Said::default());
    let (mut puppet, mut kept) = (puppet, Vec::new());
    for life in 0..LIVES {
        live(scene, &puppet, life, &mut said, &mut kept)?;
        // Lies alone do not always end it.
        let _ = kill_hard(puppet.process()?);
        puppet = scene.next_liar().with_context(|| format!("after life {life}"))?;
        puppet.confine()?;
    }
    let after = scene.host.status()?;
    row.tried(Goal::Trust, said.accusations + said.messages, begun);
    row.tried(Goal::App, said.messages, begun);
    row.tried(Goal::Session, said.messages, begun);
    row.tried(Goal::Keys, said.messages, begun);
    judge(scene, row, (before, &after));
    Ok((puppet, kept))
}

#[derive(Debug, Default)]
struct Said {
    messages: usize,
    accusations: usize,
}

/// Lies until the time of a life is over or the liar is ended.
fn live(
    scene: &Scene,
    puppet: &Puppet,
    life: usize,
    said: &mut Said,
    kept: &mut Vec<Borrowed>,
) -> Result<()> {
    let end = Instant::now() + LIFE;
    let mut done: Vec<Name> = Vec::new();
    while Instant::now() < end {
        // It has been ended.
        let Ok(borrowed) = puppet.borrow() else { return Ok(()) };
        for one in borrowed.ends() {
            let name = (one.link, one.session, one.generation);
            if done.contains(&name) {
                continue;
            }
            done.push(name);
            said.messages += speak(scene, &one, life)?;
            said.accusations += accuse(&borrowed, &one);
        }
        kept.push(borrowed);
        wait(puppet);
    }
    Ok(())
}

/// Waits a moment for what the supervisor makes of it: a new pair, or an end.
fn wait(puppet: &Puppet) {
    let mut waiting = [PollFd::new(puppet.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut waiting, PollTimeout::from(50_u8));
}

/// Says all that the worker may say on this end; returns how many messages were taken. Each life begins
/// with another message, because a breach of the contract closes the link.
fn speak(scene: &Scene, end: &End<'_>, life: usize) -> Result<usize> {
    let mut messages = seeds::spoken_by(scene.part.kind(), end.link)?;
    let first = life * messages.len() / LIVES;
    messages.rotate_left(first);
    let most = end.link.row().max_descriptors;
    let descriptors = vec![end.socket.as_raw_fd(); most.min(1)];
    let mut taken = 0;
    for message in messages.iter().flat_map(|message| std::iter::repeat_n(message, TIMES)) {
        taken +=
            usize::from(send(end, message, &[])) + usize::from(send(end, message, &descriptors));
    }
    // No message at all: of no known kind, too many descriptors, cut short.
    taken += usize::from(send(end, &[0xff; 40], &[]));
    taken += usize::from(send(end, &[], &[end.socket.as_raw_fd(); 8]));
    taken += usize::from(send(end, &[0], &[]));
    Ok(taken)
}

fn send(end: &End<'_>, bytes: &[u8], descriptors: &[RawFd]) -> bool {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let carried = end.link.row().carriage == Carriage::Messages && !descriptors.is_empty();
    let rights = if carried { &rights[..] } else { &[] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(end.socket.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None).is_ok()
}

/// Accuses whoever is at the other end, and says of the link whatever can be said.
fn accuse(borrowed: &Borrowed, end: &End<'_>) -> usize {
    let (link, generation) = (end.link, end.generation);
    let lost = [
        LossReason::Closed,
        LossReason::Failed,
        LossReason::Full,
        LossReason::TimedOut,
        LossReason::Unusable,
    ];
    let reports: Vec<ToSupervisor> = match end.session {
        Some(session) => [ToSupervisor::SignallingViolated { session, generation }]
            .into_iter()
            .chain(lost.map(|reason| ToSupervisor::SignallingLost { session, generation, reason }))
            .collect(),
        None => [ToSupervisor::LinkViolated { link, generation }]
            .into_iter()
            .chain(lost.map(|reason| ToSupervisor::LinkLost { link, generation, reason }))
            .collect(),
    };
    reports.iter().filter(|report| borrowed.grants.send(report, &[]).is_ok()).count()
}

/// Whether everybody lives whom no word of the liar's may end.
fn judge(scene: &Scene, row: &mut Row, (before, after): (&HostStatus, &HostStatus)) {
    let trust = scene.part.kind().trust();
    let own = scene.part.session();
    for worker in before.processes() {
        let name = worker.process;
        let gone = || format!("{name} was ended");
        let lives = pid(after, name) == worker.pid;
        if name.kind().trust() > trust {
            row.expect(Goal::Trust, lives, gone);
        }
        if name.session() == Some(scene.other.number) && own.is_some() {
            row.expect(Goal::Session, lives, gone);
        }
    }
}

fn pid(status: &HostStatus, worker: ProcessId) -> Option<u32> {
    status.processes().find(|process| process.process == worker)?.pid
}
