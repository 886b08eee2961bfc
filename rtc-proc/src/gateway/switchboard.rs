//! Browsers and their peers, as a state machine: messages of browsers and rtc go in, messages to
//! both come out.
//!
//! A browser's offer becomes a peer with a number of its own; a later offer of the same browser
//! gives the earlier peer up. While there is no link to rtc, or the link is replaced, calls wait
//! here and are introduced over the next link (`call`): only rtc knows whether a peer still exists.
//!
//! Each browser holds unused relay credentials: it gets the first when it joins, and new ones as
//! soon as an offer has used those, before they expire, and when the relay is replaced. Rtc gets
//! its half of each. So neither side ever waits for credentials. Each login has a
//! budget of them (`budget`); one that has used it up keeps what it has. Each has a budget of offers, too.
//!
//! A browser whose WebSocket is lost may still have its picture: rtc is told that nobody signals
//! for the peer, and keeps it; the browser's next WebSocket resumes it with the ticket that came
//! with the answer. A browser that closes properly takes its peer along.
//!
//! INVARIANT: every peer that rtc was told of and has not closed itself belongs to exactly one
//! browser, or rtc was told that it is gone or that nobody signals for it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use lumen_ipc::{
    login::{Login, LoginId},
    message::signalling::{Reason, ToGateway, ToRtc},
    service::{AppState, RelayPair},
    units::{PeerId, SessionId},
};

use self::{budget::Budgets, call::Call, relay::Relay};
use super::signal::{FromBrowser, ToBrowser};

mod app;
mod budget;
mod call;
mod login;
mod relay;
#[cfg(test)]
mod tests;

/// How long an offer waits for an rtc process. Long enough for one restart with back-off; the page
/// gives up after eight seconds.
pub const OFFER_PATIENCE: Duration = Duration::from_secs(5);

/// Most candidates kept beside a waiting offer; a browser finds about ten.
const MOST_WAITING_CANDIDATES: usize = 32;

/// Most ended logins that are remembered: more than the broker has of one session at a time.
const MOST_ENDED: usize = 256;

/// One signalling WebSocket.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BrowserId(u64);

/// An event.
#[derive(Debug)]
pub enum Input {
    /// The state of the app.
    App(AppState),
    /// The answer to [`Output::StartApp`] was a refusal, with its reason.
    AppRefused(BrowserId, Reason),
    /// A message of a browser.
    Said(BrowserId, FromBrowser),
    /// A browser has closed properly, or must not continue.
    Left(BrowserId),
    /// A browser's WebSocket is lost; its peer may still work.
    Lost(BrowserId),
    /// A login has ended: the user signed out, or it expired.
    LoginEnded(LoginId),
    /// The session ends after so many seconds unless somebody acts; `None` if it stays.
    EndsSoon(Option<u16>),
    /// The browsers of other logins than this one are to show a text.
    TellOthers(LoginId, Reason),
    /// A browser's login has been resumed; its new state.
    LoginRenewed(BrowserId, Login),
    /// There is a new link to rtc, which may be the same process or another one.
    LinkUp,
    /// The link to rtc has ended.
    LinkDown,
    /// The link to rtc is given up because rtc does not read it. Rtc and its peers live on.
    LinkFull,
    /// A message of rtc.
    FromRtc(ToGateway),
    /// The answer to [`Output::Mint`].
    Minted(BrowserId, Purpose, Option<RelayPair>),
    /// The relay is a new process, which does not know the credentials that the old one accepted.
    RelayReplaced,
    /// The instant of [`Switchboard::poll_timeout`] has come.
    Timeout,
}

/// An action to carry out.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Ask the supervisor to start the app of a session, and report a refusal with
    /// [`Input::AppRefused`].
    StartApp(BrowserId, SessionId),
    /// Close a browser's WebSocket once its queued messages are sent.
    Dismiss(BrowserId),
    /// Send a message to rtc.
    ToRtc(ToRtc),
    /// Send a message to a browser.
    ToBrowser(BrowserId, ToBrowser),
    /// Request relay credentials from the supervisor, and report them with [`Input::Minted`].
    Mint {
        /// For whom.
        browser: BrowserId,
        /// What for.
        purpose: Purpose,
        /// Its session.
        session: SessionId,
        /// For which peer.
        peer: PeerId,
    },
}

/// What relay credentials are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To test one path to the relay.
    Probe,
    /// The next peer connection, or the next ICE restart of the current one.
    Stream,
}

/// The machine.
#[derive(Debug)]
pub struct Switchboard {
    browsers: BTreeMap<BrowserId, Browser>,
    /// The browser of each peer.
    owners: HashMap<PeerId, BrowserId>,
    linked: bool,
    /// Logins that have ended, the latest last: the rtc of the next link is told.
    ended: VecDeque<LoginId>,
    app: AppState,
    /// When the session ends, unless somebody acts.
    ends_at: Option<Instant>,
    credentials: Budgets,
    offers: Budgets,
    next_browser: u64,
    next_peer: u64,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Browser {
    login: Login,
    /// The grantee of its relay credentials, whatever its peers are called: one allocation at a
    /// time.
    grantee: PeerId,
    relay: Relay,
    call: Call,
}

impl Switchboard {
    /// An empty one, without an rtc process. Peers are numbered from `first_peer` on.
    #[must_use]
    pub fn new(first_peer: PeerId) -> Self {
        Self {
            browsers: BTreeMap::new(),
            owners: HashMap::new(),
            linked: false,
            ended: VecDeque::new(),
            app: AppState::Running,
            ends_at: None,
            credentials: Budgets::of(budget::CREDENTIALS),
            offers: Budgets::of(budget::OFFERS),
            next_browser: 0,
            next_peer: first_peer.0,
            outputs: VecDeque::new(),
        }
    }

    /// Adds a browser, which may do what `login` allows.
    pub fn join(&mut self, now: Instant, login: Login) -> BrowserId {
        let id = BrowserId(self.next_browser);
        self.next_browser += 1;
        let grantee = self.number_peer();
        let (relay, call) = (Relay::default(), Call::None);
        self.browsers.insert(id, Browser { login, grantee, relay, call });
        self.mint(now, id, Purpose::Stream);
        id
    }

    /// The number of browsers.
    #[must_use]
    pub fn browsers(&self) -> usize {
        self.browsers.len()
    }

    /// The number of peers.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.owners.len()
    }

    /// Handles an event; [`Switchboard::poll_output`] returns the actions that follow.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::App(state) => self.app_is(state),
            Input::AppRefused(browser, reason) => self.app_refused(browser, reason),
            Input::Said(browser, FromBrowser::Offer { sdp }) => {
                if self.may_offer(now, browser) {
                    self.offered(now, browser, sdp);
                }
            }
            Input::Said(browser, FromBrowser::Candidate { candidate }) => {
                self.found_candidate(browser, candidate);
            }
            // Its WebSocket's task asks the supervisor for one.
            Input::Said(_, FromBrowser::Lease {}) => {}
            Input::Said(browser, FromBrowser::StartApp {}) => self.start_app(browser),
            Input::Said(browser, FromBrowser::Probe {}) => self.mint(now, browser, Purpose::Probe),
            Input::Said(browser, FromBrowser::Restart { sdp }) => {
                if self.may_offer(now, browser) {
                    self.restarted(now, browser, sdp);
                }
            }
            Input::Said(browser, FromBrowser::Resume { ticket }) => {
                self.resumed(now, browser, ticket);
            }
            Input::Left(browser) => self.left(browser),
            Input::Lost(browser) => self.lost(browser),
            Input::TellOthers(login, text) => self.tell_others(login, &text),
            Input::EndsSoon(seconds) => self.ends_soon(now, seconds),
            Input::LoginEnded(login) => self.login_ended(login),
            Input::LoginRenewed(browser, login) => self.login_renewed(browser, login),
            Input::LinkUp => self.link_up(now),
            Input::LinkDown | Input::LinkFull => self.link_over(now),
            Input::FromRtc(ToGateway::AnswerMade { peer, sdp, ticket }) => {
                self.answered(peer, sdp, ticket);
            }
            Input::FromRtc(ToGateway::CandidateFound { peer, candidate }) => {
                if let Some(browser) = self.owners.get(&peer) {
                    let found = ToBrowser::Candidate { candidate };
                    self.outputs.push_back(Output::ToBrowser(*browser, found));
                }
            }
            Input::FromRtc(ToGateway::PeerClosed { peer, reason, retry }) => {
                if let Some(browser) = self.owners.get(&peer).copied() {
                    self.end_call(browser);
                    self.tell_closed(browser, reason, retry);
                }
            }
            Input::Minted(browser, Purpose::Probe, pair) => self.probe_minted(now, browser, pair),
            Input::Minted(browser, Purpose::Stream, pair) => self.minted(now, browser, pair),
            Input::RelayReplaced => self.relay_replaced(now),
            Input::Timeout => self.expire(now),
        }
    }

    /// The next action.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to send [`Input::Timeout`] if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.browsers.values().filter_map(|browser| match &browser.call {
            Call::Waiting { until, .. } => Some(*until),
            Call::None | Call::Joined { .. } => None,
        });
        let renewals = self.browsers.values().filter_map(|browser| browser.relay.renewal);
        waits.chain(renewals).min()
    }

    fn number_peer(&mut self) -> PeerId {
        let peer = PeerId(self.next_peer);
        self.next_peer += 1;
        peer
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
        let due = |browser: &Browser| browser.relay.renewal.is_some_and(|at| at <= now);
        let due = self.browsers.iter().filter(|(_, browser)| due(browser)).map(|(id, _)| *id);
        for browser in due.collect::<Vec<_>>() {
            self.mint(now, browser, Purpose::Stream);
        }
    }

    fn tell_closed(&mut self, browser: BrowserId, reason: Reason, retry: bool) {
        self.outputs.push_back(Output::ToBrowser(browser, ToBrowser::Closed { reason, retry }));
    }
}
