//! Links that end and are replaced while peers live.

use super::*;

/// The ways in which a link is replaced.
const LOSSES: [fn() -> Option<Input>; 3] =
    [|| Some(Input::LinkDown), || Some(Input::LinkFull), || None];

/// A linked switchboard and a browser whose offer has been answered: it is peer 1.
fn answered(now: Instant) -> (Switchboard, BrowserId) {
    let (mut switchboard, browser) = offered(now);
    let (peer, sdp) = (PeerId(1), sdp("answer"));
    let answer = ToGateway::AnswerMade { peer, sdp, ticket: ticket() };
    switchboard.handle_input(now, Input::FromRtc(answer));
    drain(&mut switchboard);
    (switchboard, browser)
}

fn resumed(peer: u64) -> Output {
    let (peer, login, ticket) = (PeerId(peer), login(RIGHTS, 1), ticket());
    Output::ToRtc(ToRtc::PeerResumed { peer, login, ticket, relay: None })
}

fn joined(peer: u64) -> Output {
    let (peer, login) = (PeerId(peer), login(RIGHTS, 1));
    Output::ToRtc(ToRtc::PeerJoined { peer, login, relay: None })
}

fn made(peer: u64, text: &str) -> Output {
    Output::ToRtc(ToRtc::OfferMade { peer: PeerId(peer), sdp: sdp(text) })
}

fn closed_by_rtc(peer: u64) -> Input {
    let (peer, reason) = (PeerId(peer), Reason::truncated("forgotten"));
    Input::FromRtc(ToGateway::PeerClosed { peer, reason, retry: true })
}

#[test]
fn link_that_is_lost_in_any_way_is_no_end_of_a_peer_that_the_next_link_resumes() {
    for lose in LOSSES {
        let now = Instant::now();
        let (mut switchboard, browser) = answered(now);
        lose().into_iter().for_each(|input| switchboard.handle_input(now, input));
        assert_eq!(drain(&mut switchboard), [], "nobody is told");
        switchboard.handle_input(now, Input::LinkUp);
        assert_eq!(drain(&mut switchboard), [resumed(2)]);
        // It goes on as if nothing had happened.
        switchboard.handle_input(now, candidate(browser));
        let candidate = CandidateLine::new("candidate:1").expect("short");
        let found = ToRtc::CandidateFound { peer: PeerId(2), candidate };
        assert_eq!(drain(&mut switchboard), [Output::ToRtc(found)]);
    }
}

#[test]
fn only_the_peer_that_rtc_does_not_know_any_more_offers_anew() {
    let now = Instant::now();
    let (mut switchboard, known) = answered(now);
    let forgotten = join(&mut switchboard);
    let resume = FromBrowser::Resume { ticket: ticket() };
    switchboard.handle_input(now, Input::Said(forgotten, resume));
    switchboard.handle_input(now, Input::LinkDown);
    drain(&mut switchboard);
    switchboard.handle_input(now, Input::LinkUp);
    assert_eq!(drain(&mut switchboard), [resumed(4), resumed(5)]);
    switchboard.handle_input(now, closed_by_rtc(5));
    let outputs = drain(&mut switchboard);
    assert!(closed_for(&outputs, forgotten) && !closed_for(&outputs, known));
    // Messages about numbers of an older link concern nobody.
    switchboard.handle_input(now, closed_by_rtc(1));
    assert_eq!(drain(&mut switchboard), []);
}

#[test]
fn offer_that_was_not_answered_is_made_again_after_the_peers_that_live() {
    for lose in LOSSES {
        let now = Instant::now();
        let mut switchboard = Switchboard::new(PeerId(0));
        switchboard.handle_input(now, Input::LinkUp);
        let newcomer = join(&mut switchboard);
        let known = join(&mut switchboard);
        switchboard.handle_input(now, offer(newcomer, "new"));
        switchboard.handle_input(now, candidate(newcomer));
        let resume = FromBrowser::Resume { ticket: ticket() };
        switchboard.handle_input(now, Input::Said(known, resume));
        drain(&mut switchboard);
        lose().into_iter().for_each(|input| switchboard.handle_input(now, input));
        switchboard.handle_input(now, Input::LinkUp);
        let candidate = CandidateLine::new("candidate:1").expect("short");
        let found = Output::ToRtc(ToRtc::CandidateFound { peer: PeerId(5), candidate });
        assert_eq!(
            drain(&mut switchboard),
            [resumed(4), joined(5), made(5, "new"), found],
            "existing peers come before new offers"
        );
    }
}

#[test]
fn restart_that_was_not_answered_is_made_again_for_the_peer_that_is_resumed() {
    let now = Instant::now();
    let (mut switchboard, browser) = answered(now);
    let restart = |text| Input::Said(browser, FromBrowser::Restart { sdp: sdp(text) });
    switchboard.handle_input(now, restart("one"));
    assert_eq!(drain(&mut switchboard), [made(1, "one")]);
    switchboard.handle_input(now, Input::LinkFull);
    switchboard.handle_input(now, restart("two"));
    assert_eq!(drain(&mut switchboard), []);
    switchboard.handle_input(now, Input::LinkUp);
    assert_eq!(drain(&mut switchboard), [resumed(2), made(2, "two")]);
}

#[test]
fn offer_that_is_made_again_uses_no_more_credentials() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    switchboard.handle_input(now, offer(browser, "offer"));
    assert_eq!(mints(&drain(&mut switchboard)), 1);
    switchboard.handle_input(now, minted(browser, 2));
    drain(&mut switchboard);
    for _ in 0..10 {
        switchboard.handle_input(now, Input::LinkFull);
        switchboard.handle_input(now, Input::LinkUp);
        assert_eq!(mints(&drain(&mut switchboard)), 0);
    }
}

#[test]
fn browser_that_resumes_without_a_link_waits_for_it() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    let browser = join(&mut switchboard);
    let resume = FromBrowser::Resume { ticket: ticket() };
    switchboard.handle_input(now, Input::Said(browser, resume));
    assert_eq!(drain(&mut switchboard), []);
    switchboard.handle_input(now, Input::LinkUp);
    assert_eq!(drain(&mut switchboard), [resumed(1)]);
}

#[test]
fn peer_without_a_link_for_too_long_is_closed_for_another_try() {
    let now = Instant::now();
    let (mut switchboard, browser) = answered(now);
    switchboard.handle_input(now, Input::LinkDown);
    is_closed_when_patience_ends(&mut switchboard, browser, now);
}

#[test]
fn browser_that_leaves_or_is_lost_while_there_is_no_link_is_not_introduced_to_the_next() {
    for gone in [Input::Left, Input::Lost] {
        let now = Instant::now();
        let (mut switchboard, browser) = answered(now);
        switchboard.handle_input(now, Input::LinkFull);
        switchboard.handle_input(now, gone(browser));
        switchboard.handle_input(now, Input::LinkUp);
        assert_eq!(drain(&mut switchboard), []);
    }
}
