//! `lumen-login` with real PAM modules and real files of accounts, as a host's supervisor sees it.

mod machine;
mod refusals;
mod sessions;

use std::time::Instant;

use lumen_ipc::message::login::{Denial, LoginHash, Style, ToLeader, Trust};

use self::machine::{Entry, Machine, PASSWORD, beginning, person};

/// What pam_unix asks.
fn password_prompt(connection: &machine::Connection) {
    let asked = connection.asked();
    let [question] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((question.style, question.text.as_str()), (Style::Secret, "Password: "));
}

#[test]
fn right_password_of_a_person_is_accepted() {
    let machine = Machine::new("right", &[person("alice", 4001, "correct horse")], PASSWORD);
    let connection = machine.begin("alice");
    password_prompt(&connection);
    connection.answer("correct horse");
    assert_eq!(connection.accepted(), 4001);
    let log = connection.close();
    assert!(log.contains("the account is accepted") && !log.contains("correct horse"), "{log}");
    assert_eq!(machine.sessions(), [""; 0], "who is accepted has no session yet");
}

#[test]
fn expired_password_is_changed_in_the_conversation_and_is_the_new_one_then() {
    let expired = Entry { aging: ("0", ""), ..person("eve", 4003, "old password 1") };
    let machine = Machine::new("expired", &[expired], PASSWORD);
    let connection = machine.begin("eve");
    password_prompt(&connection);
    connection.answer("old password 1");
    let mut messages = Vec::new();
    // pam_unix asks for the old password again, then for the new one twice.
    for answer in ["old password 1", "Xk7-unguessable", "Xk7-unguessable"] {
        messages.extend(connection.asked());
        assert!(messages.last().is_some_and(|prompt| prompt.style == Style::Secret));
        connection.answer(answer);
    }
    let is_told = |prompt: &lumen_ipc::message::login::Prompt| {
        prompt.style != Style::Secret && prompt.text.as_str().contains("change your password")
    };
    assert!(messages.iter().any(is_told), "{messages:?}");
    assert_eq!(connection.accepted(), 4003);
    connection.close();

    let again = machine.begin("eve");
    password_prompt(&again);
    again.answer("Xk7-unguessable");
    assert_eq!(again.accepted(), 4003);
    let with_old = machine.begin("eve");
    password_prompt(&with_old);
    with_old.answer("old password 1");
    assert_eq!(with_old.refused().0, Denial::Denied);
}

#[test]
fn expired_password_that_is_not_changed_lets_nobody_in() {
    let expired = Entry { aging: ("0", ""), ..person("eve", 4003, "old password 1") };
    let machine = Machine::new("unchanged", &[expired], PASSWORD);
    let connection = machine.begin("eve");
    password_prompt(&connection);
    connection.answer("old password 1");
    // Each try: the old password, then two new ones that differ.
    for _ in 0..3 {
        for answer in ["old password 1", "Xk7-unguessable", "Xk8-unguessable"] {
            connection.asked();
            connection.answer(answer);
        }
    }
    let (why, log) = connection.refused();
    assert_eq!(why, Denial::Denied);
    assert_eq!(log.matches("PAM refuses to change the expired password").count(), 3, "{log}");
}

#[test]
fn second_factor_is_asked_for_after_the_first() {
    let service = format!(
        "auth required pam_unix.so\n\
         auth required pam_google_authenticator.so secret=/etc/factor-of-bob user=root \
         allowed_perm=0600\n{}",
        PASSWORD.lines().skip(1).collect::<Vec<_>>().join("\n") + "\n"
    );
    let machine = Machine::new("factor", &[person("bob", 4002, "first factor")], &service);
    // A secret of RFC 4648's alphabet, options, and two codes for emergencies, good once each.
    let factor = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n\" TOTP_AUTH\n12345678\n23456789\n";
    machine.write("etc/factor-of-bob", factor);
    machine.protect("etc/factor-of-bob");
    let try_code = |code: &str| {
        let connection = machine.begin("bob");
        password_prompt(&connection);
        connection.answer("first factor");
        let asked = connection.asked();
        assert!(asked.last().is_some_and(|prompt| prompt.style.asks()), "{asked:?}");
        connection.answer(code);
        connection
    };
    assert_eq!(try_code("12345678").accepted(), 4002);
    assert_eq!(try_code("12345678").refused().0, Denial::Denied, "it was used");
    assert_eq!(try_code("23456789").accepted(), 4002);
}

#[test]
fn vouched_account_is_asked_nothing_and_checked_all_the_same() {
    let expired = Entry { aging: ("19000", "1"), ..person("gone", 4004, "x") };
    let accounts = [person("alice", 4001, "x"), expired, person("service", 500, "x")];
    let machine = Machine::new("vouched", &accounts, PASSWORD);
    let vouched = |name: &str| {
        let connection = machine.connect();
        connection.send(&beginning(name, Trust::Vouched, &[]));
        connection
    };
    assert_eq!(vouched("alice").accepted(), 4001);
    for name in ["gone", "service", "root", "nobody-of-this-name"] {
        assert_eq!(vouched(name).refused().0, Denial::Denied, "{name}");
    }
}

#[test]
fn messages_are_shown_with_a_question_and_after_success_only() {
    let service = PASSWORD.replace(
        "account required",
        "auth optional pam_echo.so authentication is over\n\
         account optional pam_echo.so the account is known\naccount required",
    );
    let service = format!("auth optional pam_echo.so welcome %u\n{service}");
    let machine = Machine::new("messages", &[person("alice", 4001, "right")], &service);
    let texts = |prompts: Vec<lumen_ipc::message::login::Prompt>| -> Vec<String> {
        prompts.iter().map(|prompt| prompt.text.as_str().trim().to_owned()).collect()
    };
    let connection = machine.begin("alice");
    assert_eq!(texts(connection.asked()), ["welcome alice", "Password:"]);
    connection.answer("right");
    assert_eq!(texts(connection.asked()), ["authentication is over", "the account is known"]);
    assert_eq!(connection.accepted(), 4001);
    connection.close();
    let connection = machine.begin("alice");
    connection.asked();
    connection.answer("wrong");
    assert_eq!(connection.refused().0, Denial::Denied);
}

#[test]
fn host_of_another_build_is_told_so_and_strange_beginnings_end_it() {
    let machine = Machine::new("builds", &[person("alice", 4001, "x")], PASSWORD);
    let connection = machine.connect();
    let ToLeader::Begin { account, rhost, trust, groups, .. } =
        beginning("alice", Trust::Vouched, &[])
    else {
        unreachable!("it is a beginning");
    };
    connection.send(&ToLeader::Begin { form: LoginHash(1), account, rhost, trust, groups });
    assert_eq!(connection.refused().0, Denial::OtherBuild);
    let mut connection = machine.connect();
    connection.answer("out of turn");
    assert!(connection.next().is_none());
    assert!(!connection.child.wait().expect("a child").success());
}

#[test]
fn host_that_closes_the_link_ends_the_attempt_at_once() {
    let machine = Machine::new("closed", &[person("alice", 4001, "x")], PASSWORD);
    let connection = machine.begin("alice");
    password_prompt(&connection);
    let closed = Instant::now();
    let log = connection.close();
    assert!(log.contains("the attempt was given up"), "{log}");
    assert!(closed.elapsed().as_secs() < 10);
}
