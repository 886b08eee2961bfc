//! Tests of the table of sessions.

use super::*;

fn record(connection: u64, name: Option<&str>, token: u8) -> Record {
    let (channel, _) = HostEnd::pair().expect("socketpair");
    let name = name.map(|name| SessionName::new(name).expect("legal"));
    let token = TokenDigest([token; 32]);
    Record::new(Arc::new(channel), ConnectionId(connection), name, 1, token)
}

fn register(
    sessions: &mut Sessions,
    record: Record,
    was: Option<SessionId>,
) -> Result<SessionId, &'static str> {
    sessions.register(record, was, |_| false)
}

#[test]
fn number_of_a_session_that_is_gone_is_given_to_nobody_but_itself() {
    let mut sessions = Sessions::default();
    assert_eq!(register(&mut sessions, record(1, None, 1), None), Ok(SessionId(1)));
    assert_eq!(register(&mut sessions, record(2, None, 2), None), Ok(SessionId(2)));
    sessions.remove(SessionId(2));
    assert_eq!(register(&mut sessions, record(3, None, 3), None), Ok(SessionId(3)));
    assert_eq!(register(&mut sessions, record(4, None, 2), Some(SessionId(2))), Ok(SessionId(2)));
    assert_eq!(register(&mut sessions, record(5, None, 5), Some(SessionId(1))), Ok(SessionId(4)));
}

#[test]
fn number_that_another_had_or_that_nobody_was_given_is_not_had_by_claiming_it() {
    let mut sessions = Sessions::default();
    assert_eq!(register(&mut sessions, record(1, None, 1), Some(SessionId(7))), Ok(SessionId(1)));
    sessions.remove(SessionId(1));
    assert_eq!(register(&mut sessions, record(2, None, 2), Some(SessionId(1))), Ok(SessionId(2)));
    assert_eq!(register(&mut sessions, record(3, None, 1), Some(SessionId(1))), Ok(SessionId(1)));
}

#[test]
fn number_outlives_the_host_with_the_token_that_proves_it() {
    let mut before = Sessions::default();
    for number in 1..=3 {
        assert!(register(&mut before, record(number, None, number as u8), None).is_ok());
    }
    before.remove(SessionId(3));
    let (last, kept) = before.kept(|_| false);
    let present: Vec<bool> = kept.iter().map(|session| session.present).collect();
    assert_eq!((last, present), (3, vec![true, true, false]));
    let mut after = Sessions::default();
    after.restore(last, &kept);
    assert_eq!(register(&mut after, record(1, None, 9), Some(SessionId(2))), Ok(SessionId(4)));
    assert_eq!(register(&mut after, record(2, None, 2), Some(SessionId(2))), Ok(SessionId(2)));
    assert_eq!(register(&mut after, record(3, None, 1), None), Ok(SessionId(5)), "does not say so");
}

#[test]
fn numbers_remembered_are_the_newest_and_those_of_the_living() {
    let mut sessions = Sessions::default();
    assert_eq!(register(&mut sessions, record(0, None, 255), None), Ok(SessionId(1)));
    for number in 0..2 * MOST_REMEMBERED {
        let (connection, token) = (1 + number as u64, TokenDigest([0; 32]));
        let mut record = record(connection, None, 0);
        record.token = TokenDigest(std::array::from_fn(|at| {
            if at < 8 { number.to_be_bytes()[at] } else { token.0[at] }
        }));
        let id = register(&mut sessions, record, None).expect("room");
        sessions.remove(id);
    }
    let (last, kept) = sessions.kept(|_| false);
    assert_eq!(last, 1 + 2 * MOST_REMEMBERED as u32);
    assert_eq!(kept.len(), MOST_REMEMBERED);
    assert!(kept[0].present && kept[0].id == SessionId(1));
}

#[test]
fn name_or_token_that_another_session_has_is_refused() {
    let mut sessions = Sessions::default();
    assert!(register(&mut sessions, record(1, Some("work"), 1), None).is_ok());
    assert!(register(&mut sessions, record(2, Some("work"), 2), None).is_err());
    assert!(register(&mut sessions, record(3, Some("play"), 1), None).is_err());
    assert!(register(&mut sessions, record(4, Some("play"), 4), None).is_ok());
}

#[test]
fn signalling_links_are_made_at_once_but_not_without_end() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let id = register(&mut sessions, record(1, None, 1), None).expect("room");
    let mut made = 0;
    let mut make = |now| {
        sessions.want(id);
        let due = sessions.due(now);
        made += due.len();
        due.first().map(|id| sessions.wired(*id, now));
        sessions.timer(now)
    };
    let waits: Vec<_> = (0..100).filter_map(|_| make(now)).collect();
    assert_eq!(waits, [REWIRE], "however often one is wanted, one timer runs");
    assert_eq!(make(now + REWIRE), None, "it has one");
    assert_eq!(make(now + REWIRE), Some(REWIRE), "the next timer");
    assert_eq!(made, 11, "ten at once, then one a second");
}

#[test]
fn signalling_link_that_cannot_be_made_is_tried_again_after_a_while() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let id = register(&mut sessions, record(1, None, 1), None).expect("room");
    sessions.want(id);
    sessions.postpone(id, now);
    assert_eq!((sessions.due(now), sessions.timer(now)), (vec![], Some(REWIRE)));
    assert_eq!(sessions.due(now + REWIRE), [id]);
}

#[test]
fn session_that_is_expected_keeps_its_number_whoever_comes_meanwhile() {
    let mut before = Sessions::default();
    let expected = register(&mut before, record(1, None, 255), None).expect("room");
    let (last, kept) = before.kept(|_| false);
    let mut after = Sessions::default();
    after.restore(last, &kept);
    for number in 0..2 * MOST_REMEMBERED {
        let mut other = record(1 + number as u64, None, 0);
        other.token = TokenDigest(std::array::from_fn(|at| number.to_be_bytes()[at % 8]));
        let id = after.register(other, None, |id| id == expected).expect("room");
        after.remove(id);
    }
    let (_, kept) = after.kept(|id| id == expected);
    assert!(kept.iter().any(|session| session.id == expected && session.present));
    let again = after.register(record(0, None, 255), Some(expected), |id| id == expected);
    assert_eq!(again, Ok(expected));
}

#[test]
fn sessions_that_are_expected_have_places_that_no_other_gets() {
    let mut sessions = Sessions::default();
    for number in 1..=MOST_SESSIONS {
        let (connection, token) = (number as u64, number as u8);
        register(&mut sessions, record(connection, None, token), None).expect("room");
    }
    for id in sessions.all() {
        sessions.remove(id);
    }
    let mut come = |token, was| sessions.register(record(0, None, token), was, |_| true);
    assert!(come(200, None).is_err());
    assert_eq!(come(3, Some(SessionId(3))), Ok(SessionId(3)));
}

#[test]
fn session_whose_link_was_given_up_is_known_by_its_token_and_no_other_is() {
    let mut sessions = Sessions::default();
    let id = register(&mut sessions, record(1, None, 1), None).expect("room");
    assert_eq!(sessions.given_up(TokenDigest([1; 32])), None);
    sessions.get(id).expect("there").given_up.set(true);
    assert_eq!(sessions.given_up(TokenDigest([2; 32])), None);
    assert_eq!(sessions.given_up(TokenDigest([1; 32])), Some(id));
}

#[test]
fn word_about_a_replaced_pair_is_about_nothing() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let id = register(&mut sessions, record(1, None, 1), None).expect("room");
    let first = sessions.wired(id, now).expect("made");
    let second = sessions.wired(id, now).expect("made");
    assert!(!sessions.is_present(id, first) && sessions.is_present(id, second));
    sessions.cut(id);
    assert!(!sessions.is_present(id, second));
}

#[test]
fn session_that_does_not_answer_is_asked_to_start_its_app_by_one_viewer_at_a_time() {
    let mut sessions = Sessions::default();
    let id = register(&mut sessions, record(1, None, 1), None).expect("room");
    let other = register(&mut sessions, record(2, None, 2), None).expect("room");
    let (first, waits) = oneshot::channel();
    let (second, _second) = oneshot::channel();
    assert!(sessions.asked(id, Pending::Done(first)).is_ok());
    let refused = sessions.asked(id, Pending::Done(second)).expect_err("the second");
    assert!(sessions.asked(other, refused).is_ok(), "another session's viewer");
    let (third, _third) = oneshot::channel();
    drop(waits);
    assert!(sessions.asked(id, Pending::Done(third)).is_ok(), "the first has gone");
}

#[test]
fn requests_whose_callers_have_gone_take_no_room() {
    let mut sessions = Sessions::default();
    let id = register(&mut sessions, record(1, None, 1), None).expect("room");
    for _ in 0..2 * MOST_PENDING {
        let (reply, _) = oneshot::channel();
        assert!(sessions.asked(id, Pending::Answer(reply)).is_ok());
    }
    let mut callers = Vec::new();
    for number in 0..2 * MOST_PENDING {
        let (reply, caller) = oneshot::channel();
        callers.push(caller);
        let asked = sessions.asked(id, Pending::Answer(reply));
        assert_eq!(asked.is_ok(), number < MOST_PENDING);
    }
}
