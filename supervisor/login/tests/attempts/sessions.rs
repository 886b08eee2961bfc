//! The session of an account that was accepted: whose it is, how it ends, and what is left when it fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
};

use lumen_ipc::message::login::{
    AppEnd, AppNumber, Command, DisplayName, Given, List, ToLeader, ToSupervisor, Trust,
};
use lumen_ipc::text::Text;
use seccompiler::{SeccompAction, SeccompFilter, SeccompRule};

use super::machine::{Connection, Machine, PASSWORD, beginning, listener, person, wait_until};

const DISPLAY: &str = "wayland-lumen-test";
/// The account whose session it is.
const ALICE: u32 = 4001;

fn machine(name: &str, service: &str) -> Machine {
    let machine = Machine::new(name, &[person("alice", ALICE, "x")], service);
    machine.append("etc/group", "extra:x:4200:alice\n");
    machine.make_runtime_dir(ALICE);
    machine
}

/// Has alice accepted, and asks for her session.
fn open(machine: &Machine) -> Connection {
    let connection = machine.connect();
    connection.send(&beginning("alice", Trust::Vouched, &[]));
    assert_eq!(connection.accepted(), ALICE);
    let display = DisplayName::new(DISPLAY).expect("legal");
    connection.send(&ToLeader::Open { display });
    connection
}

fn opened(connection: &Connection) -> std::os::unix::net::UnixListener {
    let received = connection.next().expect("an answer");
    assert!(matches!(received.message, ToSupervisor::Opened { .. }), "{}", connection.log());
    listener(received.descriptors.first().expect("the Wayland socket"))
}

/// Has a shell carry out a script; returns how it ended.
fn start(connection: &Connection, app: u32, script: &str) -> u32 {
    let words = ["sh", "-c", script].map(Text::truncated).to_vec();
    let variables = vec![(Text::truncated("EXTRA"), Text::truncated("given"))];
    let (words, variables) = (List::new(words).expect("few"), List::new(variables).expect("few"));
    let (app, command, given) = (AppNumber(app), Command { words, variables }, Given::default());
    connection.send_with(&ToLeader::Start { app, command, given }, &[nowhere().as_fd()]);
    match connection.hear() {
        ToSupervisor::Started { app: started, pid } if started == app => pid,
        other => panic!("{other:?}\n{}", connection.log()),
    }
}

/// Where a program may write.
fn nowhere() -> fs::File {
    fs::OpenOptions::new().write(true).open("/dev/null").expect("a device")
}

fn ended(connection: &Connection) -> (AppNumber, AppEnd) {
    match connection.hear() {
        ToSupervisor::Ended { app, end } => (app, end),
        other => panic!("{other:?}\n{}", connection.log()),
    }
}

/// The processes whose environment names this test's runtime directory, and their users.
fn processes_of(machine: &Machine) -> Vec<(u32, u32)> {
    let marker = machine.runtime_dir().display().to_string();
    let numbers = fs::read_dir("/proc").expect("procfs").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_of = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&marker)
    };
    numbers.filter(is_of).filter_map(|pid| Some((pid, uid_of(pid)?))).collect()
}

fn status_of(pid: u32) -> BTreeMap<String, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    status.lines().filter_map(field).collect()
}

fn uid_of(pid: u32) -> Option<u32> {
    status_of(pid).get("Uid")?.split_whitespace().next()?.parse().ok()
}

#[test]
fn session_is_the_users_own_and_nothing_of_roots_is_in_it() {
    let machine = machine("own", PASSWORD);
    let connection = open(&machine);
    let listener = opened(&connection);
    let socket = machine.runtime_dir().join(DISPLAY);
    let client = UnixStream::connect(&socket).expect("the socket listens");
    listener.accept().expect("the same socket");
    drop(client);
    assert_eq!(fs::metadata(&socket).map(|file| owner(&file)).expect("a file"), ALICE);

    let told = machine.home("alice").join("told");
    let script = format!(
        "env >{0}; pwd >>{0}; ls -l /proc/self/fd >>{0}; cat /proc/self/status >>{0}",
        told.display()
    );
    start(&connection, 7, &script);
    assert_eq!(ended(&connection), (AppNumber(7), AppEnd::Code(0)));
    let told = fs::read_to_string(told).expect("what the program wrote");
    let line = |wanted: &str| told.lines().any(|line| line == wanted);
    let home = machine.home("alice").display().to_string();
    for wanted in [
        &format!("HOME={home}"),
        &home,
        "USER=alice",
        "LANG=C.UTF-8",
        "EXTRA=given",
        &format!("WAYLAND_DISPLAY={DISPLAY}"),
        "Uid:\t4001\t4001\t4001\t4001",
        "Gid:\t4001\t4001\t4001\t4001",
        "Groups:\t4001 4200 ",
        "NoNewPrivs:\t0",
        "Seccomp:\t0",
        "SigBlk:\t0000000000000000",
        "CapEff:\t0000000000000000",
    ] {
        assert!(line(wanted), "{wanted} is not in\n{told}");
    }
    assert!(!told.contains("SECRET_OF_ROOT") && !told.contains("socket:"), "{told}");
    assert_eq!(machine.sessions(), ["open_session alice"]);
    connection.close();
    assert_eq!(machine.sessions(), ["open_session alice", "close_session alice"]);
    assert!(!socket.exists(), "the socket is gone with the session");
}

fn owner(file: &fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(file)
}

#[test]
fn programs_are_ended_on_request_and_all_of_them_with_the_session() {
    let machine = machine("ends", PASSWORD);
    let connection = open(&machine);
    let _listener = opened(&connection);
    start(&connection, 1, "exec sleep 1000");
    // One that ends for nobody, and leaves a daemon that is nobody's child.
    let deaf = start(
        &connection,
        2,
        "trap '' TERM HUP; setsid sh -c 'trap \"\" TERM; sleep 1001 & sleep 1002 & exit' ; while :; do sleep 1003; done",
    );
    connection.send(&ToLeader::End { app: AppNumber(1), now: false });
    assert_eq!(ended(&connection), (AppNumber(1), AppEnd::Signal(15)));
    connection.send(&ToLeader::End { app: AppNumber(2), now: true });
    assert_eq!(ended(&connection), (AppNumber(2), AppEnd::Signal(9)));
    assert_eq!(uid_of(deaf), None);
    start(&connection, 3, "trap '' TERM HUP; setsid sleep 1004 & while :; do sleep 1005; done");
    assert!(processes_of(&machine).iter().all(|(_, uid)| *uid == ALICE));
    connection.close();
    wait_until("nothing is left", || processes_of(&machine).is_empty());
    assert_eq!(machine.sessions(), ["open_session alice", "close_session alice"]);
}

#[test]
fn program_has_its_descriptors_in_their_places_and_writes_to_whoever_asked_for_it() {
    let machine = machine("given", PASSWORD);
    let connection = open(&machine);
    let _listener = opened(&connection);
    let shell = fs::File::open("/bin/sh").expect("a shell");
    let pipe = || std::io::pipe().expect("a pipe");
    let ((mut written, output), (mut ready, says), (mut word, other)) = (pipe(), pipe(), pipe());
    let script = "echo out; echo err >&2; echo ready >&3; echo other >&4; ls /proc/self/fd | tr -s '\\n' ' '; echo";
    for (app, beside, program) in [(1, 0, false), (2, 2, false), (3, 2, true)] {
        let name = if program { "no-program-of-this-name" } else { "sh" };
        let words = [name, "-c", script].map(Text::truncated).to_vec();
        let words = List::new(words).expect("few");
        let command = Command { words, variables: List::default() };
        let given = Given::new(beside, program).expect("few");
        let descriptors = [output.as_fd(), says.as_fd(), other.as_fd(), shell.as_fd()];
        let kept = |at: &usize| *at == 0 || (*at <= 2 && beside > 0) || (*at == 3 && program);
        let passed: Vec<_> = (0..4).filter(kept).map(|at| descriptors[at]).collect();
        let start = ToLeader::Start { app: AppNumber(app), command, given };
        connection.send_with(&start, &passed);
        assert!(matches!(connection.hear(), ToSupervisor::Started { .. }), "{}", connection.log());
        assert_eq!(ended(&connection), (AppNumber(app), AppEnd::Code(0)), "{}", connection.log());
    }
    connection.close();
    drop((output, says, other));
    let read = |pipe: &mut std::io::PipeReader| std::io::read_to_string(pipe).expect("text");
    assert_eq!(read(&mut ready), "ready\nready\n");
    assert_eq!(read(&mut word), "other\nother\n");
    let written = read(&mut written);
    assert_eq!(written.matches("out\nerr\n").count(), 3, "{written}");
    // Of each the last line is what it had open, with the folder that `ls` reads; the leader's are not among it,
    // and what the test itself inherited is in all three.
    let open = |part: &str| -> BTreeSet<u32> {
        let numbers = part.lines().last().unwrap_or_default().split(' ');
        numbers.filter_map(|number| number.parse().ok()).collect()
    };
    let parts: Vec<_> = written.split("out\nerr\n").skip(1).map(open).collect();
    let [bare, given, by_descriptor] = parts.as_slice() else { panic!("{written}") };
    let beside: Vec<_> = given.difference(bare).copied().collect();
    assert_eq!((beside, given), (vec![4, 5], by_descriptor), "{written}");
}

#[test]
fn program_that_cannot_be_started_is_reported_and_the_session_goes_on() {
    let machine = machine("absent", PASSWORD);
    let connection = open(&machine);
    let _listener = opened(&connection);
    let words = List::new(vec![Text::truncated("no-such-program-anywhere")]).expect("one");
    let command = Command { words, variables: List::default() };
    let message = ToLeader::Start { app: AppNumber(1), command, given: Given::default() };
    connection.send_with(&message, &[nowhere().as_fd()]);
    assert_eq!(ended(&connection), (AppNumber(1), AppEnd::NotStarted));
    start(&connection, 1, "exit 3");
    assert_eq!(ended(&connection), (AppNumber(1), AppEnd::Code(3)));
    connection.close();
}

#[test]
fn session_is_closed_when_root_or_the_user_ends_a_side_of_it() {
    for (name, of_root) in [("root-ends", true), ("user-ends", false)] {
        let machine = machine(name, PASSWORD);
        let mut connection = open(&machine);
        let _listener = opened(&connection);
        let app = start(&connection, 1, "exec sleep 1000");
        let user_side: u32 = status_of(app)["PPid"].parse().expect("a number");
        assert_eq!(uid_of(user_side), Some(ALICE));
        let (victim, signal) = match of_root {
            true => (connection.child.id(), "TERM"),
            false => (user_side, "KILL"),
        };
        super::machine::run(std::process::Command::new("kill").args([
            "-s",
            signal,
            &victim.to_string(),
        ]));
        // What was said before the end is still read.
        while connection.next().is_some() {}
        assert!(connection.child.wait().expect("a child").success(), "{}", connection.log());
        assert_eq!(machine.sessions(), ["open_session alice", "close_session alice"], "{name}");
        assert!(processes_of(&machine).is_empty(), "{name}");
    }
}

/// Nobody has a session, and no process is left.
fn assert_no_session(machine: &Machine, mut connection: Connection, reason: &str) {
    let told = connection.next().map(|received| received.message);
    assert_eq!(told, Some(ToSupervisor::NotOpened), "{}", connection.log());
    assert!(connection.next().is_none());
    connection.child.wait().expect("a child");
    let log = connection.log();
    assert!(log.contains(reason), "{reason} is not in\n{log}");
    assert!(processes_of(machine).is_empty(), "{log}");
    let (opened, closed): (Vec<_>, Vec<_>) =
        machine.sessions().into_iter().partition(|note| note.starts_with("open"));
    assert_eq!(opened.len(), closed.len(), "what was opened is closed");
}

#[test]
fn session_that_pam_does_not_open_leaves_nothing() {
    let denied = format!("{PASSWORD}session required pam_deny.so\n");
    let no_credentials = PASSWORD.replace(
        "auth required pam_unix.so",
        "auth required pam_debug.so auth=success cred=cred_err",
    );
    let no_directory =
        PASSWORD.replace("session required pam_env.so conffile=/etc/lumen-env.conf\n", "");
    for (name, service, reason) in [
        ("denied", denied.as_str(), "PAM does not open the session"),
        ("credentials", &no_credentials, "PAM does not open the session"),
        ("no-directory", &no_directory, "XDG_RUNTIME_DIR is not set"),
    ] {
        let machine = machine(name, service);
        assert_no_session(&machine, open(&machine), reason);
    }
}

#[test]
fn runtime_directory_of_somebody_else_is_not_used() {
    let machine = machine("foreign", PASSWORD);
    machine.make_runtime_dir(4999);
    assert_no_session(&machine, open(&machine), "is not the user's own directory");
}

/// A kernel that refuses a call, or that says it did what it did not do.
fn with_faulty<Answer: Send>(call: i64, errno: u32, act: impl FnOnce() -> Answer + Send) -> Answer {
    let rules = BTreeMap::from([(call, Vec::<SeccompRule>::new())]);
    let arch = std::env::consts::ARCH.try_into().expect("a known architecture");
    let fault = SeccompAction::Errno(errno);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, fault, arch).expect("a filter");
    let program: seccompiler::BpfProgram = filter.try_into().expect("a program");
    // What this thread starts inherits its filter; no other thread has it.
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            seccompiler::apply_filter(&program).expect("the kernel takes it");
            act()
        });
        thread.join().expect("no panic")
    })
}

#[test]
fn failing_change_of_user_leaves_no_session_and_no_process_of_roots() {
    const EPERM: u32 = 1;
    const EAGAIN: u32 = 11;
    const NOTHING: u32 = 0;
    // Numbers of x86-64 (asm/unistd_64.h) or of arm64 (asm-generic/unistd.h).
    let (setgroups, setresgid, setresuid) = match std::env::consts::ARCH {
        "x86_64" => (116, 119, 117),
        _ => (159, 149, 147),
    };
    let groups = "the account's groups cannot be taken";
    let user_side = "the user's side cannot be started";
    for (name, call, reason) in [
        ("setgroups", setgroups, groups),
        ("setresgid", setresgid, user_side),
        ("setresuid", setresuid, user_side),
    ] {
        for errno in [EPERM, EAGAIN, NOTHING] {
            let machine = machine(&format!("{name}-{errno}"), PASSWORD);
            let connection = with_faulty(call, errno, || open(&machine));
            assert_no_session(&machine, connection, reason);
        }
    }
}

/// Where a process's memory contains some bytes.
fn places_of(secret: &str, pid: u32) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("maps");
    let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("memory");
    let mut found = Vec::new();
    for line in maps.lines() {
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let Some((Some(start), Some(end))) = range.map(|(start, end)| (number(start), number(end)))
        else {
            continue;
        };
        let mut bytes = vec![0; usize::try_from(end - start).expect("it fits")];
        // Pages that the kernel keeps for itself cannot be read.
        if std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, start).is_err() {
            continue;
        }
        if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn password_is_not_in_the_memory_of_a_process_that_has_accepted_it() {
    const PASSPHRASE: &str = "Gr3en-Heron-over-the-reeds";
    let machine = Machine::new("wiped", &[person("alice", ALICE, PASSPHRASE)], PASSWORD);
    machine.make_runtime_dir(ALICE);
    let connection = machine.begin("alice");
    connection.asked();
    connection.answer(PASSPHRASE);
    assert_eq!(connection.accepted(), ALICE);
    connection.send(&ToLeader::Open { display: DisplayName::new(DISPLAY).expect("legal") });
    let _listener = opened(&connection);
    let places = places_of(PASSPHRASE, connection.child.id());
    assert!(places.is_empty(), "{places:#?}");
    // PAM itself keeps a password until the session is closed, for modules that open a key ring with it.
    connection.close();
}

#[test]
fn second_session_does_not_take_the_sockets_name_of_the_first() {
    let machine = machine("twice", PASSWORD);
    let first = open(&machine);
    let _listener = opened(&first);
    assert_no_second(&open(&machine));
    let socket: PathBuf = machine.runtime_dir().join(DISPLAY);
    assert!(UnixStream::connect(&socket).is_ok(), "the first one's still listens");
    first.close();
    assert!(!Path::new(&socket).exists());
    let third = open(&machine);
    let _listener = opened(&third);
    third.close();
}

fn assert_no_second(connection: &Connection) {
    let told = connection.next().map(|received| received.message);
    assert_eq!(told, Some(ToSupervisor::NotOpened), "{}", connection.log());
    // It is logged before the link closes.
    assert!(connection.next().is_none());
    assert!(connection.log().contains("another program has the name"), "{}", connection.log());
}
