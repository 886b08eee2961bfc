//! The switchboard between scripted browsers and a scripted rtc.

use std::collections::BTreeSet;

use lumen_ipc::{
    login::Rights,
    message::signalling::{CandidateLine, Sdp},
    service::RelayCredentials,
    text::{Secret, Text},
};
use proptest::prelude::*;

use super::*;

mod links;
mod login;
mod relay;

const RIGHTS: Rights = Rights { control: true };

/// A login with this number.
fn login(rights: Rights, id: u64) -> Login {
    let session = SessionId::SOLE;
    Login { id: LoginId(id), session, rights, expires_in_seconds: Some(60) }
}

fn ticket() -> Secret {
    Secret::new("ticket").expect("short")
}

fn sdp(text: &str) -> Sdp {
    Sdp::new(text).expect("short")
}

fn offer(browser: BrowserId, text: &str) -> Input {
    Input::Said(browser, FromBrowser::Offer { sdp: sdp(text) })
}

fn candidate(browser: BrowserId) -> Input {
    let candidate = CandidateLine::new("candidate:1").expect("short");
    Input::Said(browser, FromBrowser::Candidate { candidate })
}

/// A browser that joins and is told that there is no relay.
fn join(switchboard: &mut Switchboard) -> BrowserId {
    let browser = switchboard.join(Instant::now(), login(RIGHTS, 1));
    let minted = Input::Minted(browser, Purpose::Stream, None);
    switchboard.handle_input(Instant::now(), minted);
    let outputs = drain(switchboard);
    assert!(matches!(outputs.first(), Some(Output::Mint { purpose: Purpose::Stream, .. })));
    let welcome = Output::ToBrowser(browser, ToBrowser::Welcome { relay: None });
    assert_eq!(outputs.get(1..), Some(&[welcome][..]));
    browser
}

/// A switchboard with an rtc, and a browser that has sent an offer: it is peer 1.
fn offered(now: Instant) -> (Switchboard, BrowserId) {
    let mut switchboard = Switchboard::new(PeerId(0));
    switchboard.handle_input(now, Input::LinkUp);
    let browser = join(&mut switchboard);
    switchboard.handle_input(now, offer(browser, "offer"));
    drain(&mut switchboard);
    (switchboard, browser)
}

fn drain(switchboard: &mut Switchboard) -> Vec<Output> {
    std::iter::from_fn(|| switchboard.poll_output()).collect()
}

fn closed_for(outputs: &[Output], browser: BrowserId) -> bool {
    outputs.iter().any(|output| {
        matches!(output, Output::ToBrowser(to, ToBrowser::Closed { retry: true, .. }) if *to == browser)
    })
}

/// No link comes: the browser is told to try again, and the next link hears nothing of it.
#[track_caller]
fn is_closed_when_patience_ends(switchboard: &mut Switchboard, browser: BrowserId, now: Instant) {
    assert_eq!(switchboard.poll_timeout(), Some(now + OFFER_PATIENCE));
    switchboard.handle_input(now + OFFER_PATIENCE, Input::Timeout);
    assert!(closed_for(&drain(switchboard), browser));
    switchboard.handle_input(now + OFFER_PATIENCE, Input::LinkUp);
    assert_eq!(drain(switchboard), []);
}

#[test]
fn offer_while_linked_becomes_a_peer_and_its_answer_comes_back() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(7));
    switchboard.handle_input(now, Input::LinkUp);
    let browser = join(&mut switchboard);
    switchboard.handle_input(now, offer(browser, "offer"));
    let peer = PeerId(8);
    assert_eq!(
        drain(&mut switchboard),
        [
            Output::ToRtc(ToRtc::PeerJoined { peer, login: login(RIGHTS, 1), relay: None }),
            Output::ToRtc(ToRtc::OfferMade { peer, sdp: sdp("offer") }),
        ]
    );
    let answer = ToGateway::AnswerMade { peer, sdp: sdp("answer"), ticket: ticket() };
    switchboard.handle_input(now, Input::FromRtc(answer));
    assert_eq!(
        drain(&mut switchboard),
        [Output::ToBrowser(browser, ToBrowser::Answer { sdp: sdp("answer"), ticket: ticket() })]
    );
}

fn ended() -> AppState {
    AppState::Ended { reason: Reason::truncated("It ended.") }
}

/// The message to a browser about an app that has ended.
fn told(startable: bool) -> ToBrowser {
    ToBrowser::App { running: false, reason: Reason::truncated("It ended."), startable }
}

#[test]
fn app_that_ends_is_told_to_every_browser_and_to_later_ones() {
    let mut switchboard = Switchboard::new(PeerId(0));
    let early = join(&mut switchboard);
    switchboard.handle_input(Instant::now(), Input::App(ended()));
    assert_eq!(drain(&mut switchboard), [Output::ToBrowser(early, told(true))]);
    switchboard.handle_input(Instant::now(), Input::App(ended()));
    assert_eq!(drain(&mut switchboard), [], "nothing has changed");
    let late = switchboard.join(Instant::now(), login(Rights { control: false }, 2));
    let minted = Input::Minted(late, Purpose::Stream, None);
    switchboard.handle_input(Instant::now(), minted);
    let welcome = Output::ToBrowser(late, ToBrowser::Welcome { relay: None });
    let outputs = drain(&mut switchboard);
    assert_eq!(outputs.get(1..), Some(&[welcome, Output::ToBrowser(late, told(false))][..]));
}

#[test]
fn app_is_started_for_who_may_control_and_for_nobody_else() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    let master = join(&mut switchboard);
    let watcher = switchboard.join(Instant::now(), login(Rights { control: false }, 2));
    drain(&mut switchboard);
    switchboard.handle_input(now, Input::Said(watcher, FromBrowser::StartApp {}));
    assert_eq!(drain(&mut switchboard), []);
    switchboard.handle_input(now, Input::Said(master, FromBrowser::StartApp {}));
    assert_eq!(drain(&mut switchboard), [Output::StartApp(master, SessionId::SOLE)]);
    let text = Reason::truncated("It runs.");
    switchboard.handle_input(now, Input::AppRefused(master, text.clone()));
    let notice = Output::ToBrowser(master, ToBrowser::Notice { text });
    assert_eq!(drain(&mut switchboard), [notice]);
}

#[test]
fn desktop_that_ends_is_told_as_nothing_to_come_back_to() {
    let now = Instant::now();
    let (mut switchboard, browser) = offered(now);
    let reason = Reason::truncated("The desktop was ended.");
    switchboard.handle_input(now, Input::App(AppState::Over { reason: reason.clone() }));
    let outputs = drain(&mut switchboard);
    let closed = Output::ToBrowser(browser, ToBrowser::Closed { reason, retry: false });
    assert!(
        matches!(outputs[..], [Output::ToRtc(ToRtc::PeerGone { .. }), ref last] if *last == closed)
    );
}

#[test]
fn offer_without_rtc_waits_for_it_with_its_candidates() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    let browser = join(&mut switchboard);
    switchboard.handle_input(now, offer(browser, "offer"));
    switchboard.handle_input(now, candidate(browser));
    assert_eq!(drain(&mut switchboard), []);
    switchboard.handle_input(now, Input::LinkUp);
    assert_eq!(drain(&mut switchboard).len(), 3);
    assert_eq!(switchboard.poll_timeout(), None);
}

#[test]
fn offer_without_rtc_for_too_long_is_closed_for_another_try() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    let browser = join(&mut switchboard);
    switchboard.handle_input(now, offer(browser, "offer"));
    is_closed_when_patience_ends(&mut switchboard, browser, now);
}

#[test]
fn second_offer_gives_the_first_peer_up() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(1));
    switchboard.handle_input(now, Input::LinkUp);
    let browser = join(&mut switchboard);
    switchboard.handle_input(now, offer(browser, "one"));
    drain(&mut switchboard);
    switchboard.handle_input(now, offer(browser, "two"));
    let outputs = drain(&mut switchboard);
    assert_eq!(outputs.first(), Some(&Output::ToRtc(ToRtc::PeerGone { peer: PeerId(2) })));
    let late = ToGateway::AnswerMade { peer: PeerId(2), sdp: sdp("late"), ticket: ticket() };
    switchboard.handle_input(now, Input::FromRtc(late));
    assert_eq!(drain(&mut switchboard), []);
}

#[test]
fn browser_that_leaves_takes_its_peer_along() {
    let now = Instant::now();
    let (mut switchboard, browser) = offered(now);
    switchboard.handle_input(now, Input::Left(browser));
    let gone = Output::ToRtc(ToRtc::PeerGone { peer: PeerId(1) });
    assert_eq!(drain(&mut switchboard), [gone]);
    assert_eq!((switchboard.browsers(), switchboard.peers()), (0, 0));
}

const LIFETIME: u32 = 3600;

fn credentials(serial: u32) -> RelayCredentials {
    RelayCredentials {
        urls: vec![Text::truncated("turn:*:3478")],
        username: Text::truncated(format!("rtc {serial}")),
        password: Secret::new("word").expect("short"),
        lifetime_seconds: LIFETIME,
    }
}

fn minted(browser: BrowserId, serial: u32) -> Input {
    let pair = RelayPair { viewer: credentials(serial), rtc: credentials(serial) };
    Input::Minted(browser, Purpose::Stream, Some(pair))
}

fn mints(outputs: &[Output]) -> usize {
    outputs.iter().filter(|output| matches!(output, Output::Mint { .. })).count()
}

/// A linked switchboard and a browser that has its first credentials.
fn with_relay(now: Instant) -> (Switchboard, BrowserId) {
    let mut switchboard = Switchboard::new(PeerId(0));
    switchboard.handle_input(now, Input::LinkUp);
    let browser = switchboard.join(now, login(RIGHTS, 1));
    switchboard.handle_input(now, minted(browser, 1));
    let outputs = drain(&mut switchboard);
    let welcome = ToBrowser::Welcome { relay: Some(credentials(1).into()) };
    assert_eq!(outputs.get(1), Some(&Output::ToBrowser(browser, welcome)));
    (switchboard, browser)
}

#[test]
fn offer_uses_credentials_up_and_both_sides_are_given_new_ones() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    switchboard.handle_input(now, offer(browser, "offer"));
    let outputs = drain(&mut switchboard);
    let peer = PeerId(1);
    let joined = ToRtc::PeerJoined { peer, login: login(RIGHTS, 1), relay: Some(credentials(1)) };
    assert_eq!(outputs.first(), Some(&Output::ToRtc(joined)));
    let (session, purpose) = (SessionId::SOLE, Purpose::Stream);
    // For the same grantee as before: its next allocation replaces its last.
    let mint = Output::Mint { browser, purpose, session, peer: PeerId(0) };
    assert_eq!(outputs.last(), Some(&mint));
    switchboard.handle_input(now, minted(browser, 2));
    let relay = ToBrowser::Relay { relay: credentials(2).into(), restarted: false };
    assert_eq!(
        drain(&mut switchboard),
        [
            Output::ToBrowser(browser, relay),
            Output::ToRtc(ToRtc::RelayRenewed { peer, relay: credentials(2) }),
        ]
    );
}

#[test]
fn offer_before_the_first_credentials_gets_them_and_the_next() {
    let now = Instant::now();
    let mut switchboard = Switchboard::new(PeerId(0));
    switchboard.handle_input(now, Input::LinkUp);
    let browser = switchboard.join(Instant::now(), login(RIGHTS, 1));
    switchboard.handle_input(now, offer(browser, "offer"));
    drain(&mut switchboard);
    switchboard.handle_input(now, minted(browser, 1));
    let outputs = drain(&mut switchboard);
    let renewed = ToRtc::RelayRenewed { peer: PeerId(1), relay: credentials(1) };
    assert_eq!(outputs.get(1), Some(&Output::ToRtc(renewed)));
    assert_eq!(mints(&outputs), 1);
}

#[test]
fn relay_replaced_is_told_with_new_credentials() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    switchboard.handle_input(now, Input::RelayReplaced);
    assert_eq!(mints(&drain(&mut switchboard)), 1);
    switchboard.handle_input(now, minted(browser, 2));
    let relay = ToBrowser::Relay { relay: credentials(2).into(), restarted: true };
    assert_eq!(drain(&mut switchboard), [Output::ToBrowser(browser, relay)]);
}

#[test]
fn credentials_are_renewed_at_half_of_their_life() {
    let now = Instant::now();
    let (mut switchboard, _) = with_relay(now);
    let renewal = now + Duration::from_secs(u64::from(LIFETIME) / 2);
    assert_eq!(switchboard.poll_timeout(), Some(renewal));
    switchboard.handle_input(renewal, Input::Timeout);
    assert_eq!(mints(&drain(&mut switchboard)), 1);
    assert_eq!(switchboard.poll_timeout(), None);
}

#[test]
fn restart_of_a_known_peer_is_passed_on_and_of_an_unknown_one_is_closed() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    let restart = || Input::Said(browser, FromBrowser::Restart { sdp: sdp("again") });
    switchboard.handle_input(now, restart());
    assert!(closed_for(&drain(&mut switchboard), browser));
    switchboard.handle_input(now, offer(browser, "offer"));
    drain(&mut switchboard);
    switchboard.handle_input(now, restart());
    let outputs = drain(&mut switchboard);
    let made = ToRtc::OfferMade { peer: PeerId(1), sdp: sdp("again") };
    assert_eq!(outputs.first(), Some(&Output::ToRtc(made)));
    assert_eq!(mints(&outputs), 1);
}

#[test]
fn probe_gets_credentials_of_its_own() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    switchboard.handle_input(now, Input::Said(browser, FromBrowser::Probe {}));
    let (session, purpose) = (SessionId::SOLE, Purpose::Probe);
    let mint = Output::Mint { browser, purpose, session, peer: PeerId(1) };
    assert_eq!(drain(&mut switchboard), [mint]);
    switchboard.handle_input(now, Input::Minted(browser, purpose, None));
    let probe = Output::ToBrowser(browser, ToBrowser::Probe { relay: None });
    assert_eq!(drain(&mut switchboard), [probe]);
}

#[test]
fn late_address_of_rtc_reaches_its_browser() {
    let now = Instant::now();
    let (mut switchboard, browser) = with_relay(now);
    switchboard.handle_input(now, offer(browser, "offer"));
    drain(&mut switchboard);
    let candidate = CandidateLine::new("candidate:1").expect("short");
    let found = ToGateway::CandidateFound { peer: PeerId(1), candidate: candidate.clone() };
    switchboard.handle_input(now, Input::FromRtc(found));
    let told = Output::ToBrowser(browser, ToBrowser::Candidate { candidate });
    assert_eq!(drain(&mut switchboard), [told]);
}

#[derive(Clone, Debug)]
enum Op {
    Join,
    Offer(usize),
    Candidate(usize),
    Restart(usize),
    Minted(usize, bool),
    RelayReplaced,
    Leave(usize),
    Lose(usize),
    Resume(usize),
    Renew(usize),
    EndLogin(u64),
    LinkUp,
    LinkDown,
    LinkFull,
    Answer(u64),
    Close(u64, bool),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Join),
        (0_usize..6).prop_map(Op::Offer),
        (0_usize..6).prop_map(Op::Candidate),
        (0_usize..6).prop_map(Op::Restart),
        (0_usize..6, any::<bool>()).prop_map(|(index, any)| Op::Minted(index, any)),
        Just(Op::RelayReplaced),
        (0_usize..6).prop_map(Op::Leave),
        (0_usize..6).prop_map(Op::Lose),
        (0_usize..6).prop_map(Op::Resume),
        (0_usize..6).prop_map(Op::Renew),
        (1_u64..3).prop_map(Op::EndLogin),
        Just(Op::LinkUp),
        Just(Op::LinkDown),
        Just(Op::LinkFull),
        (0_u64..20).prop_map(Op::Answer),
        (0_u64..20, any::<bool>()).prop_map(|(peer, retry)| Op::Close(peer, retry)),
        (0_u64..8000).prop_map(Op::Wait),
    ]
}

/// What rtc knows from its messages.
#[derive(Default)]
struct Rtc {
    linked: bool,
    peers: BTreeSet<u64>,
    highest: Option<u64>,
}

impl Rtc {
    fn hear(&mut self, message: &ToRtc) {
        assert!(self.linked, "there is no link for {message:?}");
        match message {
            ToRtc::PeerJoined { peer, .. } | ToRtc::PeerResumed { peer, .. } => {
                assert!(self.highest.is_none_or(|highest| peer.0 > highest), "{peer} again");
                self.highest = Some(peer.0);
                self.peers.insert(peer.0);
            }
            ToRtc::OfferMade { peer, .. }
            | ToRtc::CandidateFound { peer, .. }
            | ToRtc::LoginRenewed { peer, .. }
            | ToRtc::RelayRenewed { peer, .. } => {
                assert!(self.peers.contains(&peer.0), "{peer} was not introduced");
            }
            ToRtc::PeerGone { peer } | ToRtc::SignallingLost { peer } => {
                assert!(self.peers.remove(&peer.0), "{peer} twice");
            }
            // The switchboard has already given up those peers of the login that a browser signals
            // for.
            ToRtc::LoginEnded { .. } => {}
        }
    }
}

fn input(op: &Op, browsers: &[BrowserId]) -> Option<Input> {
    let pick = |index: &usize| browsers.get(*index).copied();
    Some(match op {
        Op::Join => return None,
        Op::Offer(index) => offer(pick(index)?, "offer"),
        Op::Candidate(index) => candidate(pick(index)?),
        Op::Restart(index) => {
            Input::Said(pick(index)?, FromBrowser::Restart { sdp: sdp("restart") })
        }
        Op::Minted(index, true) => minted(pick(index)?, 1),
        Op::Minted(index, false) => Input::Minted(pick(index)?, Purpose::Stream, None),
        Op::RelayReplaced => Input::RelayReplaced,
        Op::Leave(index) => Input::Left(pick(index)?),
        Op::Lose(index) => Input::Lost(pick(index)?),
        Op::Resume(index) => Input::Said(pick(index)?, FromBrowser::Resume { ticket: ticket() }),
        Op::Renew(index) => Input::LoginRenewed(pick(index)?, login(RIGHTS, 1)),
        Op::EndLogin(id) => Input::LoginEnded(LoginId(*id)),
        Op::LinkUp => Input::LinkUp,
        Op::LinkDown => Input::LinkDown,
        Op::LinkFull => Input::LinkFull,
        Op::Answer(peer) => {
            let (peer, sdp, ticket) = (PeerId(*peer), sdp("answer"), ticket());
            Input::FromRtc(ToGateway::AnswerMade { peer, sdp, ticket })
        }
        Op::Close(peer, retry) => Input::FromRtc(ToGateway::PeerClosed {
            peer: PeerId(*peer),
            reason: Reason::default(),
            retry: *retry,
        }),
        Op::Wait(_) => Input::Timeout,
    })
}

proptest! {
    #[test]
    fn switchboard_and_rtc_agree_on_who_exists(ops in prop::collection::vec(op(), 1..80)) {
        let mut now = Instant::now();
        let mut switchboard = Switchboard::new(PeerId(0));
        let mut browsers = Vec::new();
        let mut rtc = Rtc::default();
        for op in &ops {
            match op {
                Op::Join => browsers.push(switchboard.join(now, login(RIGHTS, 1))),
                Op::Wait(millis) => now += Duration::from_millis(*millis),
                Op::LinkUp => rtc = Rtc { linked: true, peers: BTreeSet::new(), ..rtc },
                Op::LinkDown | Op::LinkFull => rtc = Rtc { linked: false, peers: BTreeSet::new(), ..rtc },
                Op::Close(peer, _) => { rtc.peers.remove(peer); }
                _ => {}
            }
            if let Some(input) = input(op, &browsers) {
                switchboard.handle_input(now, input);
            }
            for output in drain(&mut switchboard) {
                match output {
                    Output::ToRtc(message) => rtc.hear(&message),
                    Output::ToBrowser(_, ToBrowser::Closed { .. }) => {
                        let may = matches!(op, Op::Close(..) | Op::Wait(_) | Op::Restart(_));
                        prop_assert!(may, "{op:?} ends no peer");
                    }
                    _ => {}
                }
            }
            let owned: BTreeSet<_> = switchboard.owners.keys().map(|peer| peer.0).collect();
            prop_assert_eq!(&owned, &rtc.peers);
            let waits = |browser: &Browser| matches!(browser.call, Call::Waiting { .. });
            prop_assert!(!switchboard.linked || !switchboard.browsers.values().any(waits));
        }
    }
}
