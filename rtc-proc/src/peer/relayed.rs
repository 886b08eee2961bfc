//! Our address at the relay: one of those that the browser may send to.

use std::net::SocketAddr;

use str0m::{Candidate, Rtc};

use super::{Peer, PeerEvent};

impl Peer {
    /// The relay has given us another address, or none any more.
    pub(super) fn move_relayed(&mut self, relayed: Option<SocketAddr>) {
        self.forget_relayed();
        self.relayed = relayed;
        if let Some(relayed) = relayed {
            add(&mut self.rtc, relayed);
            self.emit(PeerEvent::CandidateFound(line(relayed)));
        }
    }

    pub(super) fn forget_relayed(&mut self) {
        if let Some(old) = self.relayed.take() {
            remove(&mut self.rtc, old);
        }
    }
}

/// Adds our address at the relay, if there is one, to those that peers may use, and names it in `answer` before
/// the others.
pub(super) fn answer(rtc: &mut Rtc, answer: String, relayed: Option<SocketAddr>) -> String {
    let Some(relayed) = relayed else { return answer };
    add(rtc, relayed);
    let Some(place) = answer.find("a=candidate:") else { return answer };
    let (before, after) = answer.split_at(place);
    format!("{before}a={}\r\n{after}", line(relayed))
}

/// Adds `relayed` to our addresses.
fn add(rtc: &mut Rtc, relayed: SocketAddr) {
    match Candidate::host(relayed, "udp") {
        Ok(candidate) => drop(rtc.add_local_candidate(candidate)),
        Err(error) => tracing::warn!(%error, "cannot use our address at the relay as a candidate"),
    }
}

/// Removes `relayed` from our addresses.
fn remove(rtc: &mut Rtc, relayed: SocketAddr) {
    if let Ok(candidate) = Candidate::host(relayed, "udp") {
        rtc.direct_api().invalidate_candidate(&candidate);
    }
}

/// `relayed` as a candidate line (RFC 8839, section 5.1). The address from which we reach the relay
/// is private: the related address is left out, as browsers do.
fn line(relayed: SocketAddr) -> String {
    // RFC 8445, section 5.1.2.1: type preference 0, the highest local one, component 1.
    const PRIORITY: u32 = 65_535 << 8 | (256 - 1);
    let (ip, port) = (relayed.ip(), relayed.port());
    let nowhere = if relayed.is_ipv4() { "0.0.0.0" } else { "::" };
    format!("candidate:relay 1 udp {PRIORITY} {ip} {port} typ relay raddr {nowhere} rport 0")
}
