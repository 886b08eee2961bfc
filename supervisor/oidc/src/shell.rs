//! Everything that touches the operating system: the link, files, and HTTP.

mod ffi;
mod files;
mod web;

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd, BorrowedFd},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::{
        login::AccountName,
        oidc::{FromOidc, OIDC_HASH, OidcFailure, ToOidc},
    },
    text::Text,
};
use lumen_ipc_runtime::{
    channel::{Channel, NotALink, ReceiveError},
    confine::{ConfineError, confine_with_threads},
    log,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt,
    process::{DumpableBehavior, set_dumpable_behavior},
};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use self::web::Web;
use crate::{
    errand::{Errand, Failure},
    policy::policy,
    settings::Settings,
};

/// What the log calls it.
const PROGRAM: &str = "lumen-oidc";
/// How long the host may take to say that a browser wants to sign in.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How long a browser may be away. The host's own limit is the same, so this one is a little longer.
const AWAY: Duration = Duration::from_secs(610);

type Link = Channel<ToOidc, FromOidc>;

/// Why the process ends without having served.
#[derive(Debug, thiserror::Error)]
enum Unserved {
    #[error(
        "usage: lumen-oidc; systemd starts it for each sign-in, with its settings in /etc/lumen/oidc.toml"
    )]
    Usage,
    #[error("lumen-oidc is started by systemd for each sign-in, and not by hand")]
    Kind(#[from] NotALink),
    #[error("cannot take descriptor 0")]
    Io(#[from] io::Error),
    #[error("the other end of the link belongs to uid {0}, and only root's host is served")]
    Stranger(u32),
    #[error("the host's message did not come, or is none that was expected")]
    NoWord,
    #[error("cannot give up what is not needed")]
    Unconfined(#[from] ConfineError),
}

/// Runs the program; the arguments are those after its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    log::start();
    let outcome = match arguments.into_iter().next() {
        None => attend(),
        Some(_) => Err(Unserved::Usage),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(unserved) => {
            let cause = std::error::Error::source(&unserved).map(|cause| format!(": {cause}"));
            error!("{unserved}{}", cause.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn attend() -> Result<(), Unserved> {
    let link = Link::from_descriptor(io::stdin().as_fd().try_clone_to_owned()?)?;
    let peer = sockopt::socket_peercred(&link).map_err(io::Error::from)?.uid;
    if !peer.is_root() {
        return Err(Unserved::Stranger(peer.as_raw()));
    }
    // All that is read before the fence is the administrator's.
    let prepared = prepare();
    ffi::look_names_up_plainly()?;
    // The C library prepares itself for threads when the first is made, by calls that no later one needs.
    confine_with_threads(&policy(), PROGRAM, || {
        thread::Builder::new().spawn(|| ()).map(|first| drop(first.join()))
    })?;
    let Some(ToOidc::Begin { form, callback }) = receive(&link, FIRST_WORD) else {
        return Err(Unserved::NoWord);
    };
    if form != OIDC_HASH {
        warn!("the host is of another build");
        tell(&link, &FromOidc::Failed { reason: OidcFailure::OtherBuild });
        return Ok(());
    }
    let outcome = prepared.and_then(|prepared| serve(&link, &prepared, callback.as_str()));
    match outcome {
        Ok(Some(account)) => tell(&link, &FromOidc::Is { account }),
        // The browser did not come back.
        Ok(None) => {}
        Err(Failure { told, why }) => {
            warn!("nobody is signed in: {why}");
            tell(&link, &FromOidc::Failed { reason: told });
        }
    }
    Ok(())
}

/// What is needed to ask a provider.
struct Prepared {
    settings: Settings,
    secret: Option<Zeroizing<String>>,
    web: Web,
}

/// Reads all files, after nobody else can read this process.
fn prepare() -> Result<Prepared, Failure> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|errno| {
        Failure::new(OidcFailure::Settings, format!("cannot hide the secret: {errno}"))
    })?;
    let (settings, secret) = files::read()?;
    let web = Web::new(settings.ca_file.as_deref())?;
    Ok(Prepared { settings, secret, web })
}

fn serve(
    link: &Link,
    Prepared { settings, secret, web }: &Prepared,
    callback: &str,
) -> Result<Option<AccountName>, Failure> {
    let secret = secret.as_ref().map(|secret| secret.as_str());
    let (errand, url) = Errand::begin(settings, secret, callback, &|request| web.ask(request))?;
    let url = Text::new(url.as_str()).map_err(|error| {
        Failure::new(OidcFailure::Settings, format!("the provider's address: {error}"))
    })?;
    info!(callback, "a browser goes to the provider");
    tell(link, &FromOidc::Visit { url });
    match receive(link, AWAY) {
        Some(ToOidc::Returned { query }) => {
            errand.finish(query.as_str(), &|request| web.ask(request)).map(Some)
        }
        _ => Ok(None),
    }
}

/// Waits for a message. `None` if the host closes its end, breaks the contract, or takes too long.
fn receive(link: &Link, patience: Duration) -> Option<ToOidc> {
    let deadline = Instant::now() + patience;
    loop {
        match link.receive() {
            Ok(received) => return Some(received.message),
            Err(ReceiveError::Empty) => {}
            Err(ReceiveError::Closed) => return None,
            Err(broken) => {
                warn!(%broken, "the link to the host is lost");
                return None;
            }
        }
        if !wait(link.as_fd(), deadline).unwrap_or(false) {
            return None;
        }
    }
}

fn wait(descriptor: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let left = Timespec { tv_sec, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut polled, Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends a message to a host that may be gone.
fn tell(link: &Link, message: &FromOidc) {
    if let Err(error) = link.send(message, &[]) {
        info!(%error, "the host does not hear");
    }
}
