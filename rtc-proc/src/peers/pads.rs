//! Which viewers have which gamepads plugged in, kept for a new gamepad worker.
//!
//! INVARIANT: messages to gamepad about a pad come only between its `Plugged` and its `Unplugged`
//! or the end of its peer.

use std::{collections::BTreeSet, time::Instant};

use lumen_ipc::{
    message::pads::{PadAction, PadReport, ToGamepad, ToRtc},
    units::{PadIndex, PeerId},
};

use super::{Output, Peers};
use crate::peer::{Input, encode};

/// The plugged pads.
#[derive(Debug, Default)]
pub(super) struct PluggedPads {
    /// In the order of plugging: a new gamepad worker assigns devices in that order, as its
    /// predecessor did.
    pads: Vec<(PeerId, PadIndex, PadReport)>,
    /// Every peer that gamepad was told of, including peers that have unplugged all their pads:
    /// that message may have been dropped.
    owners: BTreeSet<PeerId>,
}

impl Peers {
    /// A new gamepad worker receives pads from now on.
    pub fn pads_replaced(&mut self) {
        for (peer, pad, report) in &self.pads.pads {
            for action in [PadAction::Plugged(*pad), PadAction::Reported(*pad, *report)] {
                self.outputs.push_back(Output::Pad(ToGamepad { peer: *peer, action }));
            }
        }
    }

    /// Handles a message from the gamepad worker.
    pub fn pads_said(&mut self, now: Instant, message: ToRtc) {
        match message {
            ToRtc::Available(available) => {
                if let Some(bytes) = self.desk.note_pads(available) {
                    self.broadcast(now, &bytes);
                }
            }
            ToRtc::Rumbled { peer, pad, strong, weak, millis } => {
                let message = encode::pad_rumbled(pad, [strong, weak], millis);
                self.feed(now, peer, Input::Message(&message));
            }
        }
    }

    pub(super) fn on_pad(&mut self, peer: PeerId, action: PadAction) {
        let mut tell = |action| self.outputs.push_back(Output::Pad(ToGamepad { peer, action }));
        let PluggedPads { pads, owners } = &mut self.pads;
        let position = |pad| pads.iter().position(|(owner, own, _)| (*owner, *own) == (peer, pad));
        match action {
            PadAction::Reported(pad, report) => {
                match position(pad).and_then(|at| pads.get_mut(at)) {
                    Some((_, _, known)) => *known = report,
                    None => {
                        pads.push((peer, pad, report));
                        owners.insert(peer);
                        tell(PadAction::Plugged(pad));
                    }
                }
                tell(action);
            }
            PadAction::Unplugged(pad) => {
                if let Some(at) = position(pad) {
                    pads.remove(at);
                    tell(action);
                }
            }
            // Peers send neither: the first report plugs a pad in, and the end of a peer is handled
            // elsewhere.
            PadAction::Plugged(_) | PadAction::PeerLeft => {}
        }
    }

    pub(super) fn pads_of_peer_gone(&mut self, peer: PeerId) {
        self.pads.pads.retain(|(owner, _, _)| *owner != peer);
        if self.pads.owners.remove(&peer) {
            let message = ToGamepad { peer, action: PadAction::PeerLeft };
            self.outputs.push_back(Output::Pad(message));
        }
    }
}
