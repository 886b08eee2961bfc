//! One host and several sessions, each a process of its own: how the end of a session affects the others,
//! and how the end of the host affects all.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use lumen_ipc::{service::SessionStatus, units::SessionId};
use lumen_tests::{
    hosted::{HostRig, HostSetup, SessionRig, SessionSetup},
    patience::wait_until,
    process::Process,
    rig::runs_as_root,
};

fn two_sessions(host: &HostRig) -> Result<[SessionRig; 2]> {
    Ok([SessionSetup::new().start(host)?, SessionSetup::new().start(host)?])
}

/// An environment variable of a session's app.
fn variable(session: &SessionRig, name: &str) -> Result<String> {
    let environment = Process(session.app_log().pid()?).environment()?;
    let value = environment.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    Ok(value.with_context(|| format!("the app has no {name}"))?.to_owned())
}

/// Every process of the sessions: app and workers.
fn processes(host: &HostRig, count: usize) -> Result<BTreeSet<(SessionId, Option<u32>)>> {
    let sessions = host.wait_for_sessions(count)?.sessions;
    let of = |session: SessionStatus| {
        let workers = session.workers.into_iter().map(|worker| worker.pid);
        workers.chain([session.app.pid]).map(move |pid| (session.id, pid)).collect::<Vec<_>>()
    };
    Ok(sessions.into_iter().flat_map(of).collect())
}

#[test]
fn sessions_of_one_host_have_a_display_a_token_and_a_number_each() -> Result<()> {
    let host = HostRig::start()?;
    let [one, other] = two_sessions(&host)?;
    for session in [&one, &other] {
        session.app_log().wait_until_drawn()?;
        ensure!(session.url().starts_with(&format!("http://{}/#token=", host.address())));
    }
    assert_ne!(variable(&one, "WAYLAND_DISPLAY")?, variable(&other, "WAYLAND_DISPLAY")?);
    assert_ne!(one.token(), other.token());
    assert_ne!(one.number(&host)?, other.number(&host)?);
    Ok(())
}

#[test]
fn session_that_has_a_name_is_listed_by_it_and_a_second_of_that_name_is_refused() -> Result<()> {
    let host = HostRig::start()?;
    let _work = SessionSetup::new().named("work").start(&host)?;
    let mut again = SessionSetup::new().named("work").launch(&host)?;
    let status = again.wait_for_end()?;
    ensure!(status.code() == Some(112), "{status}");
    ensure!(again.said().contains("there is a session of that name"), "{}", again.said());
    let sessions = host.status()?.sessions;
    let names: Vec<&str> = sessions.iter().map(|session| session.name.as_str()).collect();
    assert_eq!(names, ["work"]);
    Ok(())
}

#[test]
fn session_killed_ends_that_one_only() -> Result<()> {
    let host = HostRig::start()?;
    let [mut one, other] = two_sessions(&host)?;
    let before = processes(&host, 2)?;
    let (gone, stays) = (one.number(&host)?, other.number(&host)?);
    one.kill()?;
    let after = processes(&host, 1)?;
    let rest: BTreeSet<_> = before.into_iter().filter(|(session, _)| *session != gone).collect();
    assert_eq!(after, rest);
    // A number is never assigned twice.
    let third = SessionSetup::new().start(&host)?.number(&host)?;
    ensure!(third != gone && third != stays, "{third}");
    Ok(())
}

#[test]
fn session_started_before_its_host_waits_for_it_and_starts_no_app_meanwhile() -> Result<()> {
    let mut host = HostSetup::new().prepare()?;
    let mut session = SessionSetup::new().launch(&host)?;
    wait_until("the session says that it waits", || session.said().contains("no host is there"))?;
    ensure!(session.app_log().events().is_empty(), "the app has started");
    host.serve()?;
    session.wait_until_open()?;
    session.app_log().wait_until_drawn()?;
    assert_eq!(session.said().matches("no host is there").count(), 1);
    Ok(())
}

#[test]
fn host_killed_and_started_again_finds_its_sessions_as_they_were() -> Result<()> {
    let mut host = HostRig::start()?;
    let [one, other] = two_sessions(&host)?;
    let before = processes(&host, 2)?;
    let numbers = [one.number(&host)?, other.number(&host)?];
    host.kill()?;
    host.serve()?;
    assert_eq!(processes(&host, 2)?, before);
    assert_eq!([one.number(&host)?, other.number(&host)?], numbers);
    for session in [&one, &other] {
        assert_eq!(session.said().matches("Lumen is ready").count(), 1, "{}", session.said());
    }
    Ok(())
}

#[test]
fn host_started_again_elsewhere_has_its_sessions_say_where() -> Result<()> {
    let mut host = HostRig::start()?;
    let session = SessionSetup::new().start(&host)?;
    host.kill()?;
    host.move_elsewhere()?;
    let said = format!("another address: http://{}/#token={}\n", host.address(), session.token());
    for _ in 0..2 {
        host.serve()?;
        wait_until("the session says where", || session.said().contains(&said))?;
        session.number(&host)?;
        host.kill()?;
    }
    assert_eq!(session.said().matches("another address").count(), 1, "{}", session.said());
    Ok(())
}

#[test]
fn sessions_that_root_starts_for_temporary_users_share_no_user() -> Result<()> {
    if !runs_as_root() {
        println!("only root can start sessions whose workers are other users; not tried");
        return Ok(());
    }
    let host = HostSetup::new().as_root().start()?;
    let _sessions = two_sessions(&host)?;
    let status = host.wait_for_sessions(2)?;
    let users = |workers: &[lumen_ipc::service::ProcessStatus]| -> BTreeSet<u32> {
        workers.iter().map(|worker| worker.uid).collect()
    };
    let [one, other] = [0, 1].map(|number| users(&status.sessions[number].workers));
    let hosts = users(&status.workers);
    for (one, other) in [(&one, &other), (&one, &hosts), (&other, &hosts)] {
        ensure!(one.is_disjoint(other), "{one:?} {other:?}");
    }
    Ok(())
}
