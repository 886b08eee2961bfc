//! The state that outlives a host's process, encoded as bytes: its logins, the numbers of its
//! sessions, and the relay's secret.
//!
//! Decides: what is trusted after a restart. The bytes are accepted as a whole or not at all; a
//! checksum over all of them detects damage, and inconsistent content is refused. They contain no
//! login key and no token, only digests; but the relay's secret in clear.
//!
//! INVARIANT: [`State::decode`] accepts what [`State::encode`] produces, and nothing else.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use lumen_ipc::{
    login::{LoginId, Rights, SignInMethod},
    message::session::TokenDigest,
    relay::{SECRET_BYTES, UnixSeconds},
    units::SessionId,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::secret::Digest;

/// The first bytes: the last number identifies this format.
const FORM: &[u8; 8] = b"lumen\0h\x03";
/// Length of the checksum at the end.
const SUM_BYTES: usize = 32;
/// Most sessions stored, living and ended.
pub const MOST_SESSIONS: usize = 256;
/// Most logins stored.
pub const MOST_LOGINS: usize = 4096;
/// Most bytes that are read: the largest state is shorter.
pub const MOST_BYTES: usize = 512 * 1024;

/// The stored state of a host.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// The last number given to a session.
    pub last: u32,
    /// Sessions, by their numbers.
    pub sessions: Vec<KeptSession>,
    /// The logins.
    pub logins: Vec<KeptLogin>,
    /// The relay, if there was one.
    pub relay: Option<KeptRelay>,
}

/// A stored session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeptSession {
    /// Its number.
    pub id: SessionId,
    /// The token by which it proves that the number is its own.
    pub token: TokenDigest,
    /// The user whose desktop it is.
    pub owner: u32,
    /// Whether it was connected.
    pub present: bool,
}

/// A stored login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeptLogin {
    pub(super) key: Digest,
    /// The key that its browser was offered and has not shown yet.
    pub(super) offered: Option<Digest>,
    /// Since when it has had its key.
    pub(super) since: UnixSeconds,
    pub(super) id: LoginId,
    pub(super) session: SessionId,
    pub(super) rights: Rights,
    /// How its browser signed in.
    pub(super) method: SignInMethod,
    /// From where, in the shortest form.
    pub(super) from: IpAddr,
    /// The time of the sign-in.
    pub(super) given: UnixSeconds,
    /// The time of its last use.
    pub(super) used: UnixSeconds,
}

/// The stored state of the relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptRelay {
    /// Its secret.
    pub secret: Zeroizing<[u8; SECRET_BYTES]>,
    /// The port for UDP and TCP.
    pub port: KeptPort,
    /// The port for TLS; zeros without TLS.
    pub secured: KeptPort,
}

/// A requested port, and the one that was bound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeptPort {
    /// The port in the options.
    pub asked: u16,
    /// The one that was bound.
    pub bound: u16,
}

impl KeptPort {
    /// The port to request if the options say `asked`.
    #[must_use]
    pub fn wanted(self, asked: u16) -> u16 {
        if self.bound != 0 && self.asked == asked { self.bound } else { asked }
    }
}

/// Bytes that are not a state of this format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotAState {
    /// Their beginning differs.
    #[error("it was written by another build, or is something else")]
    Foreign,
    /// The checksum or the length is wrong.
    #[error("it is damaged")]
    Damaged,
    /// The content is inconsistent.
    #[error("it contradicts itself")]
    Contradiction,
}

impl State {
    /// Encodes the state.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Reserved in full, so that no reallocation leaves a copy of the secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
        bytes.extend(FORM);
        bytes.extend(self.last.to_be_bytes());
        let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        bytes.extend(count(self.sessions.len()));
        for session in &self.sessions {
            bytes.extend(session.id.0.to_be_bytes());
            bytes.extend(session.token.0);
            bytes.extend(session.owner.to_be_bytes());
            bytes.push(session.present.into());
        }
        bytes.extend(count(self.logins.len()));
        for login in &self.logins {
            bytes.extend(TokenDigest::from(login.key).0);
            bytes.push(login.offered.is_some().into());
            login.offered.into_iter().for_each(|key| bytes.extend(TokenDigest::from(key).0));
            bytes.extend(login.since.0.to_be_bytes());
            bytes.extend(login.id.0.to_be_bytes());
            bytes.extend(login.session.0.to_be_bytes());
            bytes.push(login.rights.control.into());
            bytes.push(number_of(login.method));
            bytes.extend(bits_of(login.from).to_be_bytes());
            bytes.extend(login.given.0.to_be_bytes());
            bytes.extend(login.used.0.to_be_bytes());
        }
        bytes.push(self.relay.is_some().into());
        if let Some(relay) = &self.relay {
            bytes.extend(relay.secret.iter());
            for port in [relay.port, relay.secured] {
                bytes.extend(port.asked.to_be_bytes());
                bytes.extend(port.bound.to_be_bytes());
            }
        }
        let sum: [u8; SUM_BYTES] = Sha256::digest(bytes.as_slice()).into();
        bytes.extend(sum);
        bytes
    }

    /// Decodes a state.
    ///
    /// # Errors
    /// [`NotAState`] when the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAState> {
        let rest = bytes.strip_prefix(FORM).ok_or(NotAState::Foreign)?;
        let summed = bytes.len().checked_sub(SUM_BYTES).ok_or(NotAState::Damaged)?;
        let (content, sum) = bytes.split_at_checked(summed).ok_or(NotAState::Damaged)?;
        let whole = bytes.len() <= MOST_BYTES && Sha256::digest(content).as_slice() == sum;
        let length = rest.len().checked_sub(SUM_BYTES).filter(|_| whole);
        let mut reader = Reader(rest.get(..length.unwrap_or(0)).unwrap_or_default());
        let state = reader.state().filter(|_| reader.0.is_empty()).ok_or(NotAState::Damaged)?;
        if state.is_consistent() { Ok(state) } else { Err(NotAState::Contradiction) }
    }

    /// Whether all sessions and logins are distinct, and every login's session exists.
    fn is_consistent(&self) -> bool {
        let ascend = self.sessions.is_sorted_by(|one, next| one.id < next.id);
        let counted = self.sessions.iter().all(|kept| (1..=self.last).contains(&kept.id.0));
        let tokens: BTreeSet<TokenDigest> = self.sessions.iter().map(|kept| kept.token).collect();
        let present = self.sessions.iter().filter(|kept| kept.present).map(|kept| kept.id);
        let present: BTreeSet<SessionId> = present.collect();
        let legal = |login: &KeptLogin| {
            login.id != LoginId::OPEN
                && present.contains(&login.session)
                && login.given <= login.used
                && login.given <= login.since
        };
        let ids: BTreeSet<LoginId> = self.logins.iter().map(|login| login.id).collect();
        let keys =
            || self.logins.iter().flat_map(|login| [login.key].into_iter().chain(login.offered));
        let distinct: BTreeSet<Digest> = keys().collect();
        ascend
            && counted
            && tokens.len() == self.sessions.len()
            && self.logins.iter().all(legal)
            && (ids.len(), distinct.len()) == (self.logins.len(), keys().count())
    }
}

fn number_of(method: SignInMethod) -> u8 {
    match method {
        SignInMethod::Password => 1,
        SignInMethod::Token => 2,
        SignInMethod::Proxy => 3,
        SignInMethod::Oidc => 4,
    }
}

/// An address as a number: one of IPv4 as IPv6 writes those.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The bytes that have not been read.
struct Reader<'bytes>(&'bytes [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.take()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn method(&mut self) -> Option<SignInMethod> {
        let [number] = self.take()?;
        [SignInMethod::Password, SignInMethod::Token, SignInMethod::Proxy, SignInMethod::Oidc]
            .into_iter()
            .find(|method| number_of(*method) == number)
    }

    fn port(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn long_number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn count(&mut self, most: usize) -> Option<usize> {
        let count = usize::from(u16::from_be_bytes(self.take()?));
        (count <= most).then_some(count)
    }

    fn state(&mut self) -> Option<State> {
        let last = self.number()?;
        let sessions = self.count(MOST_SESSIONS)?;
        let sessions = (0..sessions).map(|_| self.session()).collect::<Option<_>>()?;
        let logins = self.count(MOST_LOGINS)?;
        let logins = (0..logins).map(|_| self.login()).collect::<Option<_>>()?;
        let relay = match self.flag()? {
            true => Some(self.relay()?),
            false => None,
        };
        Some(State { last, sessions, logins, relay })
    }

    fn session(&mut self) -> Option<KeptSession> {
        let (id, token) = (SessionId(self.number()?), TokenDigest(self.take()?));
        Some(KeptSession { id, token, owner: self.number()?, present: self.flag()? })
    }

    fn login(&mut self) -> Option<KeptLogin> {
        Some(KeptLogin {
            key: TokenDigest(self.take()?).into(),
            offered: match self.flag()? {
                true => Some(TokenDigest(self.take()?).into()),
                false => None,
            },
            since: UnixSeconds(self.long_number()?),
            id: LoginId(self.long_number()?),
            session: SessionId(self.number()?),
            rights: Rights { control: self.flag()? },
            method: self.method()?,
            from: IpAddr::V6(Ipv6Addr::from_bits(u128::from_be_bytes(self.take()?))).to_canonical(),
            given: UnixSeconds(self.long_number()?),
            used: UnixSeconds(self.long_number()?),
        })
    }

    fn relay(&mut self) -> Option<KeptRelay> {
        let secret = Zeroizing::new(self.take()?);
        let mut port = || Some(KeptPort { asked: self.port()?, bound: self.port()? });
        Some(KeptRelay { secret, port: port()?, secured: port()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept_login(number: u64, session: u32) -> KeptLogin {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        KeptLogin {
            key: TokenDigest(key).into(),
            offered: number.is_multiple_of(4).then(|| TokenDigest(key.map(|byte| !byte)).into()),
            since: UnixSeconds(1_800_000_000 + number / 2),
            id: LoginId(number + 1),
            session: SessionId(session),
            rights: Rights { control: number.is_multiple_of(2) },
            method: match number % 4 {
                0 => SignInMethod::Password,
                1 => SignInMethod::Token,
                2 => SignInMethod::Oidc,
                _ => SignInMethod::Proxy,
            },
            from: match number.is_multiple_of(5) {
                true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
                false => [192, 0, 2, 7].into(),
            },
            given: UnixSeconds(1_800_000_000),
            used: UnixSeconds(1_800_000_000 + number),
        }
    }

    fn state(sessions: u32, logins: u64, relay: bool) -> State {
        let session = |number: u32| KeptSession {
            id: SessionId(number),
            token: TokenDigest(std::array::from_fn(|at| number.to_be_bytes()[at % 4])),
            owner: 4000 + number,
            present: true,
        };
        let port = KeptPort { asked: 3478, bound: 40_000 };
        State {
            last: sessions + 3,
            sessions: (1..=sessions).map(session).collect(),
            logins: (0..logins).map(|number| kept_login(number, 1)).collect(),
            relay: relay.then(|| KeptRelay {
                secret: Zeroizing::new([9; SECRET_BYTES]),
                port,
                secured: KeptPort::default(),
            }),
        }
    }

    #[test]
    fn longest_state_fits_and_is_read_again() {
        let most = state(256, 4096, true);
        let bytes = most.encode();
        assert!(bytes.len() <= MOST_BYTES && bytes.capacity() == MOST_BYTES, "{}", bytes.len());
        assert_eq!(State::decode(&bytes), Ok(most));
        assert_eq!(State::decode(&State::default().encode()), Ok(State::default()));
    }

    #[test]
    fn state_of_another_form_is_foreign_and_an_empty_file_too() {
        let mut bytes = state(1, 1, true).encode();
        bytes[7] = 1;
        assert_eq!(State::decode(&bytes), Err(NotAState::Foreign));
        assert_eq!(State::decode(b""), Err(NotAState::Foreign));
        assert_eq!(State::decode(b"{}"), Err(NotAState::Foreign));
    }

    #[test]
    fn state_that_contradicts_itself_is_refused() {
        type Spoil = fn(&mut State);
        let spoils: [Spoil; 9] = [
            |state| state.last = 1,
            |state| state.sessions.swap(0, 1),
            |state| state.sessions[1].id = SessionId(1),
            |state| state.sessions[1].token = state.sessions[0].token,
            |state| state.sessions[0].present = false,
            |state| state.logins[0].session = SessionId(9),
            |state| state.logins[0].id = LoginId::OPEN,
            |state| state.logins[1].key = state.logins[0].key,
            |state| state.logins[1].used = UnixSeconds(1),
        ];
        for (number, spoil) in spoils.into_iter().enumerate() {
            let mut state = state(2, 2, false);
            spoil(&mut state);
            let refused = State::decode(&state.encode());
            assert_eq!(refused, Err(NotAState::Contradiction), "{number}");
        }
    }

    #[test]
    fn port_that_was_had_is_wanted_again_until_another_is_asked_for() {
        let kept = KeptPort { asked: 3478, bound: 40_000 };
        assert_eq!((kept.wanted(3478), kept.wanted(3479)), (40_000, 3479));
        assert_eq!(KeptPort::default().wanted(3478), 3478);
    }

    proptest! {
        #[test]
        fn decode_of_encode_is_the_same(sessions in 1_u32..20, logins in 0_u64..20, relay: bool) {
            let state = state(sessions, logins, relay);
            prop_assert_eq!(State::decode(&state.encode()), Ok(state));
        }

        #[test]
        fn decode_of_anything_neither_panics_nor_believes_it(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            begins: bool,
            summed: bool,
        ) {
            let mut all = if begins { FORM.to_vec() } else { Vec::new() };
            all.extend(bytes);
            if summed {
                let sum: [u8; SUM_BYTES] = Sha256::digest(&all).into();
                all.extend(sum);
            }
            // Whatever is accepted encodes to the same bytes.
            if let Ok(state) = State::decode(&all) {
                let again = state.encode();
                prop_assert_eq!(again.as_slice(), all.as_slice());
            }
        }

        #[test]
        fn decode_of_a_state_with_one_changed_or_missing_byte_is_refused(
            at in 0_usize..1000,
            flip in 1_u8..=255,
            cut: bool,
        ) {
            let mut bytes = state(3, 3, true).encode();
            let at = at % bytes.len();
            match cut {
                true => bytes.truncate(at),
                false => bytes[at] ^= flip,
            }
            prop_assert!(State::decode(&bytes).is_err());
        }
    }
}
