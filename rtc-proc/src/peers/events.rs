//! Events of one peer, and their consequences for others, the compositor and the gateway.

use std::time::Instant;

use lumen_ipc::{
    message::{
        input::{Action, ToCompositor},
        signalling::{Reason, ToGateway},
    },
    text::Text,
    units::{OutputId, PeerId},
};

use super::{Output, Peers};
use crate::peer::{
    Ending, Input, Output as PeerOutput, Peer, PeerEvent, Said,
    encode::{self, Heard},
};

impl Peers {
    pub(super) fn on_event(&mut self, now: Instant, number: PeerId, event: PeerEvent) {
        match event {
            PeerEvent::Said(Said::Acted(action)) => self.on_action(now, number, action),
            PeerEvent::Said(Said::Pad(action)) => self.on_pad(number, action),
            PeerEvent::Said(Said::PageShown(shown)) => self.on_page_shown(now, number, shown),
            PeerEvent::Said(Said::Proved(proof)) => self.on_proof(now, number, proof),
            PeerEvent::Said(Said::SizeWanted(size)) => self.sizes.wish(now, number, size),
            PeerEvent::ClipboardSaid(said) => self.on_clipboard_said(now, number, said),
            PeerEvent::ClipboardWanted => self.on_clipboard_wanted(now, number),
            PeerEvent::Connected => {
                if let Some(entry) = self.peers.get_mut(&number) {
                    entry.connect_by = None;
                    entry.keyframes.joined();
                }
                self.wanted.joined();
            }
            PeerEvent::CandidateFound(line) => self.tell_candidate(number, line),
            PeerEvent::Ended(ending) => self.on_ended(now, number, ending),
            PeerEvent::FrameSent(stamps) => self.outputs.push_back(Output::FrameSent(stamps)),
            PeerEvent::Said(Said::KeyframeWanted) => self.on_keyframe_wanted(now, number),
            PeerEvent::Spoke(utterance) => self.on_spoke(now, number, utterance),
            PeerEvent::MessagesWanted => {
                let mut replay = self.desk.replay();
                let heard = self.peers.get(&number).map(|entry| entry.told_heard);
                if let Some(heard) = heard.filter(|heard| *heard != Heard::Forbidden) {
                    replay.push(encode::microphone(heard));
                }
                for message in replay {
                    let entry = self.peers.get_mut(&number);
                    let Some(peer) = entry.and_then(|entry| entry.peer.as_mut()) else { return };
                    peer.handle(now, Input::Message(&message));
                }
            }
        }
    }

    /// Handles a viewer's request for a keyframe, which goes to everybody.
    pub(super) fn on_keyframe_wanted(&mut self, now: Instant, number: PeerId) {
        let Some(entry) = self.peers.get_mut(&number) else { return };
        if entry.keyframes.request(now) {
            self.wanted.keyframe_asked();
        }
    }

    /// A hidden page gets no pictures: if no other page is shown, none are made. Shown again, it
    /// begins with a keyframe, as often as a viewer may have one.
    fn on_page_shown(&mut self, now: Instant, number: PeerId, shown: bool) {
        let Some(entry) = self.peers.get_mut(&number) else { return };
        if std::mem::replace(&mut entry.is_hidden, !shown) != shown {
            return;
        }
        if shown {
            self.on_keyframe_wanted(now, number);
        } else if let Some(peer) = &mut entry.peer {
            // Called while its events are collected, as for `MessagesWanted`.
            peer.handle(now, Input::VideoInterrupted);
        }
    }

    fn on_action(&mut self, now: Instant, number: PeerId, action: Action) {
        let Some(entry) = self.peers.get_mut(&number) else { return };
        entry.has_acted = true;
        if let Some(peer) = &mut entry.peer {
            peer.acted(now);
        }
        self.working = Some(number);
        self.input(number, action);
        self.sizes.note(now, number, action);
    }

    /// Sends a viewer's input to the compositor. All viewers watch the same output.
    pub(super) fn input(&mut self, peer: PeerId, action: Action) {
        let output = OutputId::PRIMARY;
        self.outputs.push_back(Output::Input(ToCompositor { peer, output, action }));
    }

    fn on_ended(&mut self, now: Instant, number: PeerId, ending: Ending) {
        // The peer's remaining output is its farewell.
        let Some(mut entry) = self.peers.remove(&number) else { return };
        while let Some(output) = entry.peer.as_mut().and_then(Peer::poll_output) {
            if let PeerOutput::Transmit(datagram) = output {
                self.transmit(now, datagram);
            }
        }
        self.routes.retain(|_, owner| *owner != number);
        if entry.has_acted {
            self.input(number, Action::PeerLeft);
        }
        self.sizes.leave(number);
        self.pads_of_peer_gone(number);
        self.clipboard_of_peer_gone(now, number);
        self.check_floor(now);
        let retry = !matches!(ending, Ending::Unsecured(_) | Ending::Violation(_));
        let reason = format!("The connection ended: {ending}.");
        self.tell_closed(entry.generation, entry.gateway_number, &reason, retry);
        self.outputs.push_back(Output::Ended { peer: number, ending });
    }

    fn tell_candidate(&mut self, number: PeerId, line: String) {
        let Some(entry) = self.peers.get(&number) else { return };
        if entry.generation == self.generation {
            let (peer, candidate) = (entry.gateway_number, Text::truncated(line));
            let message = ToGateway::CandidateFound { peer, candidate };
            self.outputs.push_back(Output::ToGateway(message));
        }
    }

    pub(super) fn tell_closed(&mut self, generation: u32, peer: PeerId, reason: &str, retry: bool) {
        if generation == self.generation {
            let reason = Reason::truncated(reason);
            let message = ToGateway::PeerClosed { peer, reason, retry };
            self.outputs.push_back(Output::ToGateway(message));
        }
    }
}
