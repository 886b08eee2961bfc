//! The end of the `sound` link, the newest demand for it, and what viewers say.

use std::{collections::VecDeque, os::fd::BorrowedFd};

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::sound::{SoundDemand, Speech, ToRtc, ToSound},
    units::StreamId,
};
use lumen_ipc_runtime::{bootstrap::Grant, channel::NotALink, link_end::GiveUp};

use super::links::{MaybeEnd, Over, send, send_waiting};

/// Most packets of viewers' voices that wait for a busy sound worker: what is older would come too late.
const MOST_WAITING: usize = 32;

/// The end of the `sound` link, while there is one.
#[derive(Debug, Default)]
pub(super) struct Sound {
    end: MaybeEnd<ToRtc, ToSound>,
    /// The demand that the sound worker has not been told yet.
    untold: Option<SoundDemand>,
    /// What viewers said, the oldest first.
    said: VecDeque<ToSound>,
}

impl Sound {
    /// Takes the end of a new sound worker, which is told `demand`.
    pub(super) fn attach(
        &mut self,
        grant: Grant,
        demand: Option<SoundDemand>,
    ) -> Result<(), NotALink> {
        self.end.attach(grant)?;
        self.untold = demand;
        self.said.clear();
        Ok(())
    }

    /// Closes the end, for the reason `why`.
    pub(super) fn detach(&mut self, why: GiveUp) {
        self.end.detach(why);
        self.untold = None;
        self.said.clear();
    }

    /// The next frame.
    pub(super) fn next(&self) -> Result<Option<ToRtc>, Over> {
        let Some(message) = self.end.next()? else { return Ok(None) };
        if message.stream == StreamId::SOUND {
            return Ok(Some(message));
        }
        let what = Violation::Illegal("a frame of a stream that no viewer receives");
        Err(ProtocolViolation { link: LinkName::Sound, what }.into())
    }

    /// Replaces a demand that waits.
    pub(super) fn tell(&mut self, demand: SoundDemand) {
        self.untold = self.end.get().map(|_| demand);
    }

    /// Passes on what a viewer says; returns whether there is room.
    pub(super) fn say(&mut self, speech: Speech) -> bool {
        let has_room = self.end.get().is_some() && self.said.len() < MOST_WAITING;
        if has_room {
            self.said.push_back(ToSound::Said(speech));
        }
        has_room
    }

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Result<(), Over> {
        if let (Some(end), Some(demand)) = (self.end.get(), self.untold)
            && send(end, &ToSound::Wanted(demand))?
        {
            self.untold = None;
        }
        match self.end.get() {
            Some(end) => send_waiting(end, &mut self.said),
            None => Ok(()),
        }
    }

    pub(super) fn wants_to_send(&self) -> bool {
        self.untold.is_some() || !self.said.is_empty()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.end.descriptor()
    }
}
