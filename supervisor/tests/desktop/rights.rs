//! What users of the machine may ask root's host: administrators everything, others what concerns their own
//! session only.

use std::{fs, os::unix::process::CommandExt, process::Stdio};

use lumen_ipc::process::Worker;
use nix::unistd::{Group, Uid};

use super::{Command, Desktop, LUMEN, Stage, wait_until};

/// The group of administrators, which `tests/install.sh` adds.
const ADMINS: &str = "lumen-admin";
/// A user of the machine without a session: `daemon` of every system.
const STRANGER: u32 = 1;

impl Stage {
    /// What a command says to a user with one group only, and whether it succeeds.
    fn ask_as(&self, (uid, gid): (u32, u32), arguments: &[&str]) -> (bool, String) {
        // Where it was built, others may have no access.
        let lumen = self.directory.join("lumen");
        if !lumen.exists() {
            fs::copy(LUMEN, &lumen).expect("copied");
        }
        let mut command = Command::new(lumen);
        command.args(arguments).env("LUMEN_NAME", &self.name).env_remove("XDG_RUNTIME_DIR");
        command.current_dir("/").stdin(Stdio::null()).uid(uid).gid(gid);
        let output = command.output().expect("lumen runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).expect("text"))
    }

    /// The user of the only session.
    fn owner(&self) -> u32 {
        let listed = self.ask(&["sessions", "--json"]);
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
        let uid = listed[0]["uid"].as_u64().expect("a user");
        u32::try_from(uid).expect("a user's number")
    }
}

#[test]
fn users_ask_roots_host_about_their_own_session_and_administrators_about_everything() {
    if !Uid::effective().is_root() {
        println!("not root, who alone can be other users: nothing to test");
        return;
    }
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("exec sleep 1000")).ready();
    stage.status_with_app();
    let admins = Group::from_name(ADMINS).expect("groups are known");
    let admins = admins.expect("tests/install.sh test adds the group lumen-admin").gid.as_raw();
    let owner = stage.owner();
    let (owner, stranger, admin) = ((owner, owner), (STRANGER, STRANGER), (STRANGER, admins));

    for (who, sees) in [(owner, true), (stranger, false), (admin, true)] {
        for words in [&["sessions"][..], &["users"], &["status"]] {
            let (succeeds, said) = stage.ask_as(who, words);
            let shown = said.contains(&owner.0.to_string()) || said.contains("rtc");
            assert!(succeeds, "{who:?} {words:?}: {said}");
            assert_eq!(shown, sees, "{who:?} {words:?}: {said}");
        }
        let restarts = || stage.process(Worker::Media).map_or(0, |media| media.restarts);
        let before = restarts();
        let (succeeds, said) = stage.ask_as(who, &["restart", "media"]);
        assert_eq!(succeeds, sees, "{who:?}: {said}");
        match sees {
            true => wait_until("media is a new one", || restarts() > before),
            false => assert!(said.contains("no session"), "{said}"),
        }
    }
    for words in [&["restart", "gateway"][..], &["logs", "gateway"]] {
        for (who, may) in [(owner, false), (stranger, false), (admin, true)] {
            let (succeeds, said) = stage.ask_as(who, words);
            assert_eq!(succeeds, may, "{who:?} {words:?}: {said}");
            assert!(may || said.contains(ADMINS), "{who:?} {words:?}: {said}");
        }
    }
    for words in [&["stop"][..], &["stop", "1"], &["revoke", "session", "1"]] {
        assert!(!stage.ask_as(stranger, words).0, "{words:?}");
    }
    let none = stage.ask_as(owner, &["revoke", "0000"]).1;
    assert!(none.contains("`lumen users`"), "{none}");
    let (succeeds, said) = stage.ask_as(owner, &["stop"]);
    assert!(succeeds, "{said}");
    let (code, said) = desktop.end();
    assert_eq!(code.code(), Some(0), "{said}");
}
