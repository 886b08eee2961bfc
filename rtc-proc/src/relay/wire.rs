//! Encodes requests to the relay and decodes its messages, with the crates `stun-types` and
//! `turn-types`.
//!
//! Trusts no input. An answer counts only for a pending transaction, and a success only if it is
//! signed.

use std::net::SocketAddr;

use stun_types::{
    attribute::{Attribute as _, AttributeStaticType, ErrorCode, Nonce, Realm, Username},
    message::{
        IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass,
        MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, Method, StunWriteError,
        TransactionId,
    },
};
use turn_types::{
    attribute::{
        ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
    },
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND},
};

use super::channels::Channel;

/// UDP in REQUESTED-TRANSPORT: the protocol number of IANA.
const UDP: u8 = 17;
/// Bytes of an attribute's header (RFC 8489, section 14).
const ATTRIBUTE_HEADER_BYTES: usize = 4;

/// A request to the relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    /// A relayed address.
    Allocate,
    /// A channel to a peer.
    Bind(Channel),
    /// A permission for the peers at an address to send to us.
    Permit(SocketAddr),
    /// A new lifetime of the allocation in seconds; zero ends it.
    Refresh(u32),
}

/// The credentials of a request.
#[derive(Clone)]
pub(super) struct Login {
    username: String,
    password: String,
    pub(super) realm: String,
    pub(super) nonce: String,
    key: IntegrityKey,
}

/// The relay's answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// The request was granted. Each part is present only if the relay named it.
    Success { relayed: Option<SocketAddr>, lifetime: Option<u32> },
    /// The request must be sent with credentials, or again with this nonce.
    Challenge { code: u16, realm: Option<String>, nonce: String },
    /// The request was refused with this code.
    Refused(u16),
    /// The answer is not authentic.
    Unsigned,
}

/// A message from the relay.
#[derive(Debug)]
pub(super) enum Incoming<'a> {
    /// An answer to a transaction.
    Answer(TransactionId, Message<'a>),
    /// Data that a peer has sent.
    Data { peer: SocketAddr, bytes: &'a [u8] },
}

impl Login {
    pub(super) fn new(username: &str, password: &str, realm: String, nonce: String) -> Self {
        let (username, password) = (username.to_owned(), password.to_owned());
        let key = LongTermKeyCredentials::new(username.clone(), password.clone(), realm.clone())
            .make_key(IntegrityAlgorithm::Sha1);
        Self { username, password, realm, nonce, key }
    }

    pub(super) fn name(&self) -> (String, String) {
        (self.username.clone(), self.password.clone())
    }

    fn signs(&self, message: &Message<'_>) -> bool {
        message.validate_integrity_with_key(&self.key).is_ok()
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

impl Request {
    const fn method(self) -> Method {
        match self {
            Self::Allocate => ALLOCATE,
            Self::Bind(_) => CHANNEL_BIND,
            Self::Permit(_) => CREATE_PERMISSION,
            Self::Refresh(_) => REFRESH,
        }
    }

    /// The message of a request, signed if the realm and nonce are known.
    pub(super) fn write(
        self,
        id: TransactionId,
        login: Option<&Login>,
    ) -> Result<Vec<u8>, StunWriteError> {
        let kind = MessageType::from_class_method(MessageClass::Request, self.method());
        let mut message = Message::builder(kind, id, MessageWriteVec::with_capacity(256));
        match self {
            Self::Allocate => message.add_attribute(&RequestedTransport::new(UDP))?,
            Self::Bind(Channel { number, peer }) => {
                message.add_attribute(&ChannelNumber::new(number))?;
                message.add_attribute(&XorPeerAddress::new(peer, id))?;
            }
            Self::Permit(peer) => message.add_attribute(&XorPeerAddress::new(peer, id))?,
            Self::Refresh(seconds) => message.add_attribute(&Lifetime::new(seconds))?,
        }
        if let Some(login) = login {
            message.add_attribute(&Username::new(&login.username)?)?;
            message.add_attribute(&Realm::new(&login.realm)?)?;
            message.add_attribute(&Nonce::new(&login.nonce)?)?;
            message.add_message_integrity_with_key(&login.key, IntegrityAlgorithm::Sha1)?;
        }
        Ok(message.finish())
    }
}

/// A Send indication: data for a peer without a channel.
pub(super) fn write_indication(peer: SocketAddr, data: &[u8]) -> Result<Vec<u8>, StunWriteError> {
    let kind = MessageType::from_class_method(MessageClass::Indication, SEND);
    let id = TransactionId::generate();
    let mut message = Message::builder(kind, id, MessageWriteVec::with_capacity(data.len() + 64));
    message.add_attribute(&XorPeerAddress::new(peer, id))?;
    message.add_attribute(&Data::new(data))?;
    Ok(message.finish())
}

/// Decodes a message that is not on a channel.
pub(super) fn read(bytes: &[u8]) -> Option<Incoming<'_>> {
    let message = Message::from_bytes(bytes).ok()?;
    match (message.class(), message.method()) {
        (MessageClass::Success | MessageClass::Error, _) => {
            Some(Incoming::Answer(message.transaction_id(), message))
        }
        (MessageClass::Indication, DATA) => {
            let peer = message.attribute::<XorPeerAddress>().ok()?;
            let peer = peer.addr(message.transaction_id());
            let (offset, data) = message.raw_attribute_and_offset(Data::TYPE)?;
            let start = offset + ATTRIBUTE_HEADER_BYTES;
            let data = bytes.get(start..start + usize::from(data.length()))?;
            Some(Incoming::Data { peer, bytes: data })
        }
        _ => None,
    }
}

/// The meaning of an answer to a request of `login`.
pub(super) fn judge(message: &Message<'_>, login: Option<&Login>) -> Answer {
    if message.class() == MessageClass::Success {
        let signed = login.is_some_and(|login| login.signs(message));
        if !signed {
            return Answer::Unsigned;
        }
        let id = message.transaction_id();
        let relayed = message.attribute::<XorRelayedAddress>().ok().map(|it| it.addr(id));
        let lifetime = message.attribute::<Lifetime>().ok().map(|it| it.seconds());
        return Answer::Success { relayed, lifetime };
    }
    let Ok(code) = message.attribute::<ErrorCode>().map(|error| error.code()) else {
        return Answer::Unsigned;
    };
    match (code, message.attribute::<Nonce>()) {
        (401 | 438, Ok(nonce)) => {
            let realm = message.attribute::<Realm>().ok().map(|realm| realm.realm().to_owned());
            Answer::Challenge { code, realm, nonce: nonce.nonce().to_owned() }
        }
        _ => Answer::Refused(code),
    }
}
