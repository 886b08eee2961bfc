//! Handles the gateway's messages, and finds the peer that each is about.
//!
//! A peer outlives its signalling while it is healthy and its login lasts. It is resumed, through
//! any gateway, with its ticket and the same login. Until then the gateway receives no messages
//! about it, and it gives way when the desktop has as many viewers as allowed.

use std::time::{Duration, Instant};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    login::Login,
    message::signalling::{ToGateway, ToRtc},
    text::{Secret, Text},
    units::PeerId,
};

use super::{CONNECT_PATIENCE, Entry, MAX_PEERS, Output, Peers, leases::WATCH};
use crate::{
    demand::KeyframeAllowance,
    peer::{Input, Peer, encode::Heard},
    relay::Relay,
};

/// A peer lives this much longer than its login: the gateway, which has the login resumed earlier,
/// learns of its end first and tells the page.
const EXPIRY_GRACE: Duration = Duration::from_secs(10);
/// Random bytes in a ticket.
const TICKET_BYTES: usize = 32;

impl Peers {
    /// A new gateway signals from now on. The browsers of its predecessor stay while they respond.
    pub fn signalling_replaced(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.peers.retain(|_, entry| entry.peer.is_some());
    }

    /// Handles a message from the gateway.
    ///
    /// # Errors
    /// [`ProtocolViolation`] when it contradicts an earlier one.
    pub fn signalling(&mut self, now: Instant, message: ToRtc) -> Result<(), ProtocolViolation> {
        match message {
            ToRtc::PeerJoined { peer, login, relay } => {
                self.join(now, peer, &login)?;
                self.renew_relay(now, relay);
            }
            ToRtc::PeerResumed { peer, login, ticket, relay } => {
                self.resume(now, peer, &login, &ticket)?;
                self.renew_relay(now, relay);
            }
            ToRtc::OfferMade { peer, sdp } => self.offer(now, peer, sdp.as_str()),
            ToRtc::CandidateFound { peer, candidate } => {
                if let Some(number) = self.number_of(peer) {
                    self.feed(now, number, Input::Candidate(candidate.as_str()));
                }
            }
            ToRtc::RelayRenewed { peer, relay } => {
                if self.number_of(peer).is_some() {
                    self.renew_relay(now, Some(relay));
                }
            }
            ToRtc::PeerGone { peer } => {
                if let Some(number) = self.number_of(peer) {
                    self.forget_gateway_number(number);
                    self.close(now, number);
                }
            }
            ToRtc::SignallingLost { peer } => self.signalling_lost(peer),
            ToRtc::LoginRenewed { peer, login } => {
                if let Some(number) = self.number_of(peer) {
                    self.admit(now, number, &login);
                }
            }
            ToRtc::LoginEnded { login } => {
                self.close_those(now, "The login has ended.", |entry| entry.login == login);
            }
        }
        self.refresh_demand(now);
        Ok(())
    }

    fn join(&mut self, now: Instant, name: PeerId, login: &Login) -> Result<(), ProtocolViolation> {
        self.check_unused(name)?;
        if self.peers.len() >= MAX_PEERS && !self.displace(now) {
            let reason =
                format!("This desktop already has {MAX_PEERS} viewers, the most it allows.");
            self.tell_closed(self.generation, name, &reason, true);
            return Ok(());
        }
        let ticket = match ticket() {
            Ok(ticket) => ticket,
            Err(error) => {
                let reason = format!("The desktop cannot draw random numbers: {error}.");
                self.tell_closed(self.generation, name, &reason, true);
                return Ok(());
            }
        };
        self.numbered += 1;
        let number = PeerId(self.numbered);
        let entry = Entry {
            generation: self.generation,
            gateway_number: name,
            ticket,
            login: login.id,
            lease: None,
            rights: WATCH,
            wants_clipboard: false,
            expires: None,
            peer: None,
            connect_by: Some(now + CONNECT_PATIENCE),
            has_acted: false,
            told_heard: Heard::default(),
            is_hidden: false,
            keyframes: KeyframeAllowance::default(),
        };
        self.peers.insert(number, entry);
        self.admit(now, number, login);
        Ok(())
    }

    /// Gives a peer the number under which its browser signals from now on. The comparison of
    /// tickets need not take constant time, because only the owner of the login gets this far.
    fn resume(
        &mut self,
        now: Instant,
        name: PeerId,
        login: &Login,
        ticket: &Secret,
    ) -> Result<(), ProtocolViolation> {
        self.check_unused(name)?;
        let is = |entry: &Entry| {
            entry.login == login.id && entry.ticket == *ticket && entry.peer.is_some()
        };
        let found = self.peers.iter_mut().find(|(_, entry)| is(entry));
        let Some((number, entry)) = found else {
            let reason = "The desktop has forgotten this connection.";
            self.tell_closed(self.generation, name, reason, true);
            return Ok(());
        };
        let number = *number;
        let before = (entry.generation, entry.gateway_number);
        (entry.generation, entry.gateway_number) = (self.generation, name);
        // Its gateway has not noticed yet that the previous signalling connection is dead.
        self.tell_closed(before.0, before.1, "The page signals by another connection.", true);
        self.admit(now, number, login);
        Ok(())
    }

    fn check_unused(&self, name: PeerId) -> Result<(), ProtocolViolation> {
        if self.number_of(name).is_none() {
            return Ok(());
        }
        let what = Violation::Illegal("a peer joined twice");
        Err(ProtocolViolation { link: LinkName::Signalling, what })
    }

    /// Gives a peer the lifetime of `login`. Its rights are its lease's.
    fn admit(&mut self, now: Instant, number: PeerId, login: &Login) {
        let Some(entry) = self.peers.get_mut(&number) else { return };
        let life = login.expires_in_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        entry.expires = life.and_then(|life| now.checked_add(life + EXPIRY_GRACE));
    }

    /// A peer continues without signalling; one that is not connected yet never will be.
    fn signalling_lost(&mut self, name: PeerId) {
        let Some(number) = self.number_of(name) else { return };
        self.forget_gateway_number(number);
        if self.peers.get(&number).is_some_and(|entry| entry.peer.is_none()) {
            self.peers.remove(&number);
        }
    }

    /// Closes the oldest peer without signalling; `false` when there is none.
    fn displace(&mut self, now: Instant) -> bool {
        let silent = |entry: &Entry| entry.generation != self.generation;
        let longest = self.peers.iter().find(|(_, entry)| silent(entry));
        let Some(number) = longest.map(|(number, _)| *number) else { return false };
        self.close(now, number);
        true
    }

    fn offer(&mut self, now: Instant, name: PeerId, sdp: &str) {
        let Some(number) = self.number_of(name) else { return };
        let relayed = self.relay.as_ref().and_then(Relay::relayed);
        let Some(entry) = self.peers.get_mut(&number) else { return };
        let outcome = match &mut entry.peer {
            Some(peer) => peer.restart(now, sdp, relayed),
            None => {
                Peer::accept(now, &self.setup, entry.rights, sdp, relayed).map(|(peer, answer)| {
                    entry.peer = Some(peer);
                    answer
                })
            }
        };
        match outcome {
            Ok(answer) => {
                let (sdp, ticket) = (Text::truncated(answer), entry.ticket.clone());
                let made = ToGateway::AnswerMade { peer: name, sdp, ticket };
                self.outputs.push_back(Output::ToGateway(made));
                self.collect(now, number);
            }
            Err(error) if entry.peer.is_some() => {
                let reason = format!("The connection could not be restored: {error}.");
                self.tell_closed(self.generation, name, &reason, true);
                self.forget_gateway_number(number);
                self.close(now, number);
            }
            Err(error) => {
                self.peers.remove(&number);
                let reason = format!("This browser's {error}.").replace("the offer", "offer");
                self.tell_closed(self.generation, name, &reason, false);
            }
        }
    }

    pub(super) fn number_of(&self, name: PeerId) -> Option<PeerId> {
        let is =
            |entry: &Entry| (entry.generation, entry.gateway_number) == (self.generation, name);
        self.peers.iter().find(|(_, entry)| is(entry)).map(|(number, _)| *number)
    }

    /// Prevents a message about a peer's end to the gateway, which already knows.
    pub(super) fn forget_gateway_number(&mut self, number: PeerId) {
        if let Some(entry) = self.peers.get_mut(&number) {
            entry.generation = self.generation.wrapping_sub(1);
        }
    }
}

/// A value that cannot be guessed.
fn ticket() -> Result<Secret, getrandom::Error> {
    let mut bytes = [0; TICKET_BYTES];
    getrandom::fill(&mut bytes)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Secret::new(digits).expect("64 digits fit 256 bytes"))
}
