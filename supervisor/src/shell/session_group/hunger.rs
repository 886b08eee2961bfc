//! Says when the kernel has ended guests because together they used more memory than they may: the kernel tells
//! how many (`memory.events`), and not which.

use std::os::fd::OwnedFd;

use nix::sys::uio::pread;
use tracing::debug;

use crate::{
    control_group::ended_for_memory,
    shell::{
        event::{Event, Events},
        spawn::watched,
    },
};

/// More than the file has.
const MOST_BYTES: usize = 1024;

/// Reports each time that more guests have been ended, for ever: how many since the beginning.
pub(crate) async fn watch(file: OwnedFd, events: Events) {
    let file = match watched(file) {
        Ok(file) => file,
        Err(error) => return debug!(%error, "the kernel does not say when memory runs out"),
    };
    let mut known = 0;
    loop {
        // The kernel wakes whoever waits when a number changes. Cleared before it is read, so that a change
        // meanwhile is noticed.
        match file.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(error) => return debug!(%error, "the kernel says no longer when memory runs out"),
        }
        let now = ended(file.get_ref());
        if now > known && events.send(Event::GuestsStarved(now)).await.is_err() {
            return;
        }
        known = now;
    }
}

fn ended(file: &OwnedFd) -> u32 {
    let mut text = [0; MOST_BYTES];
    let length = pread(file, &mut text, 0).unwrap_or_default();
    ended_for_memory(&String::from_utf8_lossy(text.get(..length).unwrap_or_default()))
}
