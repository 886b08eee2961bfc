//! What users of the machine may ask root's host: administrators everything, others about their own sessions
//! only. And what every command says that ends a sign-in.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::{ProcessId, Worker};
use lumen_tests::{
    hosted::{HostRig, HostSetup, SessionSetup},
    patience::wait_until,
    rig::{TEST_USER, runs_as_root},
    viewer::{Viewer, login},
};
use nix::unistd::{Group, User};

/// The group of administrators, which `tests/install.sh` adds.
const ADMINS: &str = "lumen-admin";
/// A user of the machine without any session: `daemon` of every system.
const STRANGER: u32 = 1;

struct Answer {
    code: Option<i32>,
    said: String,
}

fn ask(host: &HostRig, (uid, gid): (u32, u32), words: &[&str]) -> Result<Answer> {
    let output = host.lumen_as(uid, gid, words)?;
    let said = [output.stdout, output.stderr].concat();
    Ok(Answer { code: output.status.code(), said: String::from_utf8(said)? })
}

#[test]
fn users_see_and_do_at_roots_host_what_is_their_own_sessions_and_administrators_everything()
-> Result<()> {
    if !runs_as_root() {
        println!("not root, who alone can be other users: nothing to test");
        return Ok(());
    }
    let host = HostSetup::new().as_root().start()?;
    let mut session = SessionSetup::new().named("work").start(&host)?;
    host.wait_for_sessions(1)?;
    let owner = User::from_name(TEST_USER)?.context("the user of tests")?;
    let admins =
        Group::from_name(ADMINS)?.context("no group lumen-admin; tests/install.sh adds it")?;
    let owner = (owner.uid.as_raw(), owner.gid.as_raw());
    let (stranger, admin) = ((STRANGER, STRANGER), (STRANGER, admins.gid.as_raw()));

    for (who, sees) in [(owner, true), (stranger, false), (admin, true)] {
        for words in [&["sessions"][..], &["users"], &["status"], &["metrics"], &["logs", "work"]] {
            let answer = ask(&host, who, words)?;
            let mentions = answer.said.contains("work") && answer.code == Some(0);
            ensure!(
                mentions == sees || words == ["logs", "work"],
                "{who:?} {words:?}: {}",
                answer.said
            );
            ensure!(sees || !answer.said.contains(TEST_USER), "{words:?}: {}", answer.said);
        }
        let own = ask(&host, who, &["logs", "work", "rtc"])?;
        ensure!((own.code == Some(0)) == sees, "{who:?}: {}", own.said);
    }
    for (who, may) in [(owner, false), (stranger, false), (admin, true)] {
        for words in [&["logs", "gateway"][..], &["restart", "turn"]] {
            let answer = ask(&host, who, words)?;
            ensure!((answer.code == Some(0)) == may, "{who:?} {words:?}: {}", answer.said);
            ensure!(may || answer.said.contains(ADMINS), "{words:?}: {}", answer.said);
        }
    }
    let number = session.number(&host)?;
    let media = ProcessId::new(Some(number), Worker::Media)?;
    let before = host.ready_worker(media)?;
    let words = ["restart", "work", "media"];
    ensure!(ask(&host, stranger, &words)?.code != Some(0), "a stranger restarts another's media");
    ensure!(
        ask(&host, stranger, &["stop", &number.0.to_string()])?.code != Some(0),
        "a stranger stops a session"
    );
    assert_eq!(host.ready_worker(media)?, before);
    ensure!(ask(&host, owner, &words)?.code == Some(0), "the owner may");
    wait_until("its media is another", || {
        host.ready_worker(media).is_ok_and(|media| media != before)
    })?;

    let signed_in = login(host.address(), session.token())?.signed_in()?;
    let viewer = Viewer::with_login(host.address(), &signed_in)?;
    viewer.wait_for_frame(1)?;
    wait_until("the owner sees who watches", || {
        ask(&host, owner, &["sessions"]).is_ok_and(|it| it.said.contains("127.0.0.1 ("))
    })?;
    let none = ask(&host, stranger, &["revoke", "user", TEST_USER])?;
    ensure!(none.said.contains("0 sign-ins ended"), "{}", none.said);
    Viewer::with_login(host.address(), &signed_in)?.wait_for_frame(1)?;
    let ended = ask(&host, owner, &["revoke", "session", "work"])?;
    ensure!(ended.code == Some(0) && ended.said.contains("1 sign-in ended"), "{}", ended.said);
    ensure!(Viewer::with_login(host.address(), &signed_in).is_err(), "its key opens nothing");
    wait_until("its viewer is gone", || {
        let rtc = host.worker(ProcessId::serving(number, Worker::Rtc)).ok().flatten();
        rtc.is_some_and(|rtc| rtc.summary.as_str().starts_with("no viewer"))
    })?;
    ensure!(ask(&host, owner, &["stop"])?.code == Some(0), "the owner may");
    ensure!(session.wait_for_end()?.success(), "{}", session.said());
    if Path::new("/run/systemd/journal/socket").exists() {
        println!("what is recorded goes to this machine's journal: not looked at");
        return Ok(());
    }
    let signs_in = format!("signed in to session {} by token", number.0);
    let watches = format!("watches session {}", number.0);
    for told in [&signs_in, &watches, "ended a sign-in", "may not"] {
        ensure!(host.said().contains(told), "nothing is recorded of `{told}`: {}", host.said());
    }
    ensure!(!host.said().contains(session.token()), "a token is recorded");
    Ok(())
}
