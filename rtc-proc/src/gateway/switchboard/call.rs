//! Browsers' calls: how an offer becomes a peer, and how both survive the loss of a link.
//!
//! Rtc lives longer than the links to it, and so do its peers. So a call keeps what is needed to
//! introduce it over another link: the peer's ticket, and the offer that rtc has not answered. When
//! a link ends, for whatever reason, its calls wait for the next one and are introduced there. If
//! rtc does not know a peer any more, it closes the peer itself, and only then the browser makes a
//! new offer.

use std::time::Instant;

use lumen_ipc::{
    message::signalling::{CandidateLine, Reason, Sdp, ToRtc},
    text::Secret,
    units::PeerId,
};

use super::{
    super::signal::ToBrowser,
    budget::Payer,
    {BrowserId, MOST_WAITING_CANDIDATES, OFFER_PATIENCE, Output, Purpose, Switchboard},
};

/// The state of a browser's call.
#[derive(Debug)]
pub(super) enum Call {
    /// It has made no offer, or its peer has ended.
    None,
    /// It waits for a link to rtc.
    Waiting { claim: Claim, until: Instant },
    /// Rtc has been told about it.
    Joined { peer: PeerId, claim: Claim },
}

/// What introduces a call to rtc. At least one of the two is there.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The secret by which rtc finds the peer; none before its first answer.
    ticket: Option<Secret>,
    /// The offer that has not been answered.
    offer: Option<Offer>,
}

/// An offer and the candidates that followed it.
#[derive(Debug)]
struct Offer {
    sdp: Sdp,
    candidates: Vec<CandidateLine>,
    /// Rtc has been told about it once: it has used the browser's relay credentials.
    told: bool,
}

impl Claim {
    fn of_ticket(ticket: Secret) -> Self {
        Self { ticket: Some(ticket), offer: None }
    }

    fn offer(&mut self, sdp: Sdp) {
        self.offer = Some(Offer { sdp, candidates: Vec::new(), told: false });
    }

    fn keep(&mut self, candidate: &CandidateLine) {
        if let Some(offer) = &mut self.offer
            && offer.candidates.len() < MOST_WAITING_CANDIDATES
        {
            offer.candidates.push(candidate.clone());
        }
    }
}

impl Switchboard {
    /// Whether a browser's login may make another offer now. One that makes more than a page ever does
    /// loses its call and is told to wait; rtc, which serves all viewers, does not hear of it.
    pub(super) fn may_offer(&mut self, now: Instant, browser: BrowserId) -> bool {
        let Some(caller) = self.browsers.get(&browser) else { return false };
        if self.offers.spend(now, Payer::of(caller.login.id, browser)).is_ok() {
            return true;
        }
        self.give_up_call(browser);
        let reason = "There are too many offers of this login. Try again in a moment.";
        self.tell_closed(browser, Reason::truncated(reason), true);
        false
    }

    /// Makes a call of an offer; it replaces the browser's earlier call.
    pub(super) fn offered(&mut self, now: Instant, browser: BrowserId, sdp: Sdp) {
        self.give_up_call(browser);
        let mut claim = Claim::default();
        claim.offer(sdp);
        self.claim(now, browser, claim);
    }

    /// Signals for the browser's peer under a new number; rtc closes it if there is no such peer.
    pub(super) fn resumed(&mut self, now: Instant, browser: BrowserId, ticket: Secret) {
        self.give_up_call(browser);
        self.claim(now, browser, Claim::of_ticket(ticket));
    }

    fn claim(&mut self, now: Instant, browser: BrowserId, claim: Claim) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        caller.call = Call::Waiting { claim, until: now + OFFER_PATIENCE };
        if self.linked {
            self.introduce(now, browser);
        }
    }

    /// Passes on an ICE restart for a peer that rtc knows; there is none for one that rtc does not
    /// know.
    pub(super) fn restarted(&mut self, now: Instant, browser: BrowserId, sdp: Sdp) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        match &mut caller.call {
            Call::None => {
                let reason = Reason::truncated("The desktop has forgotten this connection.");
                self.tell_closed(browser, reason, true);
            }
            Call::Waiting { claim, .. } => claim.offer(sdp),
            Call::Joined { claim, .. } => {
                claim.offer(sdp);
                self.pass_offer_on(now, browser);
            }
        }
    }

    pub(super) fn found_candidate(&mut self, browser: BrowserId, candidate: CandidateLine) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        match &mut caller.call {
            // A candidate of a peer that has ended.
            Call::None => {}
            Call::Waiting { claim, .. } => claim.keep(&candidate),
            Call::Joined { peer, claim } => {
                claim.keep(&candidate);
                let found = ToRtc::CandidateFound { peer: *peer, candidate };
                self.outputs.push_back(Output::ToRtc(found));
            }
        }
    }

    /// Handles rtc's answer. An unknown peer was given up while its answer was on its way.
    pub(super) fn answered(&mut self, peer: PeerId, sdp: Sdp, ticket: Secret) {
        let Some(browser) = self.owners.get(&peer) else { return };
        if let Some(caller) = self.browsers.get_mut(browser)
            && let Call::Joined { claim, .. } = &mut caller.call
        {
            *claim = Claim::of_ticket(ticket.clone());
        }
        let answer = ToBrowser::Answer { sdp, ticket };
        self.outputs.push_back(Output::ToBrowser(*browser, answer));
    }

    /// Tells rtc about a waiting call, under a new peer number.
    fn introduce(&mut self, now: Instant, browser: BrowserId) {
        let peer = self.number_peer();
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        let call = std::mem::replace(&mut caller.call, Call::None);
        let Call::Waiting { claim, .. } = call else { return };
        let (login, relay) = (caller.login, caller.relay.rtc.clone());
        let introduction = match claim.ticket.clone() {
            Some(ticket) => ToRtc::PeerResumed { peer, login, ticket, relay },
            None => ToRtc::PeerJoined { peer, login, relay },
        };
        caller.call = Call::Joined { peer, claim };
        self.owners.insert(peer, browser);
        self.outputs.push_back(Output::ToRtc(introduction));
        self.pass_offer_on(now, browser);
    }

    /// Sends rtc the offer that it has not answered, if there is one.
    fn pass_offer_on(&mut self, now: Instant, browser: BrowserId) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        let Call::Joined { peer, claim: Claim { offer: Some(offer), .. } } = &mut caller.call
        else {
            return;
        };
        let peer = *peer;
        let made = ToRtc::OfferMade { peer, sdp: offer.sdp.clone() };
        self.outputs.push_back(Output::ToRtc(made));
        let candidates = offer.candidates.iter().cloned();
        let found = candidates.map(|candidate| ToRtc::CandidateFound { peer, candidate });
        self.outputs.extend(found.map(Output::ToRtc));
        let newly = !std::mem::replace(&mut offer.told, true);
        if newly && caller.relay.rtc.is_some() {
            self.mint(now, browser, Purpose::Stream);
        }
    }

    /// Ends a call from the browser's side.
    pub(super) fn give_up_call(&mut self, browser: BrowserId) {
        if let Some(peer) = self.end_call(browser) {
            self.outputs.push_back(Output::ToRtc(ToRtc::PeerGone { peer }));
        }
    }

    /// Removes a call; returns its peer if rtc knows it.
    pub(super) fn end_call(&mut self, browser: BrowserId) -> Option<PeerId> {
        let caller = self.browsers.get_mut(&browser)?;
        match std::mem::replace(&mut caller.call, Call::None) {
            Call::Joined { peer, .. } => {
                self.owners.remove(&peer);
                Some(peer)
            }
            Call::None | Call::Waiting { .. } => None,
        }
    }

    /// Introduces every call to the rtc at the other end of the new link.
    pub(super) fn link_up(&mut self, now: Instant) {
        self.link_over(now);
        self.linked = true;
        // Rtc may be the same process, with peers that nobody signals for, and it may have missed
        // the end of a login.
        let ended = self.ended.iter().map(|login| ToRtc::LoginEnded { login: *login });
        self.outputs.extend(ended.map(Output::ToRtc));
        // Rtc drops a peer that nobody signals for to make room for a new one: so existing peers
        // come first.
        let waiting = self.browsers.iter().filter_map(|(id, browser)| match &browser.call {
            Call::Waiting { claim, .. } => Some((claim.ticket.is_some(), *id)),
            Call::None | Call::Joined { .. } => None,
        });
        let (known, new): (Vec<_>, Vec<_>) = waiting.partition(|(is_known, _)| *is_known);
        for (_, browser) in known.into_iter().chain(new) {
            self.introduce(now, browser);
        }
    }

    /// Makes every call wait for the next link.
    pub(super) fn link_over(&mut self, now: Instant) {
        self.linked = false;
        self.owners.clear();
        for caller in self.browsers.values_mut() {
            caller.call = match std::mem::replace(&mut caller.call, Call::None) {
                Call::Joined { claim, .. } => Call::Waiting { claim, until: now + OFFER_PATIENCE },
                other => other,
            };
        }
    }
}
