//! What a stranger learns, which is nothing.

use std::time::{Duration, Instant};

use lumen_ipc::message::login::{Denial, Style, Trust};

use super::machine::{Entry, Machine, PASSWORD, beginning, person};

/// When a refusal leaves, after the answer.
const BEAT: Duration = Duration::from_secs(2);
/// How much later than that it may arrive on a busy machine.
const LATE: Duration = Duration::from_millis(1500);

#[derive(Debug)]
struct Seen {
    /// Style and text of each prompt.
    asked: Vec<(Style, String)>,
    why: Denial,
    took: Duration,
    log: String,
}

/// Everything that a stranger sees of an attempt.
fn look(machine: &Machine, name: &str, password: &str) -> Seen {
    let connection = machine.begin(name);
    let asked = connection.asked();
    let asked = asked.into_iter().map(|prompt| (prompt.style, prompt.text.into_string())).collect();
    let answered = Instant::now();
    connection.answer(password);
    let (why, log) = connection.refused();
    Seen { asked, why, took: answered.elapsed(), log }
}

#[test]
fn every_refusal_looks_the_same_and_the_log_tells_them_apart() {
    let expired = Entry { aging: ("19000", "1"), ..person("gone", 4004, "right") };
    let accounts = [
        person("alice", 4001, "right"),
        expired,
        person("service", 500, "right"),
        person("second-root", 0, "right"),
        person("worker", 61_500, "right"),
    ];
    let machine = Machine::new("refusals", &accounts, PASSWORD);
    let cases = [
        ("alice", "wrong", "PAM refuses to authenticate"),
        ("alice", "", "PAM refuses to authenticate"),
        ("nobody-of-this-name", "right", "PAM refuses to authenticate"),
        ("gone", "right", "PAM refuses to check the account"),
        ("service", "right", "below UID_MIN"),
        ("second-root", "right", "root may not sign in"),
        ("root", "right", "PAM refuses to authenticate"),
        ("worker", "right", "belongs to services or to nobody"),
    ];
    std::thread::scope(|scope| {
        let tries = cases.map(|(name, password, reason)| {
            let machine = &machine;
            (name, reason, scope.spawn(move || look(machine, name, password)))
        });
        for (name, reason, seen) in tries {
            let seen = seen.join().expect("no panic");
            assert_eq!(seen.asked, [(Style::Secret, "Password: ".to_owned())], "{name}");
            assert_eq!(seen.why, Denial::Denied, "{name}");
            assert!(seen.took >= BEAT && seen.took < BEAT + LATE, "{name}: {:?}", seen.took);
            assert!(
                seen.log.contains(reason) && seen.log.contains("192.0.2.7"),
                "{name}: {}",
                seen.log
            );
            assert!(!seen.log.contains("right"), "{name}: {}", seen.log);
        }
    });
}

#[test]
fn name_that_was_a_password_is_in_no_log() {
    let machine = Machine::new("typed", &[person("alice", 4001, "right")], PASSWORD);
    let seen = look(&machine, "hunter2-typed-here", "x");
    assert!(seen.log.contains("(unknown)") && !seen.log.contains("hunter2"), "{}", seen.log);
}

/// Of each kind, as many tries as make an average tell of a difference that matters.
#[test]
fn fifty_tries_do_not_tell_an_unknown_user_from_a_wrong_password() {
    const TRIES: usize = 25;
    let machine = Machine::new("fifty", &[person("alice", 4001, "right")], PASSWORD);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TRIES.div_ceil(5) {
        // In turns, so that whatever else the machine does is the same for both.
        std::thread::scope(|scope| {
            let tries: Vec<_> = (0..10)
                .map(|number| {
                    let (machine, kind) = (&machine, number % 2);
                    let name = ["alice", "nobody-of-this-name"][kind];
                    (kind, scope.spawn(move || look(machine, name, "wrong")))
                })
                .collect();
            for (kind, seen) in tries {
                let seen = seen.join().expect("no panic");
                assert_eq!(seen.asked, [(Style::Secret, "Password: ".to_owned())]);
                assert_eq!(seen.why, Denial::Denied);
                times[kind].push(seen.took.as_secs_f64());
            }
        });
    }
    let middle = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let [known, unknown] = &mut times;
    assert_eq!((known.len(), unknown.len()), (TRIES, TRIES));
    let (known, unknown) = (middle(known), middle(unknown));
    // The digest alone, which is computed for one of them only, takes some milliseconds; what is left is what
    // starting and ending processes on a busy machine makes of it.
    assert!((known - unknown).abs() < 0.1, "{known} s and {unknown} s");
}

#[test]
fn person_outside_the_groups_is_refused_and_inside_is_not() {
    let machine =
        Machine::new("groups", &[person("alice", 4001, "x"), person("bob", 4002, "x")], PASSWORD);
    machine.append("etc/group", "desktops:x:4100:alice\n");
    let vouched = |name: &str, groups: &[&str]| {
        let connection = machine.connect();
        connection.send(&beginning(name, Trust::Vouched, groups));
        connection
    };
    assert_eq!(vouched("alice", &["desktops"]).accepted(), 4001);
    assert_eq!(vouched("bob", &["desktops", "bob"]).accepted(), 4002, "its own group counts");
    for groups in [&["desktops"][..], &["no-such-group"]] {
        let (why, log) = vouched("bob", groups).refused();
        assert_eq!(why, Denial::Denied);
        assert!(log.contains("in none of the groups"), "{log}");
    }
}
