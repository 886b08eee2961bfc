//! The way from the worker for sound to the session's sound server.

use super::{Event, Session, sound_gate};

impl Session {
    /// Connects sound to the sound server, if it is there.
    pub(super) fn look_for_sound_server(&mut self) {
        let connect = || self.stage.sound_server()?.connect().ok();
        let microphone = self.stage.takes_speech();
        let found = connect().and_then(|connection| Some((connection, connect()?)));
        let guarded = found.and_then(|(connection, sink)| {
            let owner = sink.try_clone();
            Some((
                sound_gate::guarded(connection, microphone).ok()?,
                sound_gate::guarded(sink, false).ok()?,
                owner.ok()?,
            ))
        });
        let taken = guarded.is_some_and(|(connection, sink, owner)| {
            let taken = self.crew.workers.deliver_sound_server(&connection, &sink);
            self.sink.offered(owner);
            taken
        });
        let (wait, events) = (self.search.tried(taken), self.events());
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // It fails only when the event loop has ended.
            let _ = events.send(Event::SoundServerDue).await;
        });
    }
}
