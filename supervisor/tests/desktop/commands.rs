//! The commands that query a running desktop: what they name, and how they print untrusted text.

use lumen_ipc::{log::LogSource, process::Worker, visible::visible};

use super::{Desktop, Signal, Stage, wait_until};

/// Sets a terminal's title, clears it, and reverses the direction of what follows.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1m\u{202e}end";

/// The output of a `lumen` command, which must succeed.
fn printed(stage: &Stage, arguments: &[&str]) -> String {
    let output = stage.ask(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn words_of_workers_and_apps_reach_no_terminal_as_they_are() {
    let stage = Stage::new().mode(Worker::Media, HOSTILE);
    let script = format!("printf '%s\\n' '{HOSTILE}'; exec sleep 1000");
    let desktop = Desktop::start(stage.run(&script)).ready();
    wait_until("the app has printed", || {
        printed(&stage, &["logs", LogSource::App.name()]).contains("end")
    });
    stage.status_with_app();
    let mut all: Vec<(&str, String)> =
        [&["status"][..], &["status", "--json"], &["logs"], &["logs", "app"], &["metrics"]]
            .into_iter()
            .map(|asked| (*asked.last().expect("a command"), printed(&stage, asked)))
            .collect();
    desktop.signal(Signal::SIGINT);
    all.push(("run", desktop.end().1));
    for (command, text) in &all {
        let raw: Vec<char> =
            text.chars().filter(|it| "\u{1b}\u{7}\u{9b}\u{202e}".contains(*it)).collect();
        assert!(raw.is_empty(), "{command}: {raw:?} in {text:?}");
    }
    let shows = |wanted: &str| all.iter().find(|(command, _)| *command == wanted).map(|it| &it.1);
    for command in ["status", "app", "run"] {
        let text = shows(command).expect("asked");
        assert!(text.contains(&*visible(HOSTILE)), "{command}: {text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(shows("--json").expect("asked")).expect("JSON");
    assert!(json.to_string().contains(&serde_json::json!(HOSTILE).to_string()[1..]), "{json}");
}

/// The error of a `lumen` command whose arguments are refused, which exits with the code for that.
fn refused(stage: &Stage, arguments: &[&str]) -> String {
    let output = stage.ask(arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    said
}

#[test]
fn only_session_may_be_named_and_no_other() {
    let stage = Stage::new();
    let desktop = Desktop::start(stage.run("echo here; exec sleep 1000")).ready();
    stage.status_with_app();
    assert_eq!(printed(&stage, &["restart", "1", "media"]), "media is being restarted\n");
    wait_until("media is a new one", || {
        stage.process(Worker::Media).is_some_and(|media| media.restarts == 1)
    });
    assert_eq!(printed(&stage, &["restart", "gateway"]), "gateway is being restarted\n");
    assert_eq!(printed(&stage, &["logs", "1", "app"]), "app: here\n");
    let of_one = printed(&stage, &["metrics", "1", "--json"]);
    assert!(!of_one.contains("gateway"), "{of_one}");
    for arguments in [&["restart", "2", "media"][..], &["stop", "2"], &["metrics", "2"]] {
        let said = refused(&stage, arguments);
        assert!(said.contains("no session 2; the only session is 1"), "{arguments:?}: {said}");
    }
    let said = refused(&stage, &["logs", "rct"]);
    assert!(said.contains("did you mean rtc?"), "{said}");
    assert_eq!(printed(&stage, &["stop", "1"]), "the desktop is ending\n");
    assert!(desktop.end().0.success());
}
