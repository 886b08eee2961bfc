//! Requests: who sent them, and whether they are granted.
//!
//! Follows RFC 8489, section 9.2.4 and RFC 8656, sections 7 to 12, without what no client here
//! needs: TCP allocations, mobility, reservations and dual allocation.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::BytesMut;

use super::{
    Core, Drop, MAX_STRANGER_FACTOR, Outcome,
    allocation::{AllocateError, BindError, Wish},
};
use crate::{
    address::{Family, Foreign},
    auth::{
        credential::{Grantee, MessageKey, Party, Username},
        nonce::NonceState,
    },
    moment::{Flow, Moment},
    wire::{CHANNELS, EvenPort, MessageMethod, MethodType, Refusal, StunFrame},
};

/// Lifetime of an allocation when the client names none, and the shortest one (RFC 8656, section
/// 7.2).
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// The longest lifetime (RFC 8656, section 7.2 recommends an hour).
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// UDP in REQUESTED-TRANSPORT, by its IANA protocol number.
const UDP: u8 = 17;

/// IPv4 and IPv6 in REQUESTED-ADDRESS-FAMILY (RFC 8656, section 18.6).
const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;

/// An authenticated request.
struct Signed<'a, 'f> {
    frame: &'f StunFrame<'a>,
    from: Flow,
    now: Moment,
    text: &'a str,
    /// `None` when its flow has an allocation, which holds the username.
    username: Option<Username>,
    key: MessageKey,
}

impl Core {
    /// Handles a STUN message.
    pub(super) fn message(
        &mut self,
        now: Moment,
        from: Flow,
        frame: &StunFrame<'_>,
        out: &mut BytesMut,
    ) -> Outcome {
        match frame.method() {
            MessageMethod::SendIndication => self.send_indication(now.at, from, frame, out),
            MessageMethod::Binding(MethodType::Request) => self.binding(now, from, frame, out),
            MessageMethod::Allocate(MethodType::Request)
            | MessageMethod::Refresh(MethodType::Request)
            | MessageMethod::CreatePermission(MethodType::Request)
            | MessageMethod::ChannelBind(MethodType::Request) => {
                self.request(now, from, frame, out)
            }
            // Responses and Data indications come from servers. Answering them could loop for ever.
            _ => Outcome::Dropped(Drop::Malformed),
        }
    }

    fn binding(
        &mut self,
        now: Moment,
        from: Flow,
        frame: &StunFrame<'_>,
        out: &mut BytesMut,
    ) -> Outcome {
        if frame.has_unknown() {
            return Outcome::Dropped(Drop::Malformed);
        }
        if !self.gate.admits_binding(&from, now.at) {
            return Outcome::Dropped(Drop::Limited);
        }
        self.figures.bindings.increment();
        frame.accept(None, out, |answer| answer.mapped(from.reflexive()));
        Outcome::Reply
    }

    fn request(
        &mut self,
        now: Moment,
        from: Flow,
        frame: &StunFrame<'_>,
        out: &mut BytesMut,
    ) -> Outcome {
        let signed = match self.authenticate(now, from, frame) {
            Ok(signed) => signed,
            Err(Unknown::Limited) => return Outcome::Dropped(Drop::Limited),
            Err(Unknown::Refused(code)) => return self.turn_away(now, from, frame, code, out),
        };
        if frame.has_unknown() {
            self.figures.refused.increment();
            frame.refuse_unknown(out);
            return Outcome::Reply;
        }
        let result = match frame.method() {
            MessageMethod::Allocate(_) => self.allocate(&signed, out),
            MessageMethod::Refresh(_) => self.refresh(&signed, out),
            MessageMethod::CreatePermission(_) => self.create_permission(&signed, out),
            _ => self.channel_bind(&signed, out),
        };
        if let Err(code) = result {
            self.figures.refused.increment();
            frame.refuse(code, Some(&signed.key), out);
        }
        Outcome::Reply
    }

    /// Sends a stranger an error response, if its rate allows any answer.
    fn turn_away(
        &mut self,
        now: Moment,
        from: Flow,
        frame: &StunFrame<'_>,
        code: Refusal,
        out: &mut BytesMut,
    ) -> Outcome {
        if !self.gate.admits_challenge(&from, now.at) {
            return Outcome::Dropped(Drop::Limited);
        }
        if matches!(code, Refusal::Unauthorized | Refusal::StaleNonce) {
            let nonce = self.nonces.issue(&from, now.at);
            frame.challenge(code, &self.realm, &nonce, out);
        } else {
            frame.refuse(code, None, out);
        }
        // A real request names a transport or is signed, and so is long enough.
        if !from.is_stream() && out.len() > frame.length() * MAX_STRANGER_FACTOR {
            return Outcome::Dropped(Drop::Limited);
        }
        self.figures.challenged.increment();
        Outcome::Reply
    }

    /// Authenticates the request. Cheap checks come first: only senders with a valid nonce cost a
    /// hash.
    fn authenticate<'a, 'f>(
        &mut self,
        now: Moment,
        from: Flow,
        frame: &'f StunFrame<'a>,
    ) -> Result<Signed<'a, 'f>, Unknown> {
        if !frame.is_signed() {
            return Err(Unknown::Refused(Refusal::Unauthorized));
        }
        let (Some(text), Some(realm), Some(nonce)) =
            (frame.username(), frame.realm(), frame.nonce())
        else {
            return Err(Unknown::Refused(Refusal::BadRequest));
        };
        if self.nonces.judge(nonce, &from, now.at) == NonceState::Stale {
            return Err(Unknown::Refused(Refusal::StaleNonce));
        }
        if realm != self.realm {
            return Err(Unknown::Refused(Refusal::Unauthorized));
        }
        let known = match self.allocations.of_flow_mut(&from, now.at) {
            Some(allocation) => {
                if !allocation.admits_request(now.at) {
                    return Err(Unknown::Limited);
                }
                Some((allocation.grantee, allocation.key_of(text)))
            }
            None => None,
        };
        let (username, key) = match known {
            Some((_, Some(key))) => (None, key),
            Some((grantee, None)) => {
                let username = successor(grantee, text, now, frame)
                    .ok_or(Unknown::Refused(Refusal::WrongCredentials))?;
                (Some(username), self.secret.message_key(text, &self.realm))
            }
            None => {
                if !self.gate.admits_attempt(&from, now.at) {
                    return Err(Unknown::Limited);
                }
                let username = Username::accept(text, now.unix)
                    .map_err(|_| Unknown::Refused(Refusal::Unauthorized))?;
                (Some(username), self.secret.message_key(text, &self.realm))
            }
        };
        if !frame.is_written_by(&key) {
            return Err(Unknown::Refused(Refusal::Unauthorized));
        }
        Ok(Signed { frame, from, now, text, username, key })
    }

    fn allocate(&mut self, request: &Signed<'_, '_>, out: &mut BytesMut) -> Result<(), Refusal> {
        let Some(username) = request.username else {
            return self.repeat_allocation(request, out);
        };
        let frame = request.frame;
        match frame.transport() {
            None => return Err(Refusal::BadRequest),
            Some(UDP) => {}
            Some(_) => return Err(Refusal::UnsupportedTransportAddress),
        }
        let family = match frame.family() {
            None => self.own.default_family(),
            Some(FAMILY_V4) => Family::V4,
            Some(FAMILY_V6) => Family::V6,
            Some(_) => return Err(Refusal::AddressFamilyNotSupported),
        };
        let own = self.own.of_family(family).ok_or(Refusal::AddressFamilyNotSupported)?;
        // Ports are not reserved for later requests.
        if frame.even_port() == Some(EvenPort::WithNext) {
            return Err(Refusal::InsufficientCapacity);
        }
        let wish = Wish {
            flow: request.from,
            username,
            text: request.text,
            key: request.key,
            own,
            even_port: frame.even_port().is_some(),
            lifetime: frame.lifetime().unwrap_or_default().clamp(DEFAULT_LIFETIME, MAX_LIFETIME),
            transaction: frame.transaction(),
        };
        match self.allocations.allocate(&wish, request.now) {
            Ok(_) => self.repeat_allocation(request, out),
            Err(AllocateError::Quota) => Err(Refusal::AllocationQuotaReached),
            Err(AllocateError::Full) => Err(Refusal::InsufficientCapacity),
        }
    }

    /// Tells a client its allocation: the first time, and again if the response was lost.
    fn repeat_allocation(
        &self,
        request: &Signed<'_, '_>,
        out: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let now = request.now.at;
        let allocation = self
            .allocations
            .of_flow(&request.from, now)
            .filter(|allocation| allocation.transaction == request.frame.transaction())
            .ok_or(Refusal::AllocationMismatch)?;
        request.frame.accept(Some(&request.key), out, |answer| {
            answer.relayed(allocation.relayed);
            answer.mapped(request.from.reflexive());
            answer.lifetime(allocation.remaining(now));
        });
        Ok(())
    }

    fn refresh(&mut self, request: &Signed<'_, '_>, out: &mut BytesMut) -> Result<(), Refusal> {
        let Signed { frame, from, now, .. } = *request;
        let allocation =
            self.allocations.of_flow_mut(&from, now.at).ok_or(Refusal::AllocationMismatch)?;
        let fits = match frame.family() {
            None => true,
            Some(FAMILY_V4) => allocation.family == Family::V4,
            Some(FAMILY_V6) => allocation.family == Family::V6,
            Some(_) => false,
        };
        if !fits {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let wanted = frame.lifetime().unwrap_or(DEFAULT_LIFETIME);
        let granted = if wanted.is_zero() {
            self.allocations.release_flow(&from);
            Duration::ZERO
        } else {
            allocation.refresh(wanted.clamp(DEFAULT_LIFETIME, MAX_LIFETIME), now)
        };
        frame.accept(Some(&request.key), out, |answer| answer.lifetime(granted));
        Ok(())
    }

    fn create_permission(
        &mut self,
        request: &Signed<'_, '_>,
        out: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let Signed { frame, from, now, .. } = *request;
        let family = self.family_of(&from, now)?;
        let mut peers = 0;
        // All peers are checked first: a request is granted as a whole or not at all.
        for peer in frame.peers() {
            self.judge_peer(peer, family)?;
            peers += 1;
        }
        if peers == 0 {
            return Err(Refusal::BadRequest);
        }
        let allocation =
            self.allocations.of_flow_mut(&from, now.at).ok_or(Refusal::AllocationMismatch)?;
        allocation.permit(now.at);
        frame.accept(Some(&request.key), out, |_| {});
        Ok(())
    }

    fn channel_bind(
        &mut self,
        request: &Signed<'_, '_>,
        out: &mut BytesMut,
    ) -> Result<(), Refusal> {
        let Signed { frame, from, now, .. } = *request;
        let family = self.family_of(&from, now)?;
        let (Some(number), Some(peer)) = (frame.channel(), frame.peer()) else {
            return Err(Refusal::BadRequest);
        };
        if !CHANNELS.contains(&number) {
            return Err(Refusal::BadRequest);
        }
        self.judge_peer(peer, family)?;
        let allocation =
            self.allocations.of_flow_mut(&from, now.at).ok_or(Refusal::AllocationMismatch)?;
        allocation.bind(number, peer.port(), now.at).map_err(|error| match error {
            BindError::Taken => Refusal::BadRequest,
            BindError::Full => Refusal::InsufficientCapacity,
        })?;
        frame.accept(Some(&request.key), out, |_| {});
        Ok(())
    }

    fn family_of(&self, from: &Flow, now: Moment) -> Result<Family, Refusal> {
        let allocation = self.allocations.of_flow(from, now.at);
        allocation.map(|it| it.family).ok_or(Refusal::AllocationMismatch)
    }

    /// Checks the allow-list and returns an error code.
    fn judge_peer(&self, peer: SocketAddr, family: Family) -> Result<(), Refusal> {
        match self.admit(peer.ip()) {
            Ok(admitted) if admitted == family => Ok(()),
            Ok(_) => Err(Refusal::PeerAddressFamilyMismatch),
            Err(foreign) => {
                self.figures.foreign.increment();
                note_foreign(foreign, peer.ip());
                Err(Refusal::Forbidden)
            }
        }
    }
}

/// A restarted rtc uses the socket of its predecessor, whose allocation is in the way and which no
/// other client can end.
fn successor(
    predecessor: Grantee,
    text: &str,
    now: Moment,
    frame: &StunFrame<'_>,
) -> Option<Username> {
    let username = Username::accept(text, now.unix).ok()?;
    let same_rtc = (username.grantee.party, username.grantee.session)
        == (Party::Rtc, predecessor.session)
        && predecessor.party == Party::Rtc;
    let allocates = frame.method() == MessageMethod::Allocate(MethodType::Request);
    (same_rtc && allocates).then_some(username)
}

/// Why a request was not authenticated.
enum Unknown {
    /// Its rate was used up before it was checked.
    Limited,
    /// Refused with this code.
    Refused(Refusal),
}

/// A browser asks for permissions for all host candidates of its peers, so this is no alarm.
fn note_foreign(foreign: Foreign, peer: IpAddr) {
    let Foreign { form, reach } = foreign;
    let v6 = peer.is_ipv6();
    tracing::debug!(%form, %reach, v6, "refused a peer address that is not the relay's own");
}
