//! Stateless nonces: a nonce contains its time of issue and a tag over that time and the flow it
//! was sent to.
//!
//! A client that answers with a valid nonce has received it at the address it claims. So no state
//! is kept before that, and a message captured on one flow is worthless on another.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, rand};

use crate::moment::{Carrier, Flow};

/// How long a nonce is valid. With error 438 clients get the next one and continue.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// Bytes of the tag: 64 bits. A forged nonce would only allow its sender to try passwords.
const TAG_BYTES: usize = 8;

/// Hexadecimal digits of a nonce: four bytes of time, then the tag. Short, because it makes up most
/// of what a stranger can make the relay send.
pub const DIGITS: usize = 2 * (4 + TAG_BYTES);

/// Issues and checks the nonces of one run.
pub struct Nonces {
    key: hmac::Key,
    epoch: Instant,
}

/// The result of checking a nonce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NonceState {
    /// Ours, for this flow, and recent.
    Good,
    /// Any other: the client is sent a new one.
    Stale,
}

/// The system returned no random bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct NoRandomness;

impl Nonces {
    /// Nonces with a random key, with times counted from `epoch`.
    ///
    /// # Errors
    /// [`NoRandomness`] when no key can be drawn.
    pub fn new(epoch: Instant) -> Result<Self, NoRandomness> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| NoRandomness)?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), epoch })
    }

    /// A new nonce for `flow`.
    #[must_use]
    pub fn issue(&self, flow: &Flow, now: Instant) -> String {
        let made = self.seconds(now);
        let tag = self.tag(flow, made);
        let bytes = made.to_be_bytes().into_iter().chain(tag);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Checks the nonce that `flow` sent.
    #[must_use]
    pub fn judge(&self, nonce: &str, flow: &Flow, now: Instant) -> NonceState {
        let Some(made) = nonce.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok())
        else {
            return NonceState::Stale;
        };
        let expected: String = made
            .to_be_bytes()
            .into_iter()
            .chain(self.tag(flow, made))
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let ours = verify_slices_are_equal(expected.as_bytes(), nonce.as_bytes()).is_ok();
        let age = self.seconds(now).checked_sub(made);
        let young = age.is_some_and(|seconds| u64::from(seconds) < LIFETIME.as_secs());
        if ours && young { NonceState::Good } else { NonceState::Stale }
    }

    /// Whole seconds since the epoch, which wrap after 136 years.
    fn seconds(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_secs() as u32
    }

    fn tag(&self, flow: &Flow, made: u32) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&made.to_be_bytes());
        let (kind, number) = match flow.carrier {
            Carrier::Datagrams(socket) => (0_u8, u64::from(socket)),
            Carrier::Stream(connection) => (1, connection),
        };
        context.update(&[kind]);
        context.update(&number.to_be_bytes());
        update_with_address(&mut context, flow.remote);
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }
}

fn update_with_address(context: &mut hmac::Context, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(v4) => context.update(&v4.octets()),
        IpAddr::V6(v6) => context.update(&v6.octets()),
    }
    context.update(&address.port().to_be_bytes());
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(remote: &str) -> Flow {
        Flow { carrier: Carrier::Datagrams(0), remote: remote.parse().unwrap() }
    }

    #[test]
    fn judge_good_until_its_lifetime_is_over() {
        let start = Instant::now();
        let nonces = Nonces::new(start).unwrap();
        let client = flow("198.51.100.1:5000");
        let nonce = nonces.issue(&client, start);
        assert_eq!(nonce.len(), DIGITS);
        let last = start + LIFETIME - Duration::from_secs(1);
        assert_eq!(nonces.judge(&nonce, &client, last), NonceState::Good);
        assert_eq!(nonces.judge(&nonce, &client, start + LIFETIME), NonceState::Stale);
    }

    #[test]
    fn judge_nonce_of_another_flow_run_or_time_is_stale() {
        let start = Instant::now();
        let nonces = Nonces::new(start).unwrap();
        let client = flow("198.51.100.1:5000");
        let nonce = nonces.issue(&client, start);
        let elsewhere = [
            flow("198.51.100.1:5001"),
            flow("198.51.100.2:5000"),
            Flow { carrier: Carrier::Stream(0), ..client },
            Flow { carrier: Carrier::Datagrams(1), ..client },
        ];
        for other in elsewhere {
            assert_eq!(nonces.judge(&nonce, &other, start), NonceState::Stale, "{other:?}");
        }
        let other_run = Nonces::new(start).unwrap();
        assert_eq!(other_run.judge(&nonce, &client, start), NonceState::Stale);
        let from_the_future = nonces.issue(&client, start + Duration::from_secs(5));
        assert_eq!(nonces.judge(&from_the_future, &client, start), NonceState::Stale);
    }

    #[test]
    fn judge_anything_else_is_stale() {
        let start = Instant::now();
        let nonces = Nonces::new(start).unwrap();
        let client = flow("198.51.100.1:5000");
        let good = nonces.issue(&client, start);
        for bad in ["", "0", "ääääääää", &good[1..], &good.to_uppercase(), &format!("{good}0")]
        {
            let all_digits = bad == good;
            assert!(
                all_digits || nonces.judge(bad, &client, start) == NonceState::Stale,
                "{bad:?}"
            );
        }
    }
}
