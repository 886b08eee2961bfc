//! Attempts to sign in with a password: for each a connection to `lumen-login`, in which PAM runs, and a task that
//! waits for what it says.
//!
//! The browser's requests come one by one, each with a place for its answer; the attempt outlives them. A request
//! whose attempt is gone is refused like a wrong password.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lumen_ipc::{
    login::{LoginRefusal, Method, Progress, SignedIn},
    message::login::{
        AccountName, Answers, Denial, LOGIN_HASH, Prompts, ToLeader, ToSupervisor, Trust,
    },
    text::{Secret, Text},
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
use tracing::{error, info, warn};

use super::{
    super::{
        event::{AttemptNews, Event, Events},
        owner,
    },
    Host,
};
use crate::broker::{AttemptId, connection::Connection};

/// How long `lumen-login` may take in all; its own limit is a little shorter.
const WHOLE: Duration = Duration::from_secs(150);

/// Where the answer to a browser's request goes.
pub(super) type Reply = oneshot::Sender<Result<Progress, LoginRefusal>>;

/// The attempts that are not over.
#[derive(Debug, Default)]
pub(super) struct Desk {
    running: BTreeMap<AttemptId, Running>,
}

#[derive(Debug)]
struct Running {
    /// Known to its browser only.
    key: Secret,
    answers: mpsc::Sender<Answers>,
    /// The request that waits.
    reply: Option<Reply>,
}

impl Host {
    /// Signs a browser in that needs to be asked nothing.
    pub(super) fn sign_in(&mut self, method: &Method, from: IpAddr, reply: Reply) {
        let listen = &self.stage.front_door.listen;
        let owner = |client| owner::of(Connection { client, server: listen.tcp()? });
        let signed_in = self.access.begin(Instant::now(), method, from, owner);
        let said = Prompts::default();
        let signed_in = signed_in.map(|signed_in| Progress::Done { signed_in, said });
        match signed_in.is_ok() {
            true => self.remember(|| drop(reply.send(signed_in))),
            false => drop(reply.send(signed_in)),
        }
    }

    /// Begins an attempt.
    pub(super) fn begin_attempt(&mut self, account: AccountName, from: IpAddr, reply: Reply) {
        let begun = self.access.attempt(Instant::now(), from, &account);
        let (id, key) = match begun {
            Ok(begun) => begun,
            // The browser may have gone, here and below.
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        // One question is open at a time, so one answer waits.
        let (answers, heard) = mpsc::channel(1);
        let begin = ToLeader::Begin {
            form: LOGIN_HASH,
            account,
            rhost: Text::truncated(from.to_canonical().to_string()),
            trust: Trust::Authenticate,
            groups: self.stage.sign_in.groups.clone(),
        };
        let (socket, events) = (self.stage.sign_in.socket.clone(), self.events.clone());
        tokio::spawn(attend(id, (socket, begin), heard, events));
        self.desk.running.insert(id, Running { key, answers, reply: Some(reply) });
    }

    /// Passes on what a browser answers.
    pub(super) fn answer_attempt(&mut self, key: &Secret, answers: Answers, reply: Reply) {
        let running = self.access.answer(key).and_then(|id| self.desk.running.get_mut(&id));
        let Some(running) = running else { return drop(reply.send(Err(LoginRefusal::Denied))) };
        match running.answers.try_send(answers) {
            Ok(()) => running.reply = Some(reply),
            // Its task has ended, and the news of that will come.
            Err(_) => drop(reply.send(Err(LoginRefusal::Denied))),
        }
    }

    /// Ends an attempt whose browser gives it up.
    pub(super) fn abandon_attempt(&mut self, key: &Secret) {
        if let Some(id) = self.access.abandon(key) {
            self.desk.running.remove(&id);
        }
    }

    /// Takes in what `lumen-login` says.
    pub(super) fn take_in_attempt(&mut self, id: AttemptId, news: AttemptNews) {
        match news {
            AttemptNews::Asked(prompts) => {
                let Some(running) = self.desk.running.get_mut(&id) else { return };
                if let Some(reply) = running.reply.take()
                    && self.access.ask(id)
                {
                    let attempt = running.key.clone();
                    drop(reply.send(Ok(Progress::Asked { attempt, prompts })));
                }
            }
            AttemptNews::Denied => {
                self.access.denied(id);
                self.conclude(id, Err(LoginRefusal::Denied));
            }
            AttemptNews::Accepted { uid, said } => {
                let signed_in = self.access.accepted(Instant::now(), id, Uid::from_raw(uid));
                match signed_in {
                    Ok(signed_in) => self.let_in(id, signed_in, said),
                    Err(refusal) => self.conclude(id, Err(refusal)),
                }
            }
        }
    }

    /// Gives a browser its login, which is stored before.
    fn let_in(&mut self, id: AttemptId, signed_in: SignedIn, said: Prompts) {
        let session = signed_in.login.session;
        info!(%session, "a browser signed in with a password");
        let reply = self.desk.running.remove(&id).and_then(|running| running.reply);
        self.remember(move || {
            if let Some(reply) = reply {
                drop(reply.send(Ok(Progress::Done { signed_in, said })));
            }
        });
    }

    fn conclude(&mut self, id: AttemptId, outcome: Result<Progress, LoginRefusal>) {
        let reply = self.desk.running.remove(&id).and_then(|running| running.reply);
        if let Some(reply) = reply {
            drop(reply.send(outcome));
        }
    }
}

/// Carries out one attempt, and reports what becomes of it.
async fn attend(
    id: AttemptId,
    (socket, begin): (PathBuf, ToLeader),
    mut answers: mpsc::Receiver<Answers>,
    events: Events,
) {
    let conversation = converse(&socket, &begin, &mut answers, (id, &events));
    let news = match timeout(WHOLE, conversation).await {
        Ok(Ok(news)) => news,
        Ok(Err(failure)) => {
            error!(socket = %socket.display(), "nobody can sign in with a password: {failure}");
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
    let link = AsyncChannel::new(reach(socket)?)?;
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
            ToSupervisor::Accepted { uid, .. } => return Ok(AttemptNews::Accepted { uid, said }),
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

/// Connects to whoever starts `lumen-login`, which must be root: passwords are for nobody else.
fn reach(path: &Path) -> io::Result<Channel<ToSupervisor, ToLeader>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    if !sockopt::socket_peercred(&socket)?.uid.is_root() {
        return Err(io::Error::other("the socket is not root's"));
    }
    Channel::from_descriptor(socket).map_err(io::Error::other)
}
