//! A host is killed and restarted while its sessions run: earlier logins and numbers stay valid for their
//! owners and for nobody else.

use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            process::CommandExt,
        },
    },
    process::Command,
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{
    message::session::{SESSION_HASH, ToHost, ToSession, TokenDigest},
    process::{ProcessId, Worker},
    units::SessionId,
};
use lumen_ipc_runtime::channel::{Channel, ReceiveError};
use lumen_tests::{
    app::Show,
    browser::Browser,
    hosted::{HostRig, HostSetup, SessionRig, SessionSetup},
    patience::{wait_for, wait_until},
    picture::{QUADRANTS, colour_of_key},
    rig::runs_as_root,
    viewer::{SignedIn, Viewer, get, login, post},
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// A user id that nobody has, and that Lumen does not use either.
const STRANGER: u32 = 60_123;

/// Logs in with a session's token.
fn signed_in(host: &HostRig, session: &SessionRig) -> Result<SignedIn> {
    login(host.address(), session.token())?.signed_in()
}

fn sign_out(host: &HostRig, login: &SignedIn) -> Result<u16> {
    let origin = format!("http://{}", host.address());
    let headers = [("Origin", &*origin), ("Cookie", &*login.cookie), ("Lumen-Key", &*login.key)];
    Ok(post(host.address(), "/api/sign-out", &headers, "")?.status)
}

/// Whether a session's rtc reports a viewer.
fn is_watched(host: &HostRig, session: SessionId) -> bool {
    let rtc = host.worker(ProcessId::serving(session, Worker::Rtc)).ok().flatten();
    rtc.is_some_and(|rtc| rtc.summary.as_str().starts_with("1 viewer"))
}

#[test]
fn login_opens_its_own_session_after_the_host_was_killed() -> Result<()> {
    let mut host = HostRig::start()?;
    let one = SessionSetup::new().start(&host)?;
    let other = SessionSetup::new().start(&host)?;
    let logins = [signed_in(&host, &one)?, signed_in(&host, &other)?];
    for (session, login) in [&one, &other].into_iter().zip(&logins) {
        host.kill()?;
        host.serve()?;
        let number = session.number(&host)?;
        let viewer = Viewer::with_login(host.address(), login)?;
        viewer.wait_for_frame(1)?;
        wait_until("its session has a viewer", || is_watched(&host, number))?;
        drop(viewer);
        wait_until("its session has none", || !is_watched(&host, number))?;
    }
    Ok(())
}

#[test]
fn login_that_was_signed_out_of_is_not_believed_by_the_next_host() -> Result<()> {
    let mut host = HostRig::start()?;
    let session = SessionSetup::new().start(&host)?;
    let (kept, ended) = (signed_in(&host, &session)?, signed_in(&host, &session)?);
    ensure!(sign_out(&host, &ended)? < 300, "signing out");
    host.kill()?;
    host.serve()?;
    assert!(Viewer::with_login(host.address(), &ended).is_err());
    Viewer::with_login(host.address(), &kept)?.wait_for_frame(1).map(drop)
}

#[test]
fn browser_signed_in_to_two_sessions_opens_each_and_signs_out_of_one() -> Result<()> {
    let host = HostRig::start()?;
    let sessions = [SessionSetup::new().start(&host)?, SessionSetup::new().start(&host)?];
    let [one, other] = [signed_in(&host, &sessions[0])?, signed_in(&host, &sessions[1])?];
    let cookie = format!("{}; {}", one.cookie, other.cookie);
    let logins = [one, other].map(|login| SignedIn { cookie: cookie.clone(), ..login });
    for (session, login) in sessions.iter().zip(&logins) {
        let number = session.number(&host)?;
        let viewer = Viewer::with_login(host.address(), login)?;
        viewer.wait_for_frame(1)?;
        wait_until("its session has a viewer", || is_watched(&host, number))?;
    }
    ensure!(sign_out(&host, &logins[0])? < 300, "signing out");
    assert!(Viewer::with_login(host.address(), &logins[0]).is_err());
    Viewer::with_login(host.address(), &logins[1])?.wait_for_frame(1).map(drop)
}

#[test]
fn address_of_another_session_in_the_same_window_leads_there() -> Result<()> {
    let host = HostRig::start()?;
    let sessions = [SessionSetup::new().start(&host)?, SessionSetup::new().start(&host)?];
    let numbers = [sessions[0].number(&host)?, sessions[1].number(&host)?];
    let browser = Browser::start()?;
    let page = browser.open(sessions[0].url())?;
    page.wait_for_picture()?;
    wait_until("the first is watched", || is_watched(&host, numbers[0]))?;
    let only_second = || is_watched(&host, numbers[1]) && !is_watched(&host, numbers[0]);
    page.go_to(sessions[1].url())?;
    wait_until("the second is watched instead", only_second)?;
    page.reload()?;
    page.wait_for_picture()?;
    wait_until("the second is watched again", only_second)
}

#[test]
fn sign_out_with_an_invented_key_has_nothing_written() -> Result<()> {
    let host = HostRig::start()?;
    let session = SessionSetup::new().start(&host)?;
    let mut login = signed_in(&host, &session)?;
    let file = host.run_folder().join("host-test.state");
    let written = || -> Result<(u64, SystemTime)> {
        let found = fs::metadata(&file)?;
        Ok((found.ino(), found.modified()?))
    };
    let invented = format!("{}{}", &login.key[..login.key.len() - 64], "0".repeat(64));
    let key = std::mem::replace(&mut login.key, invented);
    let before = written()?;
    for _ in 0..3 {
        ensure!(sign_out(&host, &login)? < 300, "signing out");
    }
    assert_eq!(written()?, before);
    login.key = key;
    ensure!(sign_out(&host, &login)? < 300, "signing out");
    assert_ne!(written()?, before);
    Ok(())
}

#[test]
fn state_that_is_damaged_is_said_and_nobody_believed_but_who_brings_a_token() -> Result<()> {
    let mut host = HostRig::start()?;
    let session = SessionSetup::new().start(&host)?;
    let login = signed_in(&host, &session)?;
    host.kill()?;
    let file = host.run_folder().join("host-test.state");
    let mode = fs::metadata(&file)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut bytes = fs::read(&file)?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("an empty file")? ^= 1;
    fs::write(&file, bytes)?;
    host.serve()?;
    ensure!(host.said().contains("is not believed: it is damaged"), "{}", host.said());
    session.number(&host)?;
    assert!(Viewer::with_login(host.address(), &login).is_err());
    Viewer::with_token(host.address(), session.token())?.wait_for_frame(1).map(drop)
}

#[test]
fn picture_and_keys_go_on_while_there_is_no_host_and_the_page_finds_the_next() -> Result<()> {
    let mut host = HostRig::start()?;
    let session = SessionSetup::new().start(&host)?;
    let browser = Browser::start()?;
    let page = browser.open(session.url())?;
    page.wait_for_picture()?;
    page.wait_for_colour((0.25, 0.25), QUADRANTS[0])?;
    host.kill()?;
    page.key_down("KeyA")?;
    page.key_up("KeyA")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(30))?;
    host.serve()?;
    let number = session.number(&host)?;
    wait_until("its session has its viewer", || is_watched(&host, number))?;
    page.key_down("KeyS")?;
    page.key_up("KeyS")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(31))?;
    page.ensure_connected_once()?;
    // The earlier login opens the page again.
    page.reload()?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(31))
}

#[test]
fn host_killed_often_keeps_every_number_and_the_relays_port() -> Result<()> {
    let mut host = HostSetup::new().option("--relay-port", "0").start()?;
    let sessions: Vec<SessionRig> =
        (0..3).map(|_| SessionSetup::new().start(&host)).collect::<Result<_>>()?;
    let numbers = |host: &HostRig| -> Result<Vec<SessionId>> {
        sessions.iter().map(|session| session.number(host)).collect()
    };
    let relay = |host: &HostRig| {
        let turn = ProcessId::serving(SessionId::SOLE, Worker::Turn);
        host.ready_worker(turn)?;
        let port = |summary: &str| summary.split(',').next().map(str::to_owned);
        wait_for("the relay says its port", || {
            port(host.worker(turn).ok()??.summary.as_str()).filter(|port| !port.is_empty())
        })
    };
    let (before, port) = (numbers(&host)?, relay(&host)?);
    for _ in 0..5 {
        host.kill()?;
        host.serve()?;
        assert_eq!(numbers(&host)?, before);
    }
    assert_eq!(relay(&host)?, port);
    Ok(())
}

/// The link to the host of a simulated session.
struct Played(Channel<ToSession, ToHost>);

impl Played {
    fn connect(host: &HostRig) -> Result<Self> {
        let path = host.run_folder().join("sessions-test.sock");
        let end = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
        connect(end.as_raw_fd(), &UnixAddr::new(&path)?)?;
        Ok(Self(Channel::from_descriptor(end)?))
    }

    fn register(&self, was: Option<SessionId>, token: u8) -> Result<ToSession> {
        let token = TokenDigest([token; 32]);
        let form = SESSION_HASH;
        let word = ToHost::Registered {
            form,
            was,
            name: None,
            token,
            supervisor_pid: 1,
            owner: 1,
            age_seconds: 0,
        };
        self.0.send(&word, &[])?;
        self.answer()
    }

    fn answer(&self) -> Result<ToSession> {
        wait_for("the host answers", || match self.0.receive() {
            Err(ReceiveError::Empty) => None,
            other => Some(other),
        })?
        .map(|received| received.message)
        .context("the host's answer")
    }
}

#[test]
fn session_that_claims_the_number_of_another_is_given_one_of_its_own() -> Result<()> {
    let mut host = HostRig::start()?;
    let session = SessionSetup::new().start(&host)?;
    let number = session.number(&host)?;
    let given = |word| match word {
        ToSession::Welcomed { session, .. } => Ok(session),
        other => bail!("not welcomed: {other:?}"),
    };
    let living = given(Played::connect(&host)?.register(Some(number), 1)?)?;
    ensure!(living != number, "the number of a living session was given away");
    // The next host knows the owner, too, even before that session has reconnected.
    host.kill()?;
    signal(&session, nix::sys::signal::Signal::SIGSTOP)?;
    host.serve()?;
    let absent = given(Played::connect(&host)?.register(Some(number), 2)?)?;
    ensure!(absent != number && absent != living, "{absent} was given twice");
    signal(&session, nix::sys::signal::Signal::SIGCONT)?;
    assert_eq!(session.number(&host)?, number);
    Ok(())
}

fn signal(session: &SessionRig, signal: nix::sys::signal::Signal) -> Result<()> {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(session.supervisor().0)?);
    nix::sys::signal::kill(pid, signal).context("signalling a session")
}

#[test]
fn link_that_says_what_no_session_says_is_ended_and_costs_the_others_nothing() -> Result<()> {
    let host = HostRig::start()?;
    let session = SessionSetup::new().start(&host)?;
    let unregistered = Played::connect(&host)?;
    unregistered.0.send(&ToHost::SignallingWanted, &[])?;
    assert!(unregistered.answer().is_err(), "it has not registered");
    let twice = Played::connect(&host)?;
    assert!(matches!(twice.register(None, 1)?, ToSession::Welcomed { .. }));
    let links: Vec<Played> = (0..40).map(|_| Played::connect(&host)).collect::<Result<_>>()?;
    assert!(links[0].answer().is_err(), "of many that do not register the oldest makes room");
    let number = session.number(&host)?;
    let viewer = Viewer::with_token(host.address(), session.token())?;
    viewer.wait_for_frame(1)?;
    wait_until("the session has its viewer", || is_watched(&host, number))
}

/// A script that connects to the host's socket as another user, who must get no answer.
const KNOCK: &str = "
import socket, sys
door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    door.connect(sys.argv[1])
except PermissionError:
    print('no way')
else:
    print('closed' if door.recv(100) == b'' else 'served')
";

#[test]
fn session_of_another_user_does_not_reach_the_host_and_is_refused_where_it_does() -> Result<()> {
    if !runs_as_root() {
        println!("only root can play another user; not tried");
        return Ok(());
    }
    let host = HostRig::start()?;
    let socket = host.run_folder().join("sessions-test.sock");
    let knock = || -> Result<String> {
        let mut python = Command::new("/usr/bin/python3");
        python.arg("-c").arg(KNOCK).arg(&socket).uid(STRANGER).gid(STRANGER);
        let output = python.output().context("running python3")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    assert_eq!(knock()?, "no way");
    for folder in [host.runtime_folder(), &host.run_folder()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    assert_eq!(knock()?, "closed");
    wait_until("the log says so", || host.said().contains("refused a session of another user"))
}

#[test]
fn moving_picture_goes_on_while_there_is_no_host() -> Result<()> {
    let mut host = HostRig::start()?;
    let session = SessionSetup::new().show(Show::Motion, 30).start(&host)?;
    let browser = Browser::start()?;
    let page = browser.open(session.url())?;
    page.wait_for_picture()?;
    host.kill()?;
    ensure!(get(host.address(), "/healthz", &[]).is_err(), "somebody still serves");
    page.wait_for_frame_after(SystemTime::now()).map(drop)
}
