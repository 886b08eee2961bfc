//! The session's side of a login session that `lumen-login` leads: starts programs there, ends them, and learns
//! how they end.
//!
//! The leader's user side belongs to the desktop's user, who may make it say anything. It is about that user's
//! own programs, and bounded; whoever breaks the contract ends their own desktop.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use lumen_ipc::{
    message::login::{AppEnd, AppNumber, Command, Given, List, ToLeader},
    text::Text,
};
use lumen_ipc_runtime::AsyncChannel;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::socket::{Shutdown, shutdown},
    unistd,
};
use tracing::warn;

use super::{
    event::{Event, Events, LeaderEnd, LeaderNews},
    log::PIPE_BYTES,
    spawn::AppLaunch,
};
use crate::{environment::Environment, lifecycle::Verdict};

/// How long the leader may take to end the login session: a little longer than it waits itself.
pub(super) const PARTING: Duration = Duration::from_secs(12);

/// Variables that the login decides, and their prefix.
const OF_THE_LOGIN: [&str; 9] =
    ["HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TZ", "USER", "XDG_RUNTIME_DIR"];
const OF_THE_LOGIN_BY_PREFIX: &str = "LC_";

/// The leader of the desktop's login session.
#[derive(Debug)]
pub(super) struct Leader {
    channel: Arc<LeaderEnd>,
    last: AtomicU32,
}

impl Leader {
    /// Serves this end of the link, and reports its events; call it inside a runtime.
    pub(super) fn attend(end: LeaderEnd, events: Events) -> io::Result<Self> {
        let channel = Arc::new(end);
        let link = AsyncChannel::new(Arc::clone(&channel))?;
        tokio::spawn(async move {
            loop {
                let news = match link.receive().await {
                    Ok(received) => LeaderNews::Said(received.message),
                    Err(error) => LeaderNews::Lost(error.to_string()),
                };
                let is_last = matches!(news, LeaderNews::Lost(_));
                // It fails only when the event loop has ended.
                if events.send(Event::Leader(news)).await.is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Self { channel, last: AtomicU32::new(0) })
    }

    /// Asks for the start of a program, which gets `beside` as its descriptors from 3 on; returns its number,
    /// and what it writes.
    pub(super) fn start(
        &self,
        launch: &AppLaunch,
        beside: &[BorrowedFd<'_>],
        program: Option<BorrowedFd<'_>>,
    ) -> io::Result<(AppNumber, OwnedFd)> {
        let (output, input) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        // If the user may not have more, the default size is enough.
        let _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        let count = u8::try_from(beside.len()).map_err(io::Error::other)?;
        let given = Given::new(count, program.is_some()).map_err(io::Error::other)?;
        let app = AppNumber(self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
        let message = ToLeader::Start { app, command: command(launch)?, given };
        let descriptors: Vec<_> =
            [input.as_fd()].into_iter().chain(beside.iter().copied()).chain(program).collect();
        self.channel.send(&message, &descriptors).map_err(io::Error::other)?;
        Ok((app, output))
    }

    /// Asks for the end of a program and of its process group.
    pub(super) fn end(&self, app: AppNumber, now: bool) {
        // If the link has ended, so has the program.
        let _ = self.channel.send(&ToLeader::End { app, now }, &[]);
    }

    /// Has the leader end the login session. It closes its end when that is done.
    pub(super) fn part(&self) {
        if let Err(error) = shutdown(self.channel.as_raw_fd(), Shutdown::Write) {
            warn!(%error, "cannot tell the leader that the desktop ends");
        }
    }
}

/// A verdict, from what the leader says.
pub(super) fn verdict(end: AppEnd) -> Verdict {
    match end {
        AppEnd::Code(code) => Verdict::Exited(code.into()),
        AppEnd::NotStarted => Verdict::NotSpawned,
        AppEnd::Signal(signal) => Verdict::Killed(signal.into()),
    }
}

/// A command as the leader is told it.
fn command(launch: &AppLaunch) -> io::Result<Command> {
    fn text<const MAX: usize>(bytes: &OsStr) -> io::Result<Text<MAX>> {
        let text = bytes.to_str().ok_or_else(|| io::Error::other("it is not UTF-8"))?;
        Text::new(text).map_err(io::Error::other)
    }
    let name = launch.name.map_or(launch.program.as_os_str(), OsStr::new);
    let words = [name].into_iter().chain(launch.arguments.iter().map(AsRef::as_ref));
    let words = words.map(text).collect::<io::Result<Vec<_>>>()?;
    let variables = own(&launch.environment);
    let variables = variables.map(|(name, value)| Ok((text(name)?, text(value)?)));
    let variables = variables.collect::<io::Result<Vec<_>>>()?;
    Ok(Command {
        words: List::new(words).map_err(io::Error::other)?,
        variables: List::new(variables).map_err(io::Error::other)?,
    })
}

/// The variables that lead to the desktop, without those that the login decides.
fn own(environment: &Environment) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    environment.iter().filter(|(name, _)| {
        let name = name.to_string_lossy();
        !OF_THE_LOGIN.contains(&&*name) && !name.starts_with(OF_THE_LOGIN_BY_PREFIX)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use lumen_ipc_runtime::channel::Channel;

    use super::*;

    fn launch(arguments: usize) -> AppLaunch {
        let mut environment = Environment::default();
        for name in ["DISPLAY", "HOME", "LANG", "LC_ALL", "PATH", "USER", "XKB_DEFAULT_LAYOUT"] {
            environment.set(name, "x");
        }
        AppLaunch {
            program: "/usr/bin/foot".into(),
            name: None,
            arguments: vec!["-e".into(); arguments],
            environment,
            directories: Vec::new(),
            identity: None,
            bound: Vec::new(),
            group: None,
        }
    }

    #[tokio::test]
    async fn start_sends_what_leads_to_the_desktop_and_where_to_write() {
        let (near, far) = Channel::pair().expect("a socketpair");
        let (events, _inbox) = tokio::sync::mpsc::channel(1);
        let leader = Leader::attend(near, events).expect("epoll");
        let (ready, says) = io::pipe().expect("a pipe");
        let (first, output) = leader.start(&launch(1), &[says.as_fd()], None).expect("sent");
        let (second, _) = leader.start(&launch(1), &[], Some(ready.as_fd())).expect("sent");
        assert_ne!(first, second);
        let received = far.receive().expect("a message");
        let ToLeader::Start { app, command, given } = received.message else { panic!("no start") };
        let words: Vec<_> = command.words.as_slice().iter().map(Text::as_str).collect();
        let names = command.variables.as_slice().iter().map(|(name, _)| name.as_str());
        assert_eq!((app, words), (first, vec!["/usr/bin/foot", "-e"]));
        assert_eq!(names.collect::<Vec<_>>(), ["DISPLAY", "XKB_DEFAULT_LAYOUT"]);
        assert_eq!((given.beside(), given.program, received.descriptors.len()), (1, false, 2));
        // Where the program writes is what the session reads.
        let mut read = std::fs::File::from(output);
        drop(received.descriptors);
        assert_eq!(read.read(&mut [0; 8]).expect("readable"), 0);
        let refused = leader.start(&launch(64), &[], None).expect_err("too many words");
        assert!(refused.to_string().contains("64"), "{refused}");
    }
}
