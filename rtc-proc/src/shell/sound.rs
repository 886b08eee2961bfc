//! The end of the `sound` link, and the newest demand for it.

use std::os::fd::BorrowedFd;

use lumen_ipc::{
    codec::{ProtocolViolation, Violation},
    link::LinkName,
    message::sound::{SoundDemand, ToRtc, ToSound},
    units::StreamId,
};
use lumen_ipc_runtime::{bootstrap::Grant, channel::NotALink, link_end::GiveUp};

use super::links::{MaybeEnd, Over, send};

/// The end of the `sound` link, while there is one.
#[derive(Debug, Default)]
pub(super) struct Sound {
    end: MaybeEnd<ToRtc, ToSound>,
    /// The demand that the sound worker has not been told yet.
    untold: Option<SoundDemand>,
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
        Ok(())
    }

    /// Closes the end, for the reason `why`.
    pub(super) fn detach(&mut self, why: GiveUp) {
        self.end.detach(why);
        self.untold = None;
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

    /// Sends what waits.
    pub(super) fn flush(&mut self) -> Result<(), Over> {
        if let (Some(end), Some(demand)) = (self.end.get(), self.untold)
            && send(end, &ToSound::Wanted(demand))?
        {
            self.untold = None;
        }
        Ok(())
    }

    pub(super) const fn wants_to_send(&self) -> bool {
        self.untold.is_some()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.end.descriptor()
    }
}
