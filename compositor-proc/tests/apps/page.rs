//! What a viewer's page does to prove that its viewer is there.

use hmac::{Hmac, Mac};
use lumen_ipc::{
    lease::{
        CHALLENGE_BYTES, Challenge, KEY_BYTES, Lease, LeaseId, LeaseKey, Proof, next_text,
        proof_text,
    },
    login::{LoginId, Rights},
    units::PeerId,
};
use sha2::Sha256;

/// The lease of a viewer of the rig.
pub(crate) fn lease(peer: PeerId) -> Lease {
    let number = u8::try_from(peer.0).expect("a small number");
    Lease {
        id: LeaseId(peer.0),
        login: LoginId(1),
        rights: Rights { control: true },
        key: LeaseKey([number; KEY_BYTES]),
        challenge: Challenge([number; CHALLENGE_BYTES]),
    }
}

pub(crate) fn answer(lease: &Lease, challenge: Challenge) -> Proof {
    Proof { lease: lease.id, tag: hmac(lease, &proof_text(lease.id, challenge)) }
}

pub(crate) fn next(lease: &Lease, challenge: Challenge) -> Challenge {
    let tag = hmac(lease, &next_text(challenge));
    Challenge(*tag.first_chunk().expect("longer than a challenge"))
}

fn hmac(lease: &Lease, text: &[u8]) -> [u8; KEY_BYTES] {
    let mut hmac = <Hmac<Sha256> as Mac>::new_from_slice(&lease.key.0).expect("any length");
    hmac.update(text);
    hmac.finalize().into_bytes().into()
}
