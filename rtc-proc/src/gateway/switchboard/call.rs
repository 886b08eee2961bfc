//! Browsers' calls: how an offer becomes a peer, and how both outlive a link.
//!
//! Rtc lives longer than the links to it, and so do its peers. So a call keeps what it takes to
//! introduce it over another link: the peer's ticket, and the offer that rtc has not answered. When a link
//! is over, for whatever reason, its calls wait for the next one and are introduced there. A peer that
//! rtc does not know any more it closes by itself, and only then the browser offers anew.

use std::time::Instant;

use lumen_ipc::{
    message::signalling::{CandidateLine, Reason, Sdp, ToRtc},
    text::Secret,
    units::PeerId,
};

use super::{
    super::signal::ToBrowser,
    {BrowserId, MOST_WAITING_CANDIDATES, OFFER_PATIENCE, Output, Purpose, Switchboard},
};

/// How far a browser's call has got.
#[derive(Debug)]
pub(super) enum Call {
    /// It has made no offer, or its peer has ended.
    None,
    /// It waits for a link to rtc.
    Waiting { claim: Claim, until: Instant },
    /// Rtc has been told of it.
    Joined { peer: PeerId, claim: Claim },
}

/// What introduces a call to rtc. At least one of the two is there.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// With what rtc finds the peer; none before its first answer.
    ticket: Option<Secret>,
    /// What has not been answered.
    offer: Option<Offer>,
}

/// An offer and the candidates that followed it.
#[derive(Debug)]
struct Offer {
    sdp: Sdp,
    candidates: Vec<CandidateLine>,
    /// Rtc has been told of it once: it has used the browser's relay credentials.
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
    /// Makes a call of an offer; it takes the place of the call there was.
    pub(super) fn offered(&mut self, now: Instant, browser: BrowserId, sdp: Sdp) {
        self.give_up_call(browser);
        let mut claim = Claim::default();
        claim.offer(sdp);
        self.claim(now, browser, claim);
    }

    /// Signals for the browser's peer under a new number; rtc closes that if there is no such peer.
    pub(super) fn resumed(&mut self, now: Instant, browser: BrowserId, ticket: Secret) {
        self.give_up_call(browser);
        self.claim(now, browser, Claim::of_ticket(ticket));
    }

    fn claim(&mut self, now: Instant, browser: BrowserId, claim: Claim) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        caller.call = Call::Waiting { claim, until: now + OFFER_PATIENCE };
        if self.linked {
            self.introduce(browser);
        }
    }

    /// Passes the offer of a peer that rtc knows on; a peer it does not know cannot be mended.
    pub(super) fn restarted(&mut self, browser: BrowserId, sdp: Sdp) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        match &mut caller.call {
            Call::None => {
                let reason = Reason::truncated("The desktop has forgotten this connection.");
                self.tell_closed(browser, reason, true);
            }
            Call::Waiting { claim, .. } => claim.offer(sdp),
            Call::Joined { claim, .. } => {
                claim.offer(sdp);
                self.pass_offer_on(browser);
            }
        }
    }

    pub(super) fn found_candidate(&mut self, browser: BrowserId, candidate: CandidateLine) {
        let Some(caller) = self.browsers.get_mut(&browser) else { return };
        match &mut caller.call {
            // Of a peer that has ended.
            Call::None => {}
            Call::Waiting { claim, .. } => claim.keep(&candidate),
            Call::Joined { peer, claim } => {
                claim.keep(&candidate);
                let found = ToRtc::CandidateFound { peer: *peer, candidate };
                self.outputs.push_back(Output::ToRtc(found));
            }
        }
    }

    /// Rtc has answered. A peer that is not known was given up while its answer was under way.
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

    /// Tells rtc of a call that waits, under a number of its own.
    fn introduce(&mut self, browser: BrowserId) {
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
        self.pass_offer_on(browser);
    }

    /// Tells rtc the offer that it has not answered, if there is one.
    fn pass_offer_on(&mut self, browser: BrowserId) {
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
            self.mint(browser, Purpose::Stream);
        }
    }

    /// Ends a call from the browser's side.
    pub(super) fn give_up_call(&mut self, browser: BrowserId) {
        if let Some(peer) = self.end_call(browser) {
            self.outputs.push_back(Output::ToRtc(ToRtc::PeerGone { peer }));
        }
    }

    /// Forgets a call; returns its peer if rtc knows one.
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

    /// Introduces every call to whoever is at the other end of the new link.
    pub(super) fn link_up(&mut self, now: Instant) {
        self.link_over(now);
        self.linked = true;
        // Rtc may be the same process, with peers that nobody signals for, and may not have been told
        // or not have listened.
        let ended = self.ended.iter().map(|login| ToRtc::LoginEnded { login: *login });
        self.outputs.extend(ended.map(Output::ToRtc));
        // A peer that nobody signals for gives way to newcomers: those there are come first.
        let waiting = self.browsers.iter().filter_map(|(id, browser)| match &browser.call {
            Call::Waiting { claim, .. } => Some((claim.ticket.is_some(), *id)),
            Call::None | Call::Joined { .. } => None,
        });
        let (known, new): (Vec<_>, Vec<_>) = waiting.partition(|(is_known, _)| *is_known);
        for (_, browser) in known.into_iter().chain(new) {
            self.introduce(browser);
        }
    }

    /// Has every call wait for the next link.
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
