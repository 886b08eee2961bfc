//! A browser that asks for more of the relay than its login may have.

use super::{
    super::budget::{CREDENTIALS, OFFERS},
    *,
};

const MOST: u32 = CREDENTIALS.most;
const REFILL: Duration = CREDENTIALS.refill;

fn ask_to_probe(switchboard: &mut Switchboard, now: Instant, browser: BrowserId) -> Vec<Output> {
    switchboard.handle_input(now, Input::Said(browser, FromBrowser::Probe {}));
    let mut outputs = drain(switchboard);
    if mints(&outputs) > 0 {
        let pair = RelayPair { viewer: credentials(7), rtc: credentials(7) };
        switchboard.handle_input(now, Input::Minted(browser, Purpose::Probe, Some(pair)));
        outputs.extend(drain(switchboard));
    }
    outputs
}

#[test]
fn probes_beyond_the_budget_are_answered_with_what_was_given_last() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    let probe = ToBrowser::Probe { relay: Some(credentials(7).into()) };
    let told = Output::ToBrowser(browser, probe);
    let mut minted = 0;
    for _ in 0..90 {
        let outputs = ask_to_probe(&mut switchboard, now, browser);
        minted += mints(&outputs);
        assert_eq!(outputs.last(), Some(&told));
    }
    // One was for the page's first connection.
    assert_eq!(minted, MOST as usize - 1);
    let other = switchboard.join(now, login(RIGHTS, 2));
    assert_eq!(mints(&drain(&mut switchboard)), 1, "another login's is another budget");
    switchboard.handle_input(now, offer(other, "offer"));
    // What has expired is worth nothing.
    let late = now + Duration::from_secs(u64::from(LIFETIME));
    for _ in 0..MOST {
        ask_to_probe(&mut switchboard, late, browser);
    }
    let much_later = late + Duration::from_secs(u64::from(LIFETIME));
    switchboard.handle_input(much_later, Input::Minted(browser, Purpose::Probe, None));
    let nothing = Output::ToBrowser(browser, ToBrowser::Probe { relay: None });
    assert_eq!(drain(&mut switchboard).last(), Some(&nothing));
}

#[test]
fn offers_beyond_the_budget_keep_what_there_is_and_get_more_as_soon_as_they_may() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    let mut serial = 1;
    for _ in 0..2 * MOST {
        switchboard.handle_input(now, offer(browser, "offer"));
        let outputs = drain(&mut switchboard);
        let has_relay = |output: &Output| {
            matches!(output, Output::ToRtc(ToRtc::PeerJoined { relay: Some(_), .. }))
        };
        assert!(outputs.iter().any(has_relay), "{outputs:?}");
        if mints(&outputs) > 0 {
            serial += 1;
            switchboard.handle_input(now, minted(browser, serial));
            drain(&mut switchboard);
        }
    }
    assert_eq!(serial, MOST);
    assert_eq!(switchboard.poll_timeout(), Some(now + REFILL));
    switchboard.handle_input(now + REFILL, Input::Timeout);
    assert_eq!(mints(&drain(&mut switchboard)), 1);
}

#[test]
fn credentials_that_cannot_be_renewed_are_kept_until_they_expire() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    let half = now + Duration::from_secs(u64::from(LIFETIME) / 2);
    switchboard.handle_input(half, Input::Timeout);
    switchboard.handle_input(half, Input::Minted(browser, Purpose::Stream, None));
    drain(&mut switchboard);
    switchboard.handle_input(half, offer(browser, "offer"));
    let joined = drain(&mut switchboard);
    assert!(matches!(joined[0], Output::ToRtc(ToRtc::PeerJoined { relay: Some(_), .. })));
}

#[test]
fn browsers_of_a_desktop_without_logins_have_a_budget_each() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    let open = Login { id: LoginId::OPEN, ..login(RIGHTS, 1) };
    let one = switchboard.join(now, open);
    for _ in 0..90 {
        switchboard.handle_input(now, Input::Said(one, FromBrowser::Probe {}));
    }
    assert_eq!(mints(&drain(&mut switchboard)), MOST as usize);
    switchboard.join(now, open);
    assert_eq!(mints(&drain(&mut switchboard)), 1);
}

#[test]
fn offers_of_a_login_beyond_any_pages_are_not_passed_on_and_cost_no_other_login() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(1));
    switchboard.handle_input(now, Input::LinkUp);
    let joined = |outputs: &[Output]| {
        let is = |output: &&Output| matches!(output, Output::ToRtc(ToRtc::OfferMade { .. }));
        outputs.iter().filter(is).count()
    };
    let mut passed_on = 0;
    // Another WebSocket of the same login has no other budget.
    for _ in 0..10 {
        let browser = switchboard.join(now, login(RIGHTS, 1));
        for _ in 0..100 {
            switchboard.handle_input(now, offer(browser, "offer"));
            passed_on += joined(&drain(&mut switchboard));
        }
        assert_eq!(switchboard.peers(), 0, "its last offer was one too many");
        switchboard.handle_input(now, Input::Left(browser));
    }
    assert_eq!(passed_on, OFFERS.most as usize);
    let other = switchboard.join(now, login(RIGHTS, 2));
    switchboard.handle_input(now, offer(other, "offer"));
    assert_eq!(joined(&drain(&mut switchboard)), 1);
    let later = switchboard.join(now, login(RIGHTS, 1));
    switchboard.handle_input(now + OFFERS.refill, offer(later, "offer"));
    assert_eq!(joined(&drain(&mut switchboard)), 1);
}
