//! Sound for the peers that listen, and what their viewers say.

use std::time::Instant;

use lumen_ipc::{
    message::sound::{SoundDemand, Speech},
    sound::{SoundKbps, SoundPayload},
    units::PeerId,
};

use super::{Output, Peers};
use crate::{
    peer::{
        Input, Peer,
        encode::{self, Heard},
        speech::Utterance,
    },
    sound::{SoundFrame, SoundWanted},
};

impl Peers {
    /// The session has sound, which takes at most `most`.
    #[must_use]
    pub fn with_sound(mut self, most: SoundKbps) -> Self {
        self.sound = Some(SoundWanted::new(most));
        self.setup.offer_sound();
        self
    }

    /// Viewers with the right to control may speak.
    #[must_use]
    pub const fn with_speech(mut self) -> Self {
        self.setup.take_speech();
        self
    }

    /// What is wanted of the sound worker; `None` where the session has none.
    #[must_use]
    pub fn sound_demand(&self) -> Option<SoundDemand> {
        self.sound.as_ref().map(SoundWanted::demand)
    }

    /// Passes on a frame of sound.
    pub fn sound(&mut self, now: Instant, frame: &SoundFrame) {
        self.for_each(now, || Input::Sound(frame));
    }

    /// Passes on what a viewer says, who may control and is the one who is heard.
    pub(super) fn on_spoke(
        &mut self,
        now: Instant,
        peer: PeerId,
        Utterance { sequence, data }: Utterance,
    ) {
        if !self.peers.get(&peer).is_some_and(|entry| entry.rights.control) {
            return;
        }
        let is_heard = self.floor.speak(now, peer);
        self.tell_heard(now);
        if !is_heard {
            return;
        }
        // No browser sends an empty packet or one that is longer than a frame.
        let Ok(payload) = SoundPayload::new(data.to_vec()) else { return };
        self.outputs.push_back(Output::Speech(Speech { peer, sequence, payload }));
    }

    /// Whoever may not control any more, or is gone, is heard no longer.
    pub(super) fn check_floor(&mut self, now: Instant) {
        if let Some(holder) = self.floor.holder()
            && !self.peers.get(&holder).is_some_and(|entry| entry.rights.control)
        {
            self.floor.leave(holder);
        }
        self.tell_heard(now);
    }

    /// Tells each page whose microphone is heard, if it was told otherwise.
    pub(super) fn tell_heard(&mut self, now: Instant) {
        let mut news = Vec::new();
        let takes_speech = self.setup.takes_speech();
        for (number, entry) in &mut self.peers {
            let may_speak = takes_speech && entry.rights.control;
            let heard = if may_speak { self.floor.as_seen_by(*number) } else { Heard::Forbidden };
            if std::mem::replace(&mut entry.told_heard, heard) != heard {
                news.push((*number, heard));
            }
        }
        for (number, heard) in news {
            self.feed(now, number, Input::Message(&encode::microphone(heard)));
        }
    }

    /// Notes who listens.
    pub(super) fn refresh_sound(&mut self, now: Instant) {
        let picture = self.wanted.demand().bitrate;
        let Self { peers, sound: Some(sound), .. } = self else { return };
        let peers = peers.values().filter_map(|entry| entry.peer.as_ref());
        sound.heard(now, picture, peers.filter_map(Peer::sound_loss));
    }
}
