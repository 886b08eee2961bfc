//! Converts bytes to messages and back; the only user of the `turn-server` library's codec.
//!
//! Decides what counts as a message. The codec trusts lengths and asserts or indexes its way
//! through them, so every message is checked first ([`parse`]): it must be whole, have a magic
//! cookie, contain each attribute completely and with the size of its type, have nothing but a
//! fingerprint after the integrity, and a correct fingerprint. Accepted messages cannot make the
//! codec panic; a fuzz target checks that.
//!
//! Trusts no input.

use bytes::{BufMut, BytesMut};
use turn_server::codec::{
    DecodeResult, Decoder,
    crypto::fingerprint,
    message::{
        Message, MessageEncoder,
        attributes::{
            AttributeType, ChannelNumber, Data, ErrorCode, Lifetime, Nonce, Realm, UserName,
            XorMappedAddress, XorPeerAddress, XorRelayedAddress, error::ErrorType,
        },
        methods::{DATA_INDICATION, Method},
    },
};

use std::{net::SocketAddr, time::Duration};

use crate::auth::credential::MessageKey;

pub use turn_server::codec::message::{
    attributes::error::ErrorType as Refusal,
    methods::{Method as MessageMethod, MethodType},
};

/// Longest message in bytes: generous for an Ethernet frame of media with all headers.
pub const MAX_MESSAGE_BYTES: usize = 2048;

/// Bytes of a STUN header (RFC 8489, section 5).
pub const HEADER_BYTES: usize = 20;

/// Bytes of a ChannelData header (RFC 8656, section 12.4).
pub const CHANNEL_HEADER_BYTES: usize = 4;

/// RFC 8489, section 5.
const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();

/// More attributes than any client sends; bounds the work per message.
const MAX_ATTRIBUTES: usize = 24;

/// First attribute number that a receiver may ignore (RFC 8489, section 14).
const FIRST_OPTIONAL: u16 = 0x8000;

/// Unknown attributes that an error response lists; more would not help.
const MAX_UNKNOWN: usize = 4;

/// UNKNOWN-ATTRIBUTES (RFC 8489, section 14.13), which the codec does not know.
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;

/// Channel numbers that a client may bind: 0x4000 to 0x4FFF in RFC 8656, up to 0x7FFE in its
/// predecessor, which some clients still follow.
pub const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7FFE;

/// The bytes are not a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a STUN or ChannelData message: {0}")]
pub struct Malformed(pub &'static str);

/// A checked message.
pub enum Frame<'a> {
    /// Data on a channel.
    Channel(ChannelFrame<'a>),
    /// A STUN message.
    Stun(StunFrame<'a>),
}

/// Data on a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChannelFrame<'a> {
    /// The channel number, one of [`CHANNELS`].
    pub number: u16,
    /// The data to relay.
    pub data: &'a [u8],
}

/// A STUN message.
pub struct StunFrame<'a> {
    message: Message<'a>,
    bytes: &'a [u8],
    checks: Checks,
}

/// The findings of checking a STUN message.
#[derive(Clone, Copy, Debug, Default)]
struct Checks {
    /// Where MESSAGE-INTEGRITY begins.
    integrity_at: Option<usize>,
    unknown: Unknown,
}

/// The request in EVEN-PORT (RFC 8656, section 18.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EvenPort {
    /// An even port.
    Alone,
    /// An even port, with the next one reserved.
    WithNext,
}

/// Attributes that must be understood but are not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Unknown {
    kinds: [u16; MAX_UNKNOWN],
    count: usize,
}

/// Checks `bytes`, which must be one whole message.
///
/// # Errors
/// [`Malformed`] gives the reason.
pub fn parse<'a>(bytes: &'a [u8], decoder: &'a mut Decoder) -> Result<Frame<'a>, Malformed> {
    match bytes.first() {
        Some(0x00..=0x3f) => {
            let checks = check_stun(bytes)?;
            let Ok(DecodeResult::Message(message)) = decoder.decode(bytes) else {
                return Err(Malformed("a method other than TURN's"));
            };
            Ok(Frame::Stun(StunFrame { message, bytes, checks }))
        }
        Some(0x40..=0x7f) => parse_channel(bytes).map(Frame::Channel),
        _ => Err(Malformed("a first byte of another protocol")),
    }
}

fn parse_channel(bytes: &[u8]) -> Result<ChannelFrame<'_>, Malformed> {
    let Some((header, rest)) = bytes.split_first_chunk::<CHANNEL_HEADER_BYTES>() else {
        return Err(Malformed("a truncated channel header"));
    };
    let [n0, n1, l0, l1] = *header;
    let number = u16::from_be_bytes([n0, n1]);
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    // The rest is padding, which UDP senders may add, too (RFC 8656, section 12.5).
    let data = rest.get(..length).ok_or(Malformed("truncated channel data"))?;
    if rest.len() - length > 3 {
        return Err(Malformed("bytes after channel data"));
    }
    if !CHANNELS.contains(&number) {
        return Err(Malformed("an illegal channel number"));
    }
    Ok(ChannelFrame { number, data })
}

fn check_stun(bytes: &[u8]) -> Result<Checks, Malformed> {
    let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Malformed("a truncated header"));
    };
    let [_, _, l0, l1, c0, c1, c2, c3, ..] = *header;
    if [c0, c1, c2, c3] != MAGIC_COOKIE {
        return Err(Malformed("no magic cookie"));
    }
    if usize::from(u16::from_be_bytes([l0, l1])) != rest.len() || rest.len() % 4 != 0 {
        return Err(Malformed("a length other than the message's"));
    }
    let mut checks = Checks::default();
    let mut fingerprint_seen = false;
    let mut attributes = 0;
    while let Some((kind, value, after)) = split_attribute(rest)? {
        let at = bytes.len() - rest.len();
        attributes += 1;
        if attributes > MAX_ATTRIBUTES {
            return Err(Malformed("too many attributes"));
        }
        let last = kind == AttributeType::Fingerprint as u16;
        if fingerprint_seen || (checks.integrity_at.is_some() && !last) {
            return Err(Malformed("an attribute after the last one"));
        }
        fingerprint_seen = last;
        match AttributeType::try_from(kind) {
            Ok(AttributeType::Fingerprint) => check_fingerprint(bytes, at, value)?,
            Ok(AttributeType::MessageIntegrity) if value.len() == 20 => {
                checks.integrity_at = Some(at);
            }
            Ok(known) if is_understood(known) => check_size(known, value.len())?,
            _ if kind >= FIRST_OPTIONAL => {}
            _ => checks.unknown.add(kind),
        }
        rest = after;
    }
    Ok(checks)
}

/// An attribute's type, its value, and the bytes after its padding.
type Split<'a> = (u16, &'a [u8], &'a [u8]);

/// Splits off the first attribute.
fn split_attribute(bytes: &[u8]) -> Result<Option<Split<'_>>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let cut = Malformed("a truncated attribute");
    let (&[k0, k1, l0, l1], body) = bytes.split_first_chunk::<4>().ok_or(cut)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let value = body.get(..length).ok_or(cut)?;
    let after = body.get(length.next_multiple_of(4)..).ok_or(cut)?;
    Ok(Some((u16::from_be_bytes([k0, k1]), value, after)))
}

/// The attributes that the relay acts on. Mobility, reservations and access tokens are left out on
/// purpose: no client here needs them, and relays have been broken through each of them.
const fn is_understood(kind: AttributeType) -> bool {
    matches!(
        kind,
        AttributeType::UserName
            | AttributeType::ChannelNumber
            | AttributeType::Lifetime
            | AttributeType::XorPeerAddress
            | AttributeType::Data
            | AttributeType::EvenPort
            | AttributeType::Realm
            | AttributeType::Nonce
            | AttributeType::RequestedAddressFamily
            | AttributeType::RequestedTransport
    )
}

fn check_size(kind: AttributeType, length: usize) -> Result<(), Malformed> {
    let right = match kind {
        AttributeType::ChannelNumber
        | AttributeType::Lifetime
        | AttributeType::RequestedAddressFamily
        | AttributeType::RequestedTransport => length == 4,
        AttributeType::EvenPort => length == 1,
        AttributeType::XorPeerAddress => length == 8 || length == 20,
        AttributeType::UserName => length <= 508,
        AttributeType::Realm | AttributeType::Nonce => length <= 763,
        _ => true,
    };
    if right { Ok(()) } else { Err(Malformed("an attribute of the wrong size")) }
}

/// RFC 8489, section 14.7: the CRC is over everything before the attribute.
fn check_fingerprint(bytes: &[u8], at: usize, value: &[u8]) -> Result<(), Malformed> {
    let covered = bytes.get(..at).unwrap_or_default();
    if fingerprint(covered).to_be_bytes() == value {
        Ok(())
    } else {
        Err(Malformed("a wrong fingerprint"))
    }
}

impl Unknown {
    fn add(&mut self, kind: u16) {
        if let Some(free) = self.kinds.get_mut(self.count) {
            *free = kind;
            self.count += 1;
        }
    }

    fn as_slice(&self) -> &[u16] {
        self.kinds.get(..self.count).unwrap_or_default()
    }
}

impl<'a> StunFrame<'a> {
    /// The method of the message.
    #[must_use]
    pub fn method(&self) -> Method {
        self.message.method()
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The transaction, which distinguishes a retransmission from a new request.
    #[must_use]
    pub fn transaction(&self) -> [u8; 12] {
        self.message.transaction_id().try_into().unwrap_or_default()
    }

    /// Whether it carries MESSAGE-INTEGRITY.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        self.checks.integrity_at.is_some()
    }

    /// Whether it must be refused because it contains an unknown mandatory attribute.
    #[must_use]
    pub const fn has_unknown(&self) -> bool {
        self.checks.unknown.count > 0
    }

    /// USERNAME.
    #[must_use]
    pub fn username(&self) -> Option<&'a str> {
        self.message.get::<UserName>()
    }

    /// REALM.
    #[must_use]
    pub fn realm(&self) -> Option<&'a str> {
        self.message.get::<Realm>()
    }

    /// NONCE.
    #[must_use]
    pub fn nonce(&self) -> Option<&'a str> {
        self.message.get::<Nonce>()
    }

    /// LIFETIME.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.message.get::<Lifetime>().map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// CHANNEL-NUMBER.
    #[must_use]
    pub fn channel(&self) -> Option<u16> {
        self.message.get::<ChannelNumber>()
    }

    /// The first XOR-PEER-ADDRESS.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.message.get::<XorPeerAddress>()
    }

    /// Every XOR-PEER-ADDRESS.
    pub fn peers(&self) -> impl Iterator<Item = SocketAddr> {
        self.message.get_all::<XorPeerAddress>()
    }

    /// DATA.
    #[must_use]
    pub fn data(&self) -> Option<&'a [u8]> {
        self.message.get::<Data>()
    }

    /// The protocol of REQUESTED-TRANSPORT.
    #[must_use]
    pub fn transport(&self) -> Option<u8> {
        self.message.get_for_type(AttributeType::RequestedTransport)?.first().copied()
    }

    /// The family of REQUESTED-ADDRESS-FAMILY.
    #[must_use]
    pub fn family(&self) -> Option<u8> {
        self.message.get_for_type(AttributeType::RequestedAddressFamily)?.first().copied()
    }

    /// What EVEN-PORT asks for.
    #[must_use]
    pub fn even_port(&self) -> Option<EvenPort> {
        let value = *self.message.get_for_type(AttributeType::EvenPort)?.first()?;
        Some(if value & 0x80 == 0 { EvenPort::Alone } else { EvenPort::WithNext })
    }

    /// Whether the holder of `key` wrote it (RFC 8489, section 14.5): the HMAC is over everything
    /// before the integrity, with the length field ending after it.
    #[must_use]
    pub fn is_written_by(&self, key: &MessageKey) -> bool {
        let Some(at) = self.checks.integrity_at else { return false };
        let (Some(kind), Some(rest), Some(tag)) =
            (self.bytes.get(..2), self.bytes.get(4..at), self.bytes.get(at + 4..at + 24))
        else {
            return false;
        };
        let Ok(length) = u16::try_from(at + 24 - HEADER_BYTES) else { return false };
        key.vouches_for(&[kind, &length.to_be_bytes(), rest], tag)
    }

    /// Writes a success response into `out`; `fill` adds the attributes.
    pub fn accept(
        &self,
        key: Option<&MessageKey>,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut Answer<'_>),
    ) {
        self.answer(MethodType::Response, key, out, fill);
    }

    /// Writes an error response into `out`. It has no reason phrase: programs read codes, and
    /// strangers must not be able to make the relay send more than they did.
    pub fn refuse(&self, code: Refusal, key: Option<&MessageKey>, out: &mut BytesMut) {
        self.answer(MethodType::Error, key, out, |answer| answer.error(code));
    }

    /// Writes an error response that asks for credentials.
    pub fn challenge(&self, code: Refusal, realm: &str, nonce: &str, out: &mut BytesMut) {
        self.answer(MethodType::Error, None, out, |answer| {
            answer.error(code);
            answer.0.append::<Realm>(realm);
            answer.0.append::<Nonce>(nonce);
        });
    }

    /// Writes an error response that lists the unknown attributes.
    pub fn refuse_unknown(&self, out: &mut BytesMut) {
        self.refuse(ErrorType::UnknownAttribute, None, out);
        let kinds = self.checks.unknown.as_slice();
        out.put_u16(UNKNOWN_ATTRIBUTES);
        out.put_u16(2 * kinds.len() as u16);
        for kind in kinds {
            out.put_u16(*kind);
        }
        out.put_bytes(0, 2 * (kinds.len() % 2));
        let length = (out.len() - HEADER_BYTES) as u16;
        if let Some(field) = out.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn answer(
        &self,
        kind: MethodType,
        key: Option<&MessageKey>,
        out: &mut BytesMut,
        fill: impl FnOnce(&mut Answer<'_>),
    ) {
        let method = match self.message.method() {
            Method::Binding(_) => Method::Binding(kind),
            Method::Allocate(_) => Method::Allocate(kind),
            Method::CreatePermission(_) => Method::CreatePermission(kind),
            Method::ChannelBind(_) => Method::ChannelBind(kind),
            Method::Refresh(_) => Method::Refresh(kind),
            // Indications are never answered.
            Method::SendIndication | Method::DataIndication => return,
        };
        let mut answer = Answer(MessageEncoder::extend(method, &self.message, out));
        fill(&mut answer);
        // The codec fails only when signing something shorter than a header.
        let _ = answer.0.flush(key.map(MessageKey::as_codec));
    }
}

/// A response being written.
pub struct Answer<'a>(MessageEncoder<'a>);

impl Answer<'_> {
    /// Adds the client's address as seen by the relay.
    pub fn mapped(&mut self, address: SocketAddr) {
        self.0.append::<XorMappedAddress>(address);
    }

    /// Adds the relayed address.
    pub fn relayed(&mut self, address: SocketAddr) {
        self.0.append::<XorRelayedAddress>(address);
    }

    /// Adds the granted lifetime.
    pub fn lifetime(&mut self, lifetime: Duration) {
        // Lifetimes are an hour at most.
        self.0.append::<Lifetime>(lifetime.as_secs() as u32);
    }

    fn error(&mut self, code: Refusal) {
        self.0.append::<ErrorCode<'_>>(ErrorCode { code: code as u16, message: "" });
    }
}

/// Writes ChannelData into `out`, padded for streams (RFC 8656, section 12.5).
pub fn write_channel_data(number: u16, data: &[u8], stream: bool, out: &mut BytesMut) {
    out.clear();
    out.put_u16(number);
    // Data is shorter than the message it came in.
    out.put_u16(data.len() as u16);
    out.put_slice(data);
    if stream {
        out.put_bytes(0, data.len().next_multiple_of(4) - data.len());
    }
}

/// Writes a Data indication from `peer` into `out`.
pub fn write_data_indication(peer: SocketAddr, data: &[u8], serial: u64, out: &mut BytesMut) {
    let mut transaction = [0; 12];
    for (to, from) in transaction.iter_mut().zip(serial.to_be_bytes()) {
        *to = from;
    }
    let mut message = MessageEncoder::new(DATA_INDICATION, &transaction, out);
    message.append::<XorPeerAddress>(peer);
    message.append::<Data>(data);
    // Without a key, writing cannot fail.
    let _ = message.flush(None);
}
