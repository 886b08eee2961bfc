//! A relay for tests: one client's view of it in virtual time, without sockets or permissions of
//! others. Of its lifetimes it implements that of channels.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use stun_types::{
    attribute::{ErrorCode, Nonce, Realm, Username},
    message::{
        IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass,
        MessageType, MessageWrite, MessageWriteExt, MessageWriteVec, TransactionId,
    },
};
use turn_types::{
    attribute::{ChannelNumber, Data, Lifetime, XorPeerAddress, XorRelayedAddress},
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND},
};

const REALM: &str = "lumen";
/// The password of every user.
pub(crate) const PASSWORD: &str = "word";

/// How long a channel lasts (RFC 8656, section 12).
const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// What the relay does with a packet.
#[derive(Debug, PartialEq)]
pub(crate) enum Done {
    /// It answers.
    Answered(Vec<u8>),
    /// It passes data on.
    Forwarded { to: SocketAddr, data: Vec<u8>, by_channel: bool },
    /// It drops the packet.
    Dropped,
}

/// The relay.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) nonce: String,
    /// The address of the next allocation.
    pub(crate) next: SocketAddr,
    pub(crate) allocation: Option<SocketAddr>,
    pub(crate) owner: String,
    pub(crate) permitted: bool,
    channels: BTreeMap<u16, Binding>,
    /// Every signed request, by its method.
    pub(crate) requests: Vec<&'static str>,
}

/// The binding of a channel number.
#[derive(Debug)]
struct Binding {
    peer: SocketAddr,
    until: Instant,
}

impl Scripted {
    pub(crate) fn new(next: SocketAddr) -> Self {
        Self {
            nonce: "first".to_owned(),
            next,
            allocation: None,
            owner: String::new(),
            permitted: false,
            channels: BTreeMap::new(),
            requests: Vec::new(),
        }
    }

    /// Replaces the relay by another process.
    pub(crate) fn restart(&mut self, next: SocketAddr) {
        let nonce = format!("{} again", self.nonce);
        *self = Self { nonce, ..Self::new(next) };
    }

    /// The peers that have a channel.
    pub(crate) fn channel_peers(&self) -> Vec<SocketAddr> {
        self.channels.values().map(|binding| binding.peer).collect()
    }

    /// Handles a packet of its client.
    pub(crate) fn take(&mut self, now: Instant, bytes: &[u8]) -> Done {
        self.channels.retain(|_, binding| now < binding.until);
        if let [0x40..=0x4f, _, high, low, data @ ..] = bytes {
            let number = u16::from_be_bytes([bytes[0], bytes[1]]);
            assert_eq!(data.len(), usize::from(u16::from_be_bytes([*high, *low])));
            return match self.channels.get(&number) {
                Some(binding) if self.permitted => self.forward(binding.peer, data, true),
                _ => Done::Dropped,
            };
        }
        let message = Message::from_bytes(bytes).expect("a client writes messages");
        if message.method() == SEND {
            let id = message.transaction_id();
            let to = message.attribute::<XorPeerAddress>().expect("a peer").addr(id);
            let data = message.attribute::<Data<'_>>().expect("data").data().to_vec();
            return if self.permitted { self.forward(to, &data, false) } else { Done::Dropped };
        }
        Done::Answered(self.answer(now, &message))
    }

    /// Data from a peer, in the form in which its client receives it.
    pub(crate) fn wrap(&self, now: Instant, from: SocketAddr, data: &[u8]) -> Vec<u8> {
        let bound = |binding: &Binding| binding.peer == from && now < binding.until;
        if let Some((number, _)) = self.channels.iter().find(|(_, binding)| bound(binding)) {
            let length = u16::try_from(data.len()).expect("short");
            return [&number.to_be_bytes(), &length.to_be_bytes(), data].concat();
        }
        let kind = MessageType::from_class_method(MessageClass::Indication, DATA);
        let id = TransactionId::generate();
        let mut message = Message::builder(kind, id, MessageWriteVec::new());
        message.add_attribute(&XorPeerAddress::new(from, id)).expect("room");
        message.add_attribute(&Data::new(data)).expect("room");
        message.finish()
    }

    fn forward(&self, to: SocketAddr, data: &[u8], by_channel: bool) -> Done {
        match self.allocation {
            Some(_) => Done::Forwarded { to, data: data.to_vec(), by_channel },
            None => Done::Dropped,
        }
    }

    fn answer(&mut self, now: Instant, message: &Message<'_>) -> Vec<u8> {
        let (Ok(user), Ok(nonce)) = (message.attribute::<Username>(), message.attribute::<Nonce>())
        else {
            return self.refuse(message, 401, None);
        };
        if nonce.nonce() != self.nonce {
            return self.refuse(message, 438, None);
        }
        let key = key_of(user.username());
        if message.validate_integrity_with_key(&key).is_err() {
            return self.refuse(message, 401, None);
        }
        let method = message.method();
        let own = self.owner == user.username();
        if self.allocation.is_some() && !own && method != ALLOCATE {
            return self.refuse(message, 441, Some(&key));
        }
        let (name, known) = match method {
            // A request by its owner's successor replaces the existing one.
            ALLOCATE => ("allocate", self.allocation.is_none() || !own),
            REFRESH => ("refresh", self.allocation.is_some()),
            CREATE_PERMISSION => ("permit", self.allocation.is_some()),
            CHANNEL_BIND => ("bind", self.allocation.is_some()),
            other => panic!("{other}"),
        };
        self.requests.push(name);
        if !known {
            return self.refuse(message, 437, Some(&key));
        }
        let mut answer = Message::builder_success(message, MessageWriteVec::new());
        let id = message.transaction_id();
        match name {
            "allocate" => {
                self.channels.clear();
                self.permitted = false;
                self.allocation = Some(self.next);
                self.owner = user.username().to_owned();
                answer.add_attribute(&XorRelayedAddress::new(self.next, id)).expect("room");
                answer.add_attribute(&Lifetime::new(600)).expect("room");
            }
            "refresh" => {
                let lifetime = message.attribute::<Lifetime>().expect("a lifetime").seconds();
                if lifetime == 0 {
                    self.allocation = None;
                }
                answer.add_attribute(&Lifetime::new(lifetime)).expect("room");
            }
            "bind" => {
                let number = message.attribute::<ChannelNumber>().expect("a number").channel();
                let peer = message.attribute::<XorPeerAddress>().expect("a peer").addr(id);
                self.channels.insert(number, Binding { peer, until: now + CHANNEL_LIFETIME });
            }
            _ => self.permitted = true,
        }
        answer.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).expect("room");
        answer.finish()
    }

    fn refuse(&self, message: &Message<'_>, code: u16, key: Option<&IntegrityKey>) -> Vec<u8> {
        let mut answer = Message::builder_error(message, MessageWriteVec::new());
        answer.add_attribute(&ErrorCode::new(code, "no").expect("a code")).expect("room");
        match key {
            Some(key) => {
                answer.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1).expect("room");
            }
            None => {
                answer.add_attribute(&Realm::new(REALM).expect("short")).expect("room");
                answer.add_attribute(&Nonce::new(&self.nonce).expect("short")).expect("room");
            }
        }
        answer.finish()
    }
}

fn key_of(username: &str) -> IntegrityKey {
    LongTermKeyCredentials::new(username.to_owned(), PASSWORD.to_owned(), REALM.to_owned())
        .make_key(IntegrityAlgorithm::Sha1)
}
