//! Sound for the peers that listen.

use std::time::Instant;

use lumen_ipc::{message::sound::SoundDemand, sound::SoundKbps};

use super::Peers;
use crate::{
    peer::{Input, Peer},
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

    /// What is wanted of the sound worker; `None` where the session has none.
    #[must_use]
    pub fn sound_demand(&self) -> Option<SoundDemand> {
        self.sound.as_ref().map(SoundWanted::demand)
    }

    /// Passes on a frame of sound.
    pub fn sound(&mut self, now: Instant, frame: &SoundFrame) {
        self.for_each(now, || Input::Sound(frame));
    }

    /// Notes who listens.
    pub(super) fn refresh_sound(&mut self, now: Instant) {
        let picture = self.wanted.demand().bitrate;
        let Self { peers, sound: Some(sound), .. } = self else { return };
        let peers = peers.values().filter_map(|entry| entry.peer.as_ref());
        sound.heard(now, picture, peers.filter_map(Peer::sound_loss));
    }
}
