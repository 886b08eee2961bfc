//! Requests: who asks, and whether it is granted.
//!
//! Follows RFC 8489, section 9.2.4 and RFC 8656, sections 7 to 12, less what nobody here needs:
//! no TCP allocations, no mobility, no reservations, no dual allocation.

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

/// Life of an allocation whose client names none, and the shortest (RFC 8656, section 7.2).
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// The longest (RFC 8656, section 7.2 advises an hour).
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// UDP in REQUESTED-TRANSPORT: the protocol number of IANA.
const UDP: u8 = 17;

/// IPv4 and IPv6 in REQUESTED-ADDRESS-FAMILY (RFC 8656, section 18.6).
const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;

/// A request whose author is known.
struct Signed<'a, 'f> {
    frame: &'f StunFrame<'a>,
    from: Flow,
    now: Moment,
    text: &'a str,
    /// None when its flow has an allocation, which remembers.
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
            // Answers and Data indications come from servers. Answering them could go on for ever.
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

    /// Refuses something to a stranger, if its rate allows to answer at all.
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
        // A real request names a transport, or is signed, and is long enough.
        if !from.is_stream() && out.len() > frame.length() * MAX_STRANGER_FACTOR {
            return Outcome::Dropped(Drop::Limited);
        }
        self.figures.challenged.increment();
        Outcome::Reply
    }

    /// Finds out who asks. Cheap checks first: hashing is for those who hold a nonce of ours.
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
        // Ports are kept for nobody who has not come for them.
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

    /// Tells a client what it has been given: the first time, and when it has missed that.
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
        // All of them first: a request is granted whole or not at all.
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

    /// The allow-list, as an error code.
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

/// An rtc that begins anew: its socket is the one its predecessor had, whose allocation is in the
/// way and which nobody else can end.
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

/// Why it is not known who asks.
enum Unknown {
    /// Not even looked at.
    Limited,
    /// With this code.
    Refused(Refusal),
}

/// A browser asks for its peers' host candidates as a matter of course, so this is no alarm.
fn note_foreign(foreign: Foreign, peer: IpAddr) {
    let Foreign { form, reach } = foreign;
    let v6 = peer.is_ipv6();
    tracing::debug!(%form, %reach, v6, "a peer address that is not the relay's own is refused");
}
