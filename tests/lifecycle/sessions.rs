//! Three sessions of one host, each watched by its own page: they share nothing, and the end of one, or of
//! the host, does not affect the others.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::{ProcessId, Worker};
use lumen_tests::{
    app_event::AppEvent,
    hosted::SessionSetup,
    measured::note_time,
    patience::{wait_for, wait_for_ok, wait_until},
    picture::colour_of_key,
    process::{Process, descendants},
    rig::kill_hard,
    viewer::{Handshake, Signalling, Viewer, login},
    watched::{Trio, Watched},
};
use serde_json::json;

/// `KEY_Q`, which none of the pages presses.
const KEY: u16 = 16;

/// Every process of the sessions except `but`, including their apps.
fn processes(trio: &Trio, but: &Watched) -> Result<BTreeSet<(String, u32)>> {
    let status = trio.host.status()?;
    let others = status.sessions.iter().filter(|session| session.id != but.number);
    Ok(others
        .flat_map(|session| {
            let app = session.app.pid.map(|pid| (format!("{} app", session.id), pid));
            let workers = session.workers.iter();
            let workers =
                workers.filter_map(|worker| Some((worker.process.to_string(), worker.pid?)));
            workers.chain(app).collect::<Vec<_>>()
        })
        .collect())
}

/// Checks that these sessions' pages still have their first connection and get pictures, and that keys reach
/// their apps.
fn go_on_undisturbed<'a>(others: impl IntoIterator<Item = &'a Watched>) -> Result<()> {
    for other in others {
        other.is_live()?;
        other.page.ensure_connected_once()?;
        other.goes_on()?;
    }
    Ok(())
}

#[test]
fn sessions_show_each_its_own_picture_and_get_their_own_keys_only() -> Result<()> {
    let trio = Trio::start()?;
    for session in &trio.sessions {
        session.shows(colour_of_key(session.keys[0].code))?;
        session.goes_on()?;
    }
    // A page that returns without the token gets the same session.
    for session in &trio.sessions {
        session.page.go_to(&format!("http://{}/", trio.host.address()))?;
        session.page.wait_for_picture()?;
        session.goes_on()?;
    }
    trio.sessions.iter().try_for_each(Watched::got_own_keys_only)
}

#[test]
fn login_of_one_session_opens_nothing_of_another() -> Result<()> {
    let trio = Trio::start()?;
    let ([one, other, _], address) = (&trio.sessions, trio.host.address());
    let viewer = Viewer::with_token(address, one.session.token())?;
    viewer.wait_for_frame(0)?;
    viewer.wait_until_connected()?;
    viewer.key(KEY, true)?;
    viewer.key(KEY, false)?;
    let pressed = AppEvent::Key { code: KEY.into(), pressed: true };
    one.session.app_log().wait_for_event(0, &pressed)?;

    // The ticket of a peer of the other session, used with a login of this one.
    let watching = Viewer::with_token(address, other.session.token())?;
    watching.wait_for_frame(0)?;
    let ticket = watching.seen().ticket.clone();
    let login = login(address, one.session.token())?.signed_in()?;
    let mut stranger = Signalling::open(Handshake::of(address).signed_in(&login))?;
    stranger.send(json!({ "type": "resume", "ticket": ticket }).to_string())?;
    stranger.wait_until_closed()?;
    let frames = watching.seen().frames.len();
    watching.wait_for_frame(frames)?;
    ensure!(watching.seen().closed.is_none(), "the peer of the other session was closed");
    trio.sessions[1..].iter().try_for_each(Watched::got_own_keys_only)
}

#[test]
fn compositor_killed_costs_its_sessions_app_and_no_other_picture() -> Result<()> {
    let trio = Trio::start()?;
    for session in &trio.sessions {
        let before = processes(&trio, session)?;
        let others = || trio.sessions.iter().filter(|other| other.number != session.number);
        let app = session.session.app_log();
        let (mark, killed) = (app.mark(), SystemTime::now());
        trio.host.replace(session.worker(Worker::Compositor))?;
        let shown = session.page.wait_for_frame_after(killed)?;
        note_time("compositor of one session killed, first new frame in its page", shown);
        app.wait_for("another app starts", mark, |event| match event {
            AppEvent::Started { pid } => Some(*pid),
            _ => None,
        })?;
        assert_eq!(processes(&trio, session)?, before, "something of another session has died");
        others().try_for_each(Watched::is_live)?;
        for other in others() {
            other.page.ensure_connected_once()?;
        }
        session.page.ensure_connected_once()?;
        session.press(session.keys[1])?;
    }
    Ok(())
}

#[test]
fn host_killed_costs_no_app_and_no_direct_picture_and_pages_come_back_to_the_next() -> Result<()> {
    let mut trio = Trio::start()?;
    let before = trio.host.process()?;
    trio.host.kill()?;
    // Pictures and keys do not need the host.
    go_on_undisturbed(&trio.sessions)?;
    trio.host.serve()?;
    ensure!(trio.host.process()? != before, "the host is the same process");
    trio.host.wait_for_sessions(3)?;
    go_on_undisturbed(&trio.sessions)?;
    // Each page signals through the new gateway, so what needs signalling works.
    let gateway = ProcessId::new(None, Worker::Gateway)?;
    wait_until("the new gateway serves all pages", || {
        let gateway = trio.host.worker(gateway).ok().flatten();
        gateway.is_some_and(|gateway| gateway.summary.as_str().contains("3 browsers, 3 peers"))
    })?;
    for session in &trio.sessions {
        let connections = session.page.connections_made()?;
        kill_hard(trio.host.ready_worker(session.worker(Worker::Rtc))?)?;
        session.page.wait_until_connected_anew(connections)?;
        session.goes_on()?;
    }
    trio.sessions.iter().try_for_each(Watched::got_own_keys_only)
}

/// Every file, folder and socket under a folder.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        }
        found.insert(path);
    }
    Ok(found)
}

#[test]
fn session_killed_leaves_nothing_of_itself_and_the_others_as_they_were() -> Result<()> {
    let mut trio = Trio::start()?;
    let before = processes(&trio, &trio.sessions[1])?;
    // Helpers make their files in their own time; the last of them is this one.
    let folder = trio.host.runtime_folder().to_owned();
    let on_disk = wait_for("what three desktops have on disk", || {
        let found = files(&folder).ok()?;
        let complete = found.iter().filter(|path| path.ends_with("pulse/pid")).count() == 3;
        complete.then_some(found)
    })?;
    let killed = &mut trio.sessions[1];
    let family = descendants(killed.session.supervisor());
    ensure!(family.contains(&killed.app), "the app is not the session's");
    killed.session.kill()?;
    wait_until("all that was the session's is gone", || {
        !family.iter().any(|process: &Process| process.is_alive())
    })?;
    let killed = &trio.sessions[1];
    trio.host.wait_for_sessions(2)?;
    assert_eq!(processes(&trio, killed)?, before, "something of another session has died");
    go_on_undisturbed([&trio.sessions[0], &trio.sessions[2]])?;
    wait_until("the page says that its desktop has ended", || {
        let said = killed.page.statuses().unwrap_or_default();
        said.iter().any(|status| status.contains("The desktop has ended"))
    })?;
    // The next session reuses the paths that the killed one could not remove.
    let _next = SessionSetup::new().start(&trio.host)?;
    wait_for_ok("the same files as before", || {
        let now = files(&folder)?;
        let others: Vec<_> = now.symmetric_difference(&on_disk).collect();
        ensure!(others.is_empty(), "one of the two lacks {others:?}");
        Ok(())
    })
}
