//! A session that a host had started at a sign-in: whose it is, its Wayland socket, and the leader of its login
//! session, all of which come on descriptor 0 from the host, which is root.
//!
//! The Wayland socket was made by a process of the desktop's user, so it may be anything; only a listening Unix
//! stream socket is taken.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::session::{SESSION_HASH, ToSession},
    text::Text,
};
use lumen_ipc_runtime::channel::{NotALink, ReceiveError, Received};
use nix::{
    fcntl::{OFlag, open},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt,
            sockopt,
        },
        stat::Mode,
    },
    unistd::{Uid, dup2_stdin},
};

use super::event::{LeaderEnd, SessionEnd};
use crate::config::InstanceName;

/// How long the host may take to say whose the session is: it waits for the login session meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a host grants to the session that it had started.
#[derive(Debug)]
pub(super) struct Granted {
    /// Whose desktop it is.
    pub(super) account: String,
    /// The account's user.
    pub(super) uid: Uid,
    pub(super) display: Display,
    /// The host, by which its next process is found.
    pub(super) host: InstanceName,
    /// The link to the host, on which the session registers.
    pub(super) link: OwnedFd,
    /// The link to the leader of the login session.
    pub(super) leader: LeaderEnd,
}

/// The Wayland socket of a login session.
#[derive(Debug)]
pub(crate) struct Display {
    /// Its name.
    pub(crate) name: String,
    /// The directory in which it is.
    pub(crate) runtime_dir: PathBuf,
    /// It listens.
    pub(crate) listener: OwnedFd,
    /// Whether the account has another desktop, whose bus this one must not share.
    pub(crate) beside: bool,
}

/// Why a session was granted nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotGranted {
    #[error("--granted is for the service manager, which starts `lumen session` for a sign-in")]
    NoLink(#[from] NotALink),
    #[error("only root can start the desktops of others")]
    NotRoot,
    #[error("the other end of descriptor 0 belongs to uid {0}, and only root's host is obeyed")]
    Stranger(u32),
    #[error("cannot use descriptor 0")]
    Io(#[from] io::Error),
    #[error("the host does not say whose this session is")]
    Silent,
    #[error("the host has given this session up")]
    GivenUp,
    #[error("the host breaks the contract")]
    Broken(#[source] ReceiveError),
    #[error("the host is of another build; restart it: systemctl restart lumen")]
    OtherBuild,
    #[error("the host's first message does not say whose this session is")]
    OutOfTurn,
    #[error(
        "the host says that this desktop is of {account}, uid {said}, who has uid {known} here"
    )]
    OtherUser { account: String, said: Uid, known: Uid },
    #[error("the Wayland socket of the login session is none that listens")]
    NoListener,
}

impl Granted {
    /// Takes descriptor 0, and waits for what the host grants.
    pub(super) fn take() -> Result<Self, NotGranted> {
        let link = SessionEnd::from_descriptor(io::stdin().as_fd().try_clone_to_owned()?)?;
        dup2_stdin(open(c"/dev/null", OFlag::O_CLOEXEC, Mode::empty()).map_err(io::Error::from)?)
            .map_err(io::Error::from)?;
        if !Uid::effective().is_root() {
            return Err(NotGranted::NotRoot);
        }
        let peer = getsockopt(&link, sockopt::PeerCredentials).map_err(io::Error::from)?;
        if peer.uid() != 0 {
            return Err(NotGranted::Stranger(peer.uid()));
        }
        let received = first_message(&link)?;
        Self::of(received, link.into_descriptor())
    }

    fn of(received: Received<ToSession>, link: OwnedFd) -> Result<Self, NotGranted> {
        let ToSession::Granted { form, account, uid, display, runtime_dir, host, beside } =
            received.message
        else {
            return Err(NotGranted::OutOfTurn);
        };
        if form != SESSION_HASH {
            return Err(NotGranted::OtherBuild);
        }
        let mut descriptors = received.descriptors.into_iter();
        let (Some(listener), Some(leader)) = (descriptors.next(), descriptors.next()) else {
            return Err(NotGranted::OutOfTurn);
        };
        if !listens(&listener) {
            return Err(NotGranted::NoListener);
        }
        Ok(Self {
            account: account.as_str().to_owned(),
            uid: Uid::from_raw(uid),
            display: Display {
                name: display.as_str().to_owned(),
                runtime_dir: runtime_dir.into_string().into(),
                listener,
                beside,
            },
            host: InstanceName::new(Text::as_str(&host)).ok_or(NotGranted::OutOfTurn)?,
            link,
            leader: LeaderEnd::from_descriptor(leader)?,
        })
    }

    /// Checks that the account is the same user here as for the leader.
    pub(super) fn is_of(&self, known: Uid) -> Result<(), NotGranted> {
        match known == self.uid {
            true => Ok(()),
            false => {
                Err(NotGranted::OtherUser { account: self.account.clone(), said: self.uid, known })
            }
        }
    }
}

fn first_message(link: &SessionEnd) -> Result<Received<ToSession>, NotGranted> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match link.receive() {
            Ok(received) => return Ok(received),
            Err(ReceiveError::Empty) => {}
            Err(ReceiveError::Closed) => return Err(NotGranted::GivenUp),
            Err(error) => return Err(NotGranted::Broken(error)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NotGranted::Silent);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(link.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(NotGranted::Io(error.into())),
        }
    }
}

/// Whether this is a Unix stream socket that listens.
fn listens(socket: &OwnedFd) -> bool {
    let is_stream = getsockopt(socket, sockopt::SockType) == Ok(SockType::Stream);
    let accepts = getsockopt(socket, sockopt::AcceptConn) == Ok(true);
    let address = getsockname::<SockaddrStorage>(socket.as_raw_fd());
    let is_unix = address.is_ok_and(|address| address.family() == Some(AddressFamily::Unix));
    is_stream && accepts && is_unix
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        net::TcpListener,
        os::unix::net::{UnixListener, UnixStream},
    };

    use lumen_ipc::message::{
        login::{AccountName, DisplayName},
        session::SessionHash,
    };

    use super::*;

    fn message(form: SessionHash, host: &str) -> ToSession {
        ToSession::Granted {
            form,
            account: AccountName::new("alice").expect("legal"),
            uid: 4001,
            display: DisplayName::new("wayland-lumen").expect("legal"),
            runtime_dir: Text::truncated("/run/user/4001"),
            host: Text::truncated(host),
            beside: false,
        }
    }

    fn unix_listener(name: &str) -> OwnedFd {
        let path = std::env::temp_dir().join(format!("lumen-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("free");
        std::fs::remove_file(path).expect("ours");
        listener.into()
    }

    fn granted(message: ToSession, listener: OwnedFd) -> Result<Granted, NotGranted> {
        let (leader, _) = LeaderEnd::pair().expect("a socketpair");
        let (link, _) = SessionEnd::pair().expect("a socketpair");
        let descriptors = vec![listener, leader.into_descriptor()];
        Granted::of(Received { message, descriptors }, link.into_descriptor())
    }

    #[test]
    fn session_is_whose_the_host_says_if_this_machine_knows_that_user_by_that_name() {
        let taken = granted(message(SESSION_HASH, "default"), unix_listener("granted"));
        let granted = taken.expect("in order");
        assert_eq!((granted.account.as_str(), granted.uid.as_raw()), ("alice", 4001));
        assert_eq!(granted.host.as_str(), "default");
        assert!(granted.is_of(Uid::from_raw(4001)).is_ok());
        assert!(granted.is_of(Uid::from_raw(4002)).is_err());
    }

    #[test]
    fn host_of_another_build_or_without_a_name_grants_nothing() {
        let other = granted(message(SessionHash(1), "default"), unix_listener("build"));
        assert!(matches!(other, Err(NotGranted::OtherBuild)));
        let nameless = granted(message(SESSION_HASH, "../x"), unix_listener("nameless"));
        assert!(matches!(nameless, Err(NotGranted::OutOfTurn)));
        let welcome = granted(ToSession::StopAsked { why: None }, unix_listener("turn"));
        assert!(matches!(welcome, Err(NotGranted::OutOfTurn)));
    }

    #[test]
    fn wayland_socket_that_is_something_else_is_not_taken() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port").into();
        let (connected, _other) = UnixStream::pair().expect("a pair");
        let file = File::open("/dev/null").expect("there").into();
        for foreign in [tcp, connected.into(), file] {
            let taken = granted(message(SESSION_HASH, "default"), foreign);
            assert!(matches!(taken, Err(NotGranted::NoListener)), "{taken:?}");
        }
    }
}
