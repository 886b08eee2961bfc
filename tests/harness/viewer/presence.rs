//! The viewer's proofs that it is there, as the page makes them.

use std::time::Instant;

use anyhow::{Context, Result};
use hmac::{Hmac, Mac};
use lumen_ipc::lease::{Challenge, LeaseId, LeaseKey, PROOF_INTERVAL, proof_text};
use serde::Deserialize;
use sha2::Sha256;

/// Tags of a proof and of what the next one answers.
const PROVED: u8 = 0x0d;
const CHALLENGED: u8 = 0x8a;

/// A lease as the gateway sends it, in hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct PageLease {
    id: String,
    key: String,
    challenge: String,
}

/// A lease, and what has been proved.
#[derive(Debug)]
pub(super) struct Presence {
    lease: LeaseId,
    key: LeaseKey,
    challenge: Challenge,
    proved: Option<Instant>,
}

impl Presence {
    pub(super) fn new(lease: &PageLease) -> Result<Self> {
        Ok(Self {
            lease: LeaseId(u64::from_be_bytes(bytes(&lease.id)?)),
            key: LeaseKey(bytes(&lease.key)?),
            challenge: Challenge(bytes(&lease.challenge)?),
            proved: None,
        })
    }

    /// The message to send before the viewer acts, if there is one.
    pub(super) fn acts(&mut self) -> Option<Vec<u8>> {
        if self.proved.is_some_and(|at| at.elapsed() < PROOF_INTERVAL) {
            return None;
        }
        self.proved = Some(Instant::now());
        let mut tag = <Hmac<Sha256> as Mac>::new_from_slice(&self.key.0).expect("any length");
        tag.update(&proof_text(self.lease, self.challenge));
        let tag = tag.finalize().into_bytes();
        Some([&[PROVED][..], &self.lease.0.to_be_bytes(), &tag].concat())
    }

    /// Takes a message of the desktop; returns the answer that is due at once.
    pub(super) fn hear(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let (&CHALLENGED, challenge) = message.split_first()? else { return None };
        let challenge = Challenge(challenge.try_into().ok()?);
        // It is not the next one if the desktop does not know the last proof; answering costs nothing.
        let repeated = std::mem::replace(&mut self.challenge, challenge) == challenge;
        if repeated {
            self.proved = None;
        }
        repeated.then(|| self.acts()).flatten()
    }
}

fn bytes<const COUNT: usize>(digits: &str) -> Result<[u8; COUNT]> {
    let byte = |at: usize| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let all: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    all.and_then(|all| all.try_into().ok()).context("not a lease")
}
