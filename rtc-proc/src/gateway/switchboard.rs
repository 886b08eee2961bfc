//! Browsers and their peers, as a machine: what browsers and rtc say goes in, what each is told
//! comes out.
//!
//! A browser's offer becomes a peer of its own number; a later offer of the same browser gives the
//! earlier peer up. When rtc is replaced, every browser is told to offer anew, at once and not when
//! the successor is there: the offers wait here for it, so that they are under way before it can
//! take them.
//!
//! INVARIANT: every peer rtc was told of and has not closed itself belongs to exactly one browser,
//! or rtc was told that it is gone.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::signalling::{CandidateLine, Reason, Rights, Sdp, ToGateway, ToRtc},
    units::PeerId,
};

use super::signal::{FromBrowser, ToBrowser};

/// How long an offer waits for an rtc process. Long enough for one restart with back-off; the page
/// gives up after eight seconds.
pub const OFFER_PATIENCE: Duration = Duration::from_secs(5);

/// Most candidates kept beside a waiting offer; a browser finds about ten.
const MOST_WAITING_CANDIDATES: usize = 32;

/// One signalling WebSocket.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BrowserId(u64);

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// A browser said something.
    Said(BrowserId, FromBrowser),
    /// A browser's WebSocket is closed.
    Left(BrowserId),
    /// There is an rtc process to talk to; it is a new one.
    LinkUp,
    /// The rtc process is gone.
    LinkDown,
    /// Rtc said something.
    FromRtc(ToGateway),
    /// An instant of [`Switchboard::poll_timeout`] has come.
    Timeout,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Tell rtc.
    ToRtc(ToRtc),
    /// Tell a browser.
    ToBrowser(BrowserId, ToBrowser),
}

/// The machine.
#[derive(Debug)]
pub struct Switchboard {
    browsers: BTreeMap<BrowserId, Browser>,
    /// Whose each joined peer is.
    owners: HashMap<PeerId, BrowserId>,
    linked: bool,
    next_browser: u64,
    next_peer: u64,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Browser {
    rights: Rights,
    call: Call,
}

/// How far a browser's call has got.
#[derive(Debug)]
enum Call {
    /// It has made no offer, or its peer has ended.
    None,
    /// Its offer waits for an rtc process.
    Waiting { sdp: Sdp, candidates: Vec<CandidateLine>, until: Instant },
    /// Rtc knows it.
    Joined(PeerId),
}

impl Switchboard {
    /// An empty one, without an rtc process. Peers are numbered from `first_peer` on.
    #[must_use]
    pub fn new(first_peer: PeerId) -> Self {
        Self {
            browsers: BTreeMap::new(),
            owners: HashMap::new(),
            linked: false,
            next_browser: 0,
            next_peer: first_peer.0,
            outputs: VecDeque::new(),
        }
    }

    /// A browser has come that may do what `rights` say.
    pub fn join(&mut self, rights: Rights) -> BrowserId {
        let id = BrowserId(self.next_browser);
        self.next_browser += 1;
        self.browsers.insert(id, Browser { rights, call: Call::None });
        id
    }

    /// How many browsers there are.
    #[must_use]
    pub fn browsers(&self) -> usize {
        self.browsers.len()
    }

    /// How many peers there are.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.owners.len()
    }

    /// Takes in what happened; [`Switchboard::poll_output`] says what follows from it.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Said(browser, FromBrowser::Offer { sdp }) => self.offered(now, browser, sdp),
            Input::Said(browser, FromBrowser::Candidate { candidate }) => {
                self.found_candidate(browser, candidate);
            }
            Input::Left(browser) => {
                self.give_up_call(browser);
                self.browsers.remove(&browser);
            }
            Input::LinkUp => self.link_up(),
            Input::LinkDown => self.link_down(),
            Input::FromRtc(ToGateway::AnswerMade { peer, sdp }) => {
                // A peer that is not known was given up while its answer was under way.
                if let Some(browser) = self.owners.get(&peer) {
                    self.outputs.push_back(Output::ToBrowser(*browser, ToBrowser::Answer { sdp }));
                }
            }
            Input::FromRtc(ToGateway::PeerClosed { peer, reason, retry }) => {
                if let Some(browser) = self.owners.get(&peer).copied() {
                    self.end_call(browser);
                    self.tell_closed(browser, reason, retry);
                }
            }
            Input::Timeout => self.expire(now),
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to say [`Input::Timeout`] if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.browsers
            .values()
            .filter_map(|browser| match &browser.call {
                Call::Waiting { until, .. } => Some(*until),
                Call::None | Call::Joined(_) => None,
            })
            .min()
    }

    fn offered(&mut self, now: Instant, browser: BrowserId, sdp: Sdp) {
        self.give_up_call(browser);
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        let until = now + OFFER_PATIENCE;
        caller.call = Call::Waiting { sdp, candidates: Vec::new(), until };
        if self.linked {
            self.place_call(browser);
        }
    }

    fn found_candidate(&mut self, browser: BrowserId, candidate: CandidateLine) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        match &mut caller.call {
            // Of a peer that has ended.
            Call::None => {}
            Call::Waiting { candidates, .. } => {
                if candidates.len() < MOST_WAITING_CANDIDATES {
                    candidates.push(candidate);
                }
            }
            Call::Joined(peer) => {
                let found = ToRtc::CandidateFound { peer: *peer, candidate };
                self.outputs.push_back(Output::ToRtc(found));
            }
        }
    }

    /// Makes a peer of a waiting offer.
    fn place_call(&mut self, browser: BrowserId) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        let peer = PeerId(self.next_peer);
        let call = std::mem::replace(&mut caller.call, Call::Joined(peer));
        let Call::Waiting { sdp, candidates, .. } = call else {
            caller.call = call;
            return;
        };
        self.next_peer += 1;
        self.owners.insert(peer, browser);
        let joined = ToRtc::PeerJoined { peer, rights: caller.rights, relay: None };
        let messages = [joined, ToRtc::OfferMade { peer, sdp }].into_iter().chain(
            candidates.into_iter().map(|candidate| ToRtc::CandidateFound { peer, candidate }),
        );
        self.outputs.extend(messages.map(Output::ToRtc));
    }

    /// Ends a call from the browser's side.
    fn give_up_call(&mut self, browser: BrowserId) {
        if let Some(peer) = self.end_call(browser) {
            self.outputs.push_back(Output::ToRtc(ToRtc::PeerGone { peer }));
        }
    }

    /// Forgets a call; returns its peer if rtc knows one.
    fn end_call(&mut self, browser: BrowserId) -> Option<PeerId> {
        let caller = self.browsers.get_mut(&browser)?;
        match std::mem::replace(&mut caller.call, Call::None) {
            Call::Joined(peer) => {
                self.owners.remove(&peer);
                Some(peer)
            }
            Call::None | Call::Waiting { .. } => None,
        }
    }

    fn link_up(&mut self) {
        if self.linked {
            self.link_down();
        }
        self.linked = true;
        let browsers: Vec<_> = self.browsers.keys().copied().collect();
        for browser in browsers {
            self.place_call(browser);
        }
    }

    /// Browsers without a call are told too: their peer may be one that an earlier gateway process
    /// introduced.
    fn link_down(&mut self) {
        self.linked = false;
        self.owners.clear();
        let mut told = Vec::new();
        for (id, browser) in &mut self.browsers {
            if !matches!(browser.call, Call::Waiting { .. }) {
                browser.call = Call::None;
                told.push(*id);
            }
        }
        for browser in told {
            self.tell_closed(
                browser,
                Reason::truncated("The desktop's connection restarts."),
                true,
            );
        }
    }

    fn expire(&mut self, now: Instant) {
        let expired: Vec<_> = self
            .browsers
            .iter()
            .filter(|(_, browser)| {
                matches!(&browser.call, Call::Waiting { until, .. } if *until <= now)
            })
            .map(|(id, _)| *id)
            .collect();
        for browser in expired {
            self.end_call(browser);
            self.tell_closed(browser, Reason::truncated("The desktop is not available."), true);
        }
    }

    fn tell_closed(&mut self, browser: BrowserId, reason: Reason, retry: bool) {
        self.outputs.push_back(Output::ToBrowser(browser, ToBrowser::Closed { reason, retry }));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const RIGHTS: Rights = Rights { control: true };

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

    fn drain(switchboard: &mut Switchboard) -> Vec<Output> {
        std::iter::from_fn(|| switchboard.poll_output()).collect()
    }

    fn closed_for(outputs: &[Output], browser: BrowserId) -> bool {
        outputs.iter().any(|output| {
            matches!(output, Output::ToBrowser(to, ToBrowser::Closed { retry: true, .. }) if *to == browser)
        })
    }

    #[test]
    fn offer_while_linked_becomes_a_peer_and_its_answer_comes_back() {
        let now = Instant::now();
        let mut switchboard = Switchboard::new(PeerId(7));
        switchboard.handle_input(now, Input::LinkUp);
        let browser = switchboard.join(RIGHTS);
        switchboard.handle_input(now, offer(browser, "offer"));
        let peer = PeerId(7);
        assert_eq!(
            drain(&mut switchboard),
            [
                Output::ToRtc(ToRtc::PeerJoined { peer, rights: RIGHTS, relay: None }),
                Output::ToRtc(ToRtc::OfferMade { peer, sdp: sdp("offer") }),
            ]
        );
        let answer = ToGateway::AnswerMade { peer, sdp: sdp("answer") };
        switchboard.handle_input(now, Input::FromRtc(answer));
        assert_eq!(
            drain(&mut switchboard),
            [Output::ToBrowser(browser, ToBrowser::Answer { sdp: sdp("answer") })]
        );
    }

    #[test]
    fn offer_without_rtc_waits_for_it_with_its_candidates() {
        let now = Instant::now();
        let mut switchboard = Switchboard::new(PeerId(0));
        let browser = switchboard.join(RIGHTS);
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
        let browser = switchboard.join(RIGHTS);
        switchboard.handle_input(now, offer(browser, "offer"));
        assert_eq!(switchboard.poll_timeout(), Some(now + OFFER_PATIENCE));
        switchboard.handle_input(now + OFFER_PATIENCE, Input::Timeout);
        assert!(closed_for(&drain(&mut switchboard), browser));
        switchboard.handle_input(now + OFFER_PATIENCE, Input::LinkUp);
        assert_eq!(drain(&mut switchboard), []);
    }

    #[test]
    fn second_offer_gives_the_first_peer_up() {
        let now = Instant::now();
        let mut switchboard = Switchboard::new(PeerId(1));
        switchboard.handle_input(now, Input::LinkUp);
        let browser = switchboard.join(RIGHTS);
        switchboard.handle_input(now, offer(browser, "one"));
        drain(&mut switchboard);
        switchboard.handle_input(now, offer(browser, "two"));
        let outputs = drain(&mut switchboard);
        assert_eq!(outputs.first(), Some(&Output::ToRtc(ToRtc::PeerGone { peer: PeerId(1) })));
        let late = ToGateway::AnswerMade { peer: PeerId(1), sdp: sdp("late") };
        switchboard.handle_input(now, Input::FromRtc(late));
        assert_eq!(drain(&mut switchboard), []);
    }

    #[test]
    fn rtc_replaced_tells_every_browser_and_takes_their_new_offers() {
        let now = Instant::now();
        let mut switchboard = Switchboard::new(PeerId(0));
        switchboard.handle_input(now, Input::LinkUp);
        let watching = switchboard.join(RIGHTS);
        let idle = switchboard.join(RIGHTS);
        switchboard.handle_input(now, offer(watching, "one"));
        drain(&mut switchboard);
        switchboard.handle_input(now, Input::LinkDown);
        let outputs = drain(&mut switchboard);
        assert!(closed_for(&outputs, watching) && closed_for(&outputs, idle));
        switchboard.handle_input(now, offer(watching, "two"));
        switchboard.handle_input(now, Input::LinkUp);
        let peer = PeerId(1);
        assert_eq!(
            drain(&mut switchboard),
            [
                Output::ToRtc(ToRtc::PeerJoined { peer, rights: RIGHTS, relay: None }),
                Output::ToRtc(ToRtc::OfferMade { peer, sdp: sdp("two") }),
            ]
        );
    }

    #[test]
    fn browser_that_leaves_takes_its_peer_along() {
        let now = Instant::now();
        let mut switchboard = Switchboard::new(PeerId(0));
        switchboard.handle_input(now, Input::LinkUp);
        let browser = switchboard.join(RIGHTS);
        switchboard.handle_input(now, offer(browser, "offer"));
        drain(&mut switchboard);
        switchboard.handle_input(now, Input::Left(browser));
        let gone = Output::ToRtc(ToRtc::PeerGone { peer: PeerId(0) });
        assert_eq!(drain(&mut switchboard), [gone]);
        assert_eq!((switchboard.browsers(), switchboard.peers()), (0, 0));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Join,
        Offer(usize),
        Candidate(usize),
        Leave(usize),
        LinkUp,
        LinkDown,
        Answer(u64),
        Close(u64, bool),
        Wait(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            Just(Op::Join),
            (0_usize..6).prop_map(Op::Offer),
            (0_usize..6).prop_map(Op::Candidate),
            (0_usize..6).prop_map(Op::Leave),
            Just(Op::LinkUp),
            Just(Op::LinkDown),
            (0_u64..20).prop_map(Op::Answer),
            (0_u64..20, any::<bool>()).prop_map(|(peer, retry)| Op::Close(peer, retry)),
            (0_u64..8000).prop_map(Op::Wait),
        ]
    }

    /// What rtc knows, from what it was told.
    #[derive(Default)]
    struct Rtc {
        linked: bool,
        peers: BTreeSet<u64>,
        highest: Option<u64>,
    }

    impl Rtc {
        fn hear(&mut self, message: &ToRtc) {
            assert!(self.linked, "nobody listens to {message:?}");
            match message {
                ToRtc::PeerJoined { peer, .. } => {
                    assert!(self.highest.is_none_or(|highest| peer.0 > highest), "{peer} again");
                    self.highest = Some(peer.0);
                    self.peers.insert(peer.0);
                }
                ToRtc::OfferMade { peer, .. } | ToRtc::CandidateFound { peer, .. } => {
                    assert!(self.peers.contains(&peer.0), "{peer} was not introduced");
                }
                ToRtc::PeerGone { peer } => assert!(self.peers.remove(&peer.0), "{peer} twice"),
            }
        }
    }

    fn input(op: &Op, browsers: &[BrowserId]) -> Option<Input> {
        let pick = |index: &usize| browsers.get(*index).copied();
        Some(match op {
            Op::Join => return None,
            Op::Offer(index) => offer(pick(index)?, "offer"),
            Op::Candidate(index) => candidate(pick(index)?),
            Op::Leave(index) => Input::Left(pick(index)?),
            Op::LinkUp => Input::LinkUp,
            Op::LinkDown => Input::LinkDown,
            Op::Answer(peer) => {
                Input::FromRtc(ToGateway::AnswerMade { peer: PeerId(*peer), sdp: sdp("answer") })
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
                    Op::Join => browsers.push(switchboard.join(RIGHTS)),
                    Op::Wait(millis) => now += Duration::from_millis(*millis),
                    Op::LinkUp => rtc = Rtc { linked: true, peers: BTreeSet::new(), ..rtc },
                    Op::LinkDown => rtc = Rtc { linked: false, peers: BTreeSet::new(), ..rtc },
                    Op::Close(peer, _) => { rtc.peers.remove(peer); }
                    _ => {}
                }
                if let Some(input) = input(op, &browsers) {
                    switchboard.handle_input(now, input);
                }
                for output in drain(&mut switchboard) {
                    if let Output::ToRtc(message) = output { rtc.hear(&message); }
                }
                let owned: BTreeSet<_> = switchboard.owners.keys().map(|peer| peer.0).collect();
                prop_assert_eq!(&owned, &rtc.peers);
                prop_assert!(!switchboard.linked || switchboard.poll_timeout().is_none());
            }
        }
    }
}
