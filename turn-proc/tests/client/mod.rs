//! A TURN client for tests and benchmarks: it writes what it is told to, valid or not, and reads
//! the answers. It shares no code with the relay's own codec.

#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "tests; each binary uses a part of it"
)]

pub mod rig;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lumen_ipc::units::{PeerId, SessionId};
use lumen_turn::{
    auth::credential::{Credential, Grantee, Party, RelaySecret, Username},
    moment::UnixSeconds,
};
use turn_server::codec::crypto::{fingerprint, hmac_sha1};

/// The realm of every test.
pub const REALM: &str = "lumen";

/// The relay secret of every test.
pub const SECRET: [u8; 32] = [7; 32];

pub const BINDING: u16 = 0x0001;
pub const ALLOCATE: u16 = 0x0003;
pub const REFRESH: u16 = 0x0004;
pub const CREATE_PERMISSION: u16 = 0x0008;
pub const CHANNEL_BIND: u16 = 0x0009;
pub const SEND: u16 = 0x0016;
pub const DATA: u16 = 0x0017;
pub const SUCCESS: u16 = 0x0100;
pub const ERROR: u16 = 0x0110;

pub const USERNAME_ATTRIBUTE: u16 = 0x0006;
pub const INTEGRITY_ATTRIBUTE: u16 = 0x0008;
pub const ERROR_ATTRIBUTE: u16 = 0x0009;
pub const UNKNOWN_ATTRIBUTE: u16 = 0x000A;
pub const CHANNEL_ATTRIBUTE: u16 = 0x000C;
pub const LIFETIME_ATTRIBUTE: u16 = 0x000D;
pub const PEER_ATTRIBUTE: u16 = 0x0012;
pub const DATA_ATTRIBUTE: u16 = 0x0013;
pub const REALM_ATTRIBUTE: u16 = 0x0014;
pub const NONCE_ATTRIBUTE: u16 = 0x0015;
pub const RELAYED_ATTRIBUTE: u16 = 0x0016;
pub const FAMILY_ATTRIBUTE: u16 = 0x0017;
pub const EVEN_PORT_ATTRIBUTE: u16 = 0x0018;
pub const TRANSPORT_ATTRIBUTE: u16 = 0x0019;
pub const MAPPED_ATTRIBUTE: u16 = 0x0020;
pub const RESERVATION_ATTRIBUTE: u16 = 0x0022;
pub const MOBILITY_ATTRIBUTE: u16 = 0x8030;
pub const FINGERPRINT_ATTRIBUTE: u16 = 0x8028;

const COOKIE: u32 = 0x2112_A442;

/// A message being written.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    pub fn new(method: u16, transaction: [u8; 12]) -> Self {
        let mut bytes = method.to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(COOKIE.to_be_bytes());
        bytes.extend(transaction);
        Self { bytes }
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    pub fn address(self, kind: u16, address: SocketAddr) -> Self {
        let transaction: [u8; 12] = self.bytes[8..20].try_into().unwrap();
        self.attribute(kind, &xor_address(address, &transaction))
    }

    pub fn integrity(mut self, key: &[u8]) -> Self {
        self.set_length(24);
        let tag = hmac_sha1(key, &[&self.bytes]);
        self = self.attribute(INTEGRITY_ATTRIBUTE, &tag);
        self
    }

    pub fn fingerprint(mut self) -> Self {
        self.set_length(8);
        let crc = fingerprint(&self.bytes).to_be_bytes();
        self.attribute(FINGERPRINT_ATTRIBUTE, &crc)
    }

    pub fn build(mut self) -> Vec<u8> {
        self.set_length(0);
        self.bytes
    }

    fn set_length(&mut self, more: usize) {
        let length = u16::try_from(self.bytes.len() - 20 + more).unwrap();
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

fn xor_address(address: SocketAddr, transaction: &[u8; 12]) -> Vec<u8> {
    let port = address.port() ^ (COOKIE >> 16) as u16;
    let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
    value.extend(port.to_be_bytes());
    match address.ip() {
        IpAddr::V4(v4) => value.extend((v4.to_bits() ^ COOKIE).to_be_bytes()),
        IpAddr::V6(v6) => value.extend((v6.to_bits() ^ mask(transaction)).to_be_bytes()),
    }
    value
}

fn mask(transaction: &[u8; 12]) -> u128 {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&COOKIE.to_be_bytes());
    bytes[4..].copy_from_slice(transaction);
    u128::from_be_bytes(bytes)
}

/// A message that came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub method: u16,
    pub transaction: [u8; 12],
    pub attributes: Vec<(u16, Vec<u8>)>,
}

impl Answer {
    pub fn parse(bytes: &[u8]) -> Self {
        let length = usize::from(u16::from_be_bytes(bytes[2..4].try_into().unwrap()));
        assert_eq!(length + 20, bytes.len(), "the length field is right");
        let mut attributes = Vec::new();
        let mut rest = &bytes[20..];
        while !rest.is_empty() {
            let kind = u16::from_be_bytes(rest[..2].try_into().unwrap());
            let length = usize::from(u16::from_be_bytes(rest[2..4].try_into().unwrap()));
            attributes.push((kind, rest[4..4 + length].to_vec()));
            let padded = length.next_multiple_of(4);
            let padding = &rest[4 + length..4 + padded];
            assert!(padding.iter().all(|byte| *byte == 0), "padding shows nothing of others");
            rest = &rest[4 + padded..];
        }
        let method = u16::from_be_bytes(bytes[..2].try_into().unwrap());
        Self { method, transaction: bytes[8..20].try_into().unwrap(), attributes }
    }

    pub fn get(&self, kind: u16) -> Option<&[u8]> {
        self.attributes.iter().find(|(found, _)| *found == kind).map(|(_, value)| value.as_slice())
    }

    /// The code of an error response.
    pub fn error(&self) -> Option<u16> {
        let value = self.get(ERROR_ATTRIBUTE)?;
        Some(u16::from(value[2]) * 100 + u16::from(value[3]))
    }

    pub fn text(&self, kind: u16) -> Option<String> {
        self.get(kind).map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    pub fn address(&self, kind: u16) -> Option<SocketAddr> {
        let value = self.get(kind)?;
        let port = u16::from_be_bytes([value[2], value[3]]) ^ (COOKIE >> 16) as u16;
        let ip = match value[1] {
            1 => {
                let bits = u32::from_be_bytes(value[4..8].try_into().unwrap());
                IpAddr::V4(Ipv4Addr::from_bits(bits ^ COOKIE))
            }
            _ => {
                let bits = u128::from_be_bytes(value[4..20].try_into().unwrap());
                IpAddr::V6(Ipv6Addr::from_bits(bits ^ mask(&self.transaction)))
            }
        };
        Some(SocketAddr::new(ip, port))
    }

    pub fn lifetime(&self) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(LIFETIME_ATTRIBUTE)?.try_into().unwrap()))
    }
}

/// One client and its state: address, nonce, realm and credential.
#[derive(Clone, Debug)]
pub struct Client {
    pub username: String,
    pub password_key: Vec<u8>,
    pub realm: String,
    pub nonce: String,
    pub serial: u32,
}

/// The grantee of a credential.
pub fn grantee(party: Party, session: u32, peer: u64) -> Grantee {
    Grantee { session: SessionId(session), party, peer: PeerId(peer) }
}

/// The credential that the supervisor would mint.
pub fn mint(grantee: Grantee, expires: u64, serial: u64) -> Credential {
    let username = Username { expires: UnixSeconds(expires), grantee, serial };
    RelaySecret::new(&SECRET).mint(&username)
}

impl Client {
    pub fn new(grantee: Grantee, expires: u64, serial: u64) -> Self {
        let credential = mint(grantee, expires, serial);
        let key = RelaySecret::new(&SECRET).message_key(&credential.username, REALM);
        Self {
            username: credential.username,
            password_key: key.as_codec().to_vec(),
            realm: REALM.to_owned(),
            nonce: String::new(),
            serial: 0,
        }
    }

    pub fn transaction(&mut self) -> [u8; 12] {
        self.serial += 1;
        let mut transaction = [0x5a; 12];
        transaction[..4].copy_from_slice(&self.serial.to_be_bytes());
        transaction
    }

    pub fn start(&mut self, method: u16) -> Builder {
        let transaction = self.transaction();
        Builder::new(method, transaction)
    }

    /// Adds the attributes that end a request with credentials.
    pub fn sign(&self, builder: Builder) -> Vec<u8> {
        builder
            .attribute(USERNAME_ATTRIBUTE, self.username.as_bytes())
            .attribute(REALM_ATTRIBUTE, self.realm.as_bytes())
            .attribute(NONCE_ATTRIBUTE, self.nonce.as_bytes())
            .integrity(&self.password_key)
            .fingerprint()
            .build()
    }

    /// An Allocate request without credentials, as short as clients send it.
    pub fn hello(&mut self) -> Vec<u8> {
        self.start(ALLOCATE).attribute(TRANSPORT_ATTRIBUTE, &[17, 0, 0, 0]).build()
    }

    pub fn allocate(&mut self) -> Vec<u8> {
        let builder = self.start(ALLOCATE).attribute(TRANSPORT_ATTRIBUTE, &[17, 0, 0, 0]);
        self.sign(builder)
    }

    pub fn refresh(&mut self, seconds: u32) -> Vec<u8> {
        let builder = self.start(REFRESH).attribute(LIFETIME_ATTRIBUTE, &seconds.to_be_bytes());
        self.sign(builder)
    }

    pub fn permit(&mut self, peer: SocketAddr) -> Vec<u8> {
        let builder = self.start(CREATE_PERMISSION).address(PEER_ATTRIBUTE, peer);
        self.sign(builder)
    }

    pub fn bind(&mut self, number: u16, peer: SocketAddr) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        let builder = self
            .start(CHANNEL_BIND)
            .attribute(CHANNEL_ATTRIBUTE, &[high, low, 0, 0])
            .address(PEER_ATTRIBUTE, peer);
        self.sign(builder)
    }

    pub fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Vec<u8> {
        self.start(SEND).address(PEER_ATTRIBUTE, peer).attribute(DATA_ATTRIBUTE, data).build()
    }
}

/// Data on a channel, as sent over UDP.
pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}
