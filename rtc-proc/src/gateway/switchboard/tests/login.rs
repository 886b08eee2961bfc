//! Browsers that are lost and come back, and logins that change and end.

use super::*;

#[test]
fn login_that_ends_takes_its_browsers_and_their_peers_along_and_nobody_elses() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    switchboard.handle_input(now, Input::LinkUp);
    let own = [join(&mut switchboard), join(&mut switchboard)];
    let other = switchboard.join(Instant::now(), login(RIGHTS, 2));
    for browser in [own[0], other] {
        switchboard.handle_input(now, offer(browser, "offer"));
    }
    drain(&mut switchboard);
    switchboard.handle_input(now, Input::LoginEnded(LoginId(1)));
    let told = |browser| Output::ToBrowser(browser, ToBrowser::LoginEnded {});
    let outputs = drain(&mut switchboard);
    for browser in own {
        let at = outputs.iter().position(|output| *output == told(browser)).expect("it is told");
        assert_eq!(outputs.get(at + 1), Some(&Output::Dismiss(browser)));
    }
    let gone =
        outputs.iter().filter(|output| matches!(output, Output::ToRtc(ToRtc::PeerGone { .. })));
    assert_eq!((gone.count(), outputs.len()), (1, 6));
    let ended = Output::ToRtc(ToRtc::LoginEnded { login: LoginId(1) });
    assert_eq!(outputs.last(), Some(&ended), "for peers that nobody signals for");
    assert_eq!((switchboard.browsers(), switchboard.peers()), (1, 1));
}

#[test]
fn login_that_ends_without_a_link_is_told_to_whoever_serves_the_next() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    let browser = join(&mut switchboard);
    switchboard.handle_input(now, Input::LoginEnded(LoginId(1)));
    let told = ToBrowser::LoginEnded {};
    let told = [Output::ToBrowser(browser, told), Output::Dismiss(browser)];
    assert_eq!(drain(&mut switchboard), told);
    // A link that ends before it is read does not clear the list.
    for _ in 0..2 {
        switchboard.handle_input(now, Input::LinkUp);
        let ended = Output::ToRtc(ToRtc::LoginEnded { login: LoginId(1) });
        assert_eq!(drain(&mut switchboard), [ended]);
        switchboard.handle_input(now, Input::LinkDown);
    }
    for id in 1..1000 {
        switchboard.handle_input(now, Input::LoginEnded(LoginId(id)));
    }
    switchboard.handle_input(now, Input::LinkUp);
    let outputs = drain(&mut switchboard);
    assert_eq!(outputs.len(), MOST_ENDED);
    let latest = Output::ToRtc(ToRtc::LoginEnded { login: LoginId(999) });
    assert_eq!(outputs.last(), Some(&latest));
}

#[test]
fn browser_that_is_lost_leaves_its_peer_and_takes_it_up_by_its_next_socket() {
    let now = Instant::now();
    let (mut switchboard, browser) = offered(now);
    switchboard.handle_input(now, Input::Lost(browser));
    let peer = PeerId(1);
    assert_eq!(drain(&mut switchboard), [Output::ToRtc(ToRtc::SignallingLost { peer })]);
    assert_eq!((switchboard.browsers(), switchboard.peers()), (0, 0));

    let again = join(&mut switchboard);
    let resume = FromBrowser::Resume { ticket: ticket() };
    switchboard.handle_input(now, Input::Said(again, resume));
    let peer = PeerId(3);
    let (login, ticket) = (login(RIGHTS, 1), ticket());
    let resumed = ToRtc::PeerResumed { peer, login, ticket, relay: None };
    assert_eq!(drain(&mut switchboard), [Output::ToRtc(resumed)]);
    switchboard.handle_input(now, candidate(again));
    let candidate = CandidateLine::new("candidate:1").expect("short");
    let found = ToRtc::CandidateFound { peer, candidate };
    assert_eq!(drain(&mut switchboard), [Output::ToRtc(found)]);
    // Rtc does not know the peer any more.
    let reason = Reason::truncated("forgotten");
    let closed = ToGateway::PeerClosed { peer, reason, retry: true };
    switchboard.handle_input(now, Input::FromRtc(closed));
    assert!(closed_for(&drain(&mut switchboard), again));
    assert_eq!(switchboard.peers(), 0);
}

#[test]
fn login_that_is_renewed_is_told_to_rtc_with_its_rights() {
    let now = Instant::now();
    let (mut switchboard, browser) = offered(now);
    let login = login(Rights { control: false }, 1);
    switchboard.handle_input(now, Input::LoginRenewed(browser, login));
    let renewed = ToRtc::LoginRenewed { peer: PeerId(1), login };
    assert_eq!(drain(&mut switchboard), [Output::ToRtc(renewed)]);
}

#[test]
fn end_of_an_idle_session_is_told_to_those_who_are_there_and_those_who_come() {
    let now = Instant::now();
    let (mut switchboard, browser) = offered(now);
    let told = |browser, seconds| Output::ToBrowser(browser, ToBrowser::EndsSoon { seconds });
    switchboard.handle_input(now, Input::EndsSoon(Some(60)));
    assert_eq!(drain(&mut switchboard), [told(browser, Some(60))]);
    let late = switchboard.join(now, login(RIGHTS, 1));
    let later = now + Duration::from_secs(20);
    switchboard.handle_input(later, Input::Minted(late, Purpose::Stream, None));
    assert!(drain(&mut switchboard).contains(&told(late, Some(40))));
    switchboard.handle_input(later, Input::EndsSoon(None));
    assert_eq!(drain(&mut switchboard), [told(browser, None), told(late, None)]);
}
