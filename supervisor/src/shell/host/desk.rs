//! One attempt to sign in as an account, as a task: the conversation between the host and the `lumen-login` in
//! which PAM runs, and what the host keeps of attempts that are not over.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use lumen_ipc::{
    codec::Message,
    login::{LoginRefusal, Progress, SignInMethod},
    message::login::{AccountName, Answers, Denial, Prompts, ToLeader, ToSupervisor},
    text::Secret,
};
use lumen_ipc_runtime::{AsyncChannel, channel::Channel};
use nix::unistd::Uid;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{error, warn};

use super::super::event::{Accepted, AttemptNews, Event, Events};
use crate::broker::AttemptId;

/// How long `lumen-login` may take in all; its own limit is a little shorter.
const WHOLE: Duration = Duration::from_secs(150);

/// Where the answer to a browser's request goes.
pub(super) type Reply = oneshot::Sender<Result<Progress, LoginRefusal>>;

/// The attempts that are not over.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) running: BTreeMap<AttemptId, Running>,
}

#[derive(Debug)]
pub(super) struct Running {
    /// Known to its browser only.
    pub(super) key: Secret,
    pub(super) account: AccountName,
    /// How its browser signs in.
    pub(super) method: SignInMethod,
    pub(super) from: IpAddr,
    pub(super) answers: mpsc::Sender<Answers>,
    /// The request that waits.
    pub(super) reply: Option<Reply>,
    /// What was said when the account was accepted.
    pub(super) said: Prompts,
}

/// The start of a desktop that waits for the end of another.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) account: AccountName,
    pub(super) user: Uid,
    pub(super) leader: AsyncChannel<ToSupervisor, ToLeader>,
}

/// Carries out one attempt, and reports what becomes of it.
pub(super) async fn attend(
    id: AttemptId,
    (socket, begin): (PathBuf, ToLeader),
    mut answers: mpsc::Receiver<Answers>,
    events: Events,
) {
    let conversation = converse(&socket, &begin, &mut answers, (id, &events));
    let news = match timeout(WHOLE, conversation).await {
        Ok(Ok(news)) => news,
        Ok(Err(failure)) => {
            error!(socket = %socket.display(), "no account can sign in: {failure}");
            AttemptNews::Denied
        }
        Err(_) => {
            warn!("an attempt to sign in took too long");
            AttemptNews::Denied
        }
    };
    tell(id, &events, news).await;
}

/// Talks with `lumen-login` until the attempt is over.
async fn converse(
    socket: &Path,
    begin: &ToLeader,
    answers: &mut mpsc::Receiver<Answers>,
    (id, events): (AttemptId, &Events),
) -> io::Result<AttemptNews> {
    let link = AsyncChannel::new(reach::<ToSupervisor, ToLeader>(socket)?)?;
    link.send(begin, &[]).await.map_err(io::Error::other)?;
    let mut said = Prompts::default();
    loop {
        match link.receive().await.map_err(io::Error::other)?.message {
            ToSupervisor::Said(prompts) if asks(&prompts) => {
                tell(id, events, AttemptNews::Asked(prompts)).await;
                // Without a sender the attempt was given up.
                let Some(answers) = answers.recv().await else { return Ok(AttemptNews::Denied) };
                let sent = link.send(&ToLeader::Answers(answers), &[]).await;
                sent.map_err(io::Error::other)?;
            }
            ToSupervisor::Said(prompts) => said = prompts,
            ToSupervisor::Accepted { account, uid } => {
                let accepted = Accepted { account, uid, said, leader: link };
                return Ok(AttemptNews::Accepted(Box::new(accepted)));
            }
            ToSupervisor::Refused { why: Denial::OtherBuild } => {
                return Err(io::Error::other("lumen-login is of another build"));
            }
            ToSupervisor::Refused { .. } => return Ok(AttemptNews::Denied),
            _ => return Err(io::Error::other("lumen-login speaks out of turn")),
        }
    }
}

async fn tell(id: AttemptId, events: &Events, news: AttemptNews) {
    // It fails only when the event loop has ended.
    let _ = events.send(Event::Attempt(id, news)).await;
}

fn asks(prompts: &Prompts) -> bool {
    prompts.as_slice().iter().any(|prompt| prompt.style.asks())
}

/// Connects to whoever starts a program for each connection, which must be root: passwords and desktops are
/// for nobody else.
pub(super) fn reach<In: Message, Out: Message>(path: &Path) -> io::Result<Channel<In, Out>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    if !sockopt::socket_peercred(&socket)?.uid.is_root() {
        return Err(io::Error::other("the socket is not root's"));
    }
    Channel::from_descriptor(socket).map_err(io::Error::other)
}
