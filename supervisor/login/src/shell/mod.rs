//! Everything that touches the operating system: the link, PAM, users and processes.
//!
//! | module | is |
//! |---|---|
//! | `account`, `pam`, `talk` | an attempt to sign in |
//! | `leader`, `become_user`, `orphans` | root's side of a session |
//! | `user_side`, `apps`, `display` | the user's side |
//! | `link`, `ffi` | what they share |

mod account;
mod apps;
mod become_user;
mod display;
mod ffi;
mod leader;
mod link;
mod orphans;
mod pam;
mod talk;
mod user_side;

use std::{
    ffi::OsString,
    io,
    process::ExitCode,
    time::{Duration, Instant},
};

use lumen_ipc::message::login::{
    AccountName, Denial, DisplayName, LOGIN_HASH, ToLeader, ToSupervisor,
};
use lumen_ipc_runtime::log;
use nix::{
    sys::prctl,
    unistd::{Uid, alarm},
};
use rustix::net::sockopt;
use tracing::{error, info, warn};

use self::{
    link::{Link, Lost, NoLink},
    pam::{Candidate, Pam},
    talk::{Silence, Talk},
};
use crate::pace::{Pace, WHOLE};

/// PAM's service: the file of this name in `/etc/pam.d`.
const SERVICE: &str = "lumen";
/// How long the host may take to say who wants to sign in.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How much longer than an attempt a module that hangs may take, before the process is ended.
const HANGS: Duration = Duration::from_secs(10);

/// Why the process ends without having served.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("usage: lumen-login [--service NAME]; systemd starts it for each sign-in")]
    Usage,
    #[error("only root can sign other users in")]
    NotRoot,
    #[error("the other end of the link belongs to uid {0}, and only root's host is served")]
    Stranger(u32),
    #[error(transparent)]
    NoLink(#[from] NoLink),
    #[error("the host's first message did not come: {0}")]
    NoBegin(#[source] Lost),
    #[error("the host's first message is not the beginning of an attempt")]
    NotABegin,
    #[error("PAM does not start: {0}")]
    Pam(#[from] pam_client2::Error),
    #[error("cannot hide this process's memory")]
    Memory(#[source] io::Error),
}

/// Runs the program; the arguments are those after its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    log::start();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let outcome = match words.as_slice() {
        _ if words.len() != arguments.len() => Err(Failure::Usage),
        [] => attend(SERVICE),
        ["--service", name] => attend(name),
        [user_side::OPTION, display] => match DisplayName::new(display) {
            Ok(display) => return user_side::run(&display),
            Err(_) => Err(Failure::Usage),
        },
        _ => Err(Failure::Usage),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Serves one attempt, and the session that follows.
fn attend(service: &str) -> Result<(), Failure> {
    let link = Link::take()?;
    if !Uid::effective().is_root() {
        return Err(Failure::NotRoot);
    }
    let peer = sockopt::socket_peercred(&link).map_err(|errno| NoLink::Io(errno.into()))?.uid;
    if !peer.is_root() {
        return Err(Failure::Stranger(peer.as_raw()));
    }
    // Neither a core dump nor another process shall have passwords. Executing a program ends this.
    prctl::set_dumpable(false).map_err(|errno| Failure::Memory(errno.into()))?;
    // A module that waits for a network for ever is ended with the process, whose link then closes.
    let seconds = (FIRST_WORD + WHOLE + HANGS).as_secs();
    let _ = alarm::set(u32::try_from(seconds).unwrap_or(u32::MAX));
    let Some(candidate) = first_word(&link)? else { return Ok(()) };
    let talk = Talk::new(link, Pace::new(Instant::now()));
    let mut pam = Pam::start(service, &candidate, talk)?;
    let account = pam.sign_in(&candidate);
    let _ = alarm::cancel();
    match account {
        Some(account) => serve_accepted(pam, &account),
        None => refuse(&pam),
    }
    Ok(())
}

/// Who wants to sign in; nobody if the host is of another build.
fn first_word(link: &Link) -> Result<Option<Candidate>, Failure> {
    let first = link.receive(Instant::now() + FIRST_WORD).map_err(Failure::NoBegin)?;
    let ToLeader::Begin { form, account, rhost, trust, groups } = first else {
        return Err(Failure::NotABegin);
    };
    if form != LOGIN_HASH {
        warn!("the host is of another build");
        tell(link, &ToSupervisor::Refused { why: Denial::OtherBuild });
        return Ok(None);
    }
    let (rhost, groups) = (rhost.into_string(), groups.into_vec());
    Ok(Some(Candidate { account, rhost, trust, groups }))
}

/// Answers that nobody signs in, at a time that does not tell why.
fn refuse(pam: &Pam) {
    let talk = pam.context.conversation();
    let why = match talk.silence() {
        Some(Silence::Gone | Silence::Accepted) => return,
        Some(Silence::TooSlow) => Denial::TooSlow,
        None => {
            if let Err(error) = talk.link.pause(pam.refusal_at()) {
                warn!(%error, "cannot wait before the refusal");
                return;
            }
            Denial::Denied
        }
    };
    tell(&talk.link, &ToSupervisor::Refused { why });
}

/// Says that the account is accepted, and opens its session if the host asks for one.
fn serve_accepted(mut pam: Pam, account: &account::Account) {
    let (name, uid) = (account.person.name.as_str(), account.uid.as_raw());
    let Ok(accepted) = AccountName::new(name) else {
        warn!(account = name, "an account of this name cannot have a session");
        return refuse(&pam);
    };
    info!(account = name, uid, "the account is accepted");
    let talk = pam.context.conversation_mut();
    talk.conclude();
    tell(&talk.link, &ToSupervisor::Accepted { account: accepted, uid });
    match talk.link.receive(Instant::now() + WHOLE) {
        Ok(ToLeader::Open { display }) => leader::lead(pam, account, &display),
        // The person has a session already, or went away.
        Err(Lost::Closed) => {}
        Ok(_) => warn!("the host asked for something else than the session"),
        Err(error) => warn!(%error, "the host does not ask for the session"),
    }
}

/// Sends a message to a host that may be gone.
fn tell(link: &Link, message: &ToSupervisor) {
    if let Err(error) = link.send(message, &[]) {
        info!(%error, "the host does not hear");
    }
}
