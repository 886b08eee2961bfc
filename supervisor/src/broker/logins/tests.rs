//! How logins last, end, are kept, and change their keys.

use std::{collections::BTreeSet, net::Ipv4Addr};

use proptest::prelude::*;

use super::{Shown::*, *};

const LIFETIMES: Lifetimes =
    Lifetimes { idle: Duration::from_secs(100), whole: Duration::from_secs(250) };
const RIGHTS: Rights = Rights { control: true };
const ORIGIN: Origin =
    Origin { method: SignInMethod::Token, from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)) };

fn give(logins: &mut Logins, now: Instant) -> (Login, Secret) {
    logins.give(now, SessionId::SOLE, RIGHTS, ORIGIN).expect("random")
}

#[test]
fn login_that_is_not_used_ends_after_the_idle_time() {
    let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let (login, key) = give(&mut logins, now);
    assert_eq!(login.expires_in_seconds, Some(100));
    let resumed = logins.resume(now + Duration::from_secs(99), &key, ByRequest).expect("alive");
    assert_eq!((resumed.id, resumed.expires_in_seconds), (login.id, Some(100)));
    assert_eq!(logins.resume(now + Duration::from_secs(199), &key, ByRequest), None);
}

#[test]
fn login_that_is_used_all_the_time_ends_after_the_whole_time() {
    let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let (_, key) = give(&mut logins, start);
    let left = |logins: &mut Logins, second| {
        let login = logins.resume(start + Duration::from_secs(second), &key, ByRequest);
        login.and_then(|login| login.expires_in_seconds)
    };
    assert_eq!(left(&mut logins, 90), Some(100));
    assert_eq!(left(&mut logins, 180), Some(70));
    assert_eq!(left(&mut logins, 249), Some(1));
    assert_eq!(left(&mut logins, 250), None);
}

#[test]
fn login_is_named_once_when_it_ends_in_any_way() {
    let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let give = |logins: &mut Logins, session| {
        logins.give(now, SessionId(session), RIGHTS, ORIGIN).expect("random")
    };
    let (signed_out, key) = give(&mut logins, 1);
    let (stays, _) = give(&mut logins, 1);
    let (first, _) = give(&mut logins, 2);
    assert!(logins.take_ended().is_empty());
    logins.take_back(&key);
    assert_eq!(logins.take_ended(), [(SessionId(1), signed_out.id)]);
    assert_eq!(logins.of_session(SessionId(1)).collect::<Vec<_>>(), [stays.id]);
    for _ in 1..MOST_LOGINS {
        give(&mut logins, 2);
    }
    assert!(logins.take_ended().is_empty());
    give(&mut logins, 2);
    let ended = logins.take_ended();
    assert!(matches!(ended[..], [(SessionId(2), _)]), "one made room");
    let revoked = logins.revoke(|session, id| session == SessionId(2) && id == first.id);
    assert_eq!(logins.take_ended(), revoked);
    logins.forget_ended(now + LIFETIMES.idle);
    let sessions: BTreeSet<_> =
        logins.take_ended().into_iter().map(|(session, _)| session).collect();
    assert_eq!(sessions, [SessionId(1), SessionId(2)].into());
    assert!(logins.take_ended().is_empty());
}

#[test]
fn revoked_logins_are_gone_at_once_and_no_others() {
    let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let of = |logins: &mut Logins, session| {
        logins.give(now, SessionId(session), RIGHTS, ORIGIN).expect("random")
    };
    let (one, one_key) = of(&mut logins, 1);
    let (other, other_key) = of(&mut logins, 1);
    let (_, elsewhere) = of(&mut logins, 2);
    assert_eq!(logins.revoke(|_, id| id == one.id), [(SessionId(1), one.id)]);
    assert_eq!(logins.revoke(|_, id| id == one.id), []);
    assert_eq!(logins.resume(now, &one_key, ByRequest), None);
    assert_eq!(logins.resume(now, &other_key, ByRequest).map(|login| login.id), Some(other.id));
    assert_eq!(logins.revoke(|session, _| session == SessionId(1)).len(), 1);
    assert_eq!(logins.resume(now, &other_key, ByRequest), None);
    assert!(logins.resume(now, &elsewhere, ByRequest).is_some());
}

#[test]
fn list_of_sign_ins_says_how_from_where_and_when_and_leaves_out_what_has_ended() {
    let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let (login, key) = give(&mut logins, start);
    give(&mut logins, start);
    let later = start + Duration::from_secs(60);
    logins.resume(later, &key, ByRequest);
    let listed = logins.sign_ins(later + Duration::from_secs(50));
    let expected = SignIn {
        id: login.id,
        session: login.session,
        method: SignInMethod::Token,
        from: ORIGIN.from,
        given_seconds: 110,
        used_seconds: 50,
        pages: 0,
    };
    assert_eq!(listed, [expected]);
}

#[test]
fn login_that_is_taken_back_is_gone_at_once_and_no_other_is() {
    let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let (one, key) = give(&mut logins, now);
    let (other, other_key) = give(&mut logins, now);
    assert_ne!(one.id, other.id);
    assert_eq!(logins.take_back(&key), Some((one.session, one.id, ORIGIN)));
    assert_eq!(logins.take_back(&key), None);
    assert_eq!(logins.resume(now, &key, ByRequest), None);
    assert_eq!(logins.resume(now, &other_key, ByRequest), Some(other));
}

#[test]
fn login_used_longest_ago_makes_room_when_the_table_is_full() {
    let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let (_, first) = give(&mut logins, now);
    let (_, second) = give(&mut logins, now);
    let later = now + Duration::from_secs(1);
    logins.resume(later, &first, ByRequest).expect("alive");
    for _ in 0..MOST_LOGINS - 1 {
        give(&mut logins, later);
    }
    assert!(logins.resume(later, &first, ByRequest).is_some(), "used last, so kept");
    assert!(logins.resume(later, &second, ByRequest).is_none());
}

#[test]
fn viewers_of_one_session_push_out_none_of_another() {
    let (now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let other = logins.give(now, SessionId(2), RIGHTS, ORIGIN).expect("random").1;
    for _ in 0..2 * MOST_LOGINS {
        give(&mut logins, now);
    }
    assert!(logins.resume(now, &other, ByRequest).is_some());
    assert_eq!(logins.entries.len(), MOST_LOGINS + 1);
}

#[test]
fn login_that_was_kept_ends_when_it_would_have_ended() {
    const WRITTEN: UnixSeconds = UnixSeconds(1_800_000_000);
    let (start, mut before) = (Instant::now(), Logins::new(LIFETIMES));
    let (login, key) = give(&mut before, start);
    let written = start + Duration::from_secs(60);
    before.resume(written, &key, ByRequest).expect("alive");
    let kept = before.kept(written, WRITTEN);
    // A minute passed while there was no host; its clock tells nothing of the old one's.
    let now = Instant::now() + Duration::from_secs(5000);
    let after = |later: u64| {
        let mut logins = Logins::new(LIFETIMES);
        logins.restore(now, UnixSeconds(WRITTEN.0 + later), &kept);
        logins
    };
    let resumed = after(60).resume(now, &key, ByRequest).expect("alive");
    assert_eq!((resumed.id, resumed.session), (login.id, login.session));
    let left = after(60).entries.values().map(|entry| after(60).end_of(entry) - now).next();
    assert_eq!(left, Some(Duration::from_secs(40)), "100 s since it was used");
    assert_eq!(after(100).resume(now, &key, ByRequest), None);
}

#[test]
fn login_from_a_time_that_has_not_been_yet_is_not_believed() {
    let (now, mut before) = (Instant::now(), Logins::new(LIFETIMES));
    let (_, key) = give(&mut before, now);
    let kept = before.kept(now, UnixSeconds(2000));
    let mut logins = Logins::new(LIFETIMES);
    logins.restore(now, UnixSeconds(1999), &kept);
    assert_eq!(logins.resume(now, &key, ByRequest), None);
}

#[test]
fn key_is_replaced_in_its_cookies_half_once_it_is_old() {
    let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let (login, first) = give(&mut logins, start);
    let old = start + LIFETIMES.idle / KEY_LIFE;
    assert!(logins.renew(old - Duration::from_secs(1), &first).expect("random").is_none());
    let second = logins.renew(old, &first).expect("random").expect("it is time");
    let halves = |key: &Secret| {
        let (cookie, stored) = key.reveal().split_at(key.reveal().len() / 2);
        (cookie.to_owned(), stored.to_owned())
    };
    assert_ne!(halves(&second).0, halves(&first).0);
    assert_eq!(halves(&second).1, halves(&first).1);
    for key in [&first, &second, &first] {
        assert_eq!(logins.resume(old, key, ByRequest).map(|login| login.id), Some(login.id));
    }
    assert!(logins.renew(old, &second).expect("random").is_none(), "it is fresh");
    assert!(logins.renew(old, &first).expect("random").is_none(), "it is former");
}

#[test]
fn request_with_a_key_that_was_replaced_ends_the_login_and_a_page_that_has_it_does_not() {
    let (start, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
    let (login, first) = give(&mut logins, start);
    let (_, other) = give(&mut logins, start);
    let old = start + LIFETIMES.idle / 2;
    let second = logins.renew(old, &first).expect("random").expect("it is time");
    logins.resume(old, &second, ByRequest).expect("the login");
    logins.resume(old, &other, ByRequest).expect("the other login");
    let later = old + Duration::from_secs(61);
    assert!(logins.resume(later, &first, ByPage).is_some());
    assert!(logins.take_copied().is_empty());
    assert_eq!(logins.resume(later, &first, ByRequest), None);
    assert_eq!(logins.take_copied(), [(login.session, login.id)]);
    assert_eq!(logins.take_ended(), [(login.session, login.id)]);
    assert_eq!(logins.resume(later, &second, ByRequest), None);
    assert!(logins.resume(later, &other, ByRequest).is_some());
    assert_eq!(logins.ids.len(), 1, "no key of it is left");
}

#[test]
fn key_that_was_offered_is_good_after_a_restart_too() {
    let (start, mut before) = (Instant::now(), Logins::new(LIFETIMES));
    let (login, first) = give(&mut before, start);
    let old = start + LIFETIMES.idle / 2;
    let second = before.renew(old, &first).expect("random").expect("it is time");
    for key in [&first, &second] {
        let mut logins = Logins::new(LIFETIMES);
        logins.restore(old, UnixSeconds(1000), &before.kept(old, UnixSeconds(1000)));
        assert_eq!(logins.resume(old, key, ByRequest).map(|login| login.id), Some(login.id));
    }
}

proptest! {
    #[test]
    fn login_never_outlives_its_times_and_the_table_stays_bounded(
        steps in prop::collection::vec((0_u64..120, 0_usize..400, 0_u8..4), 1..400)
    ) {
        let (mut now, mut logins) = (Instant::now(), Logins::new(LIFETIMES));
        let mut given: Vec<(Secret, Instant, Instant)> = Vec::new();
        for (seconds, which, what) in steps {
            now += Duration::from_secs(if what == 0 { seconds } else { 0 });
            if what < 2 {
                given.push((give(&mut logins, now).1, now, now));
            } else if let Some((key, given, used)) = given.get_mut(which) {
                let end = (*used + LIFETIMES.idle).min(*given + LIFETIMES.whole);
                let alive = logins.resume(now, key, ByRequest).is_some();
                prop_assert!(!alive || now < end);
                *used = if alive { now } else { *used };
            }
            prop_assert!(logins.entries.len() <= MOST_LOGINS);
        }
    }
}
