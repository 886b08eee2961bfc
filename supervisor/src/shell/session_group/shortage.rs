//! Says when guests lack what they may not have more of: the kernel has ended some because together they used more
//! memory than they may, or could start none because there were as many as there may be. It tells how often
//! (`memory.events`, `pids.events`), and not which.

use std::{os::fd::OwnedFd, time::Duration};

use lumen_ipc::service::Shortages;
use nix::sys::uio::pread;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::{
    control_group::{Resource, counted},
    shell::{
        event::{Event, Events},
        spawn::watched,
    },
};

/// More than such a file has.
const MOST_BYTES: usize = 1024;
/// How long nothing more is reported after a report: a program that forks without end fails all the time.
const PAUSE: Duration = Duration::from_secs(10);

/// Takes in how often there was too little of a resource since the beginning.
pub(crate) fn note(resource: Resource, known: &mut Shortages, count: u32) {
    let before = match resource {
        Resource::Memory => &mut known.ended_for_memory,
        Resource::Tasks => &mut known.not_started,
    };
    let count = count.saturating_sub(std::mem::replace(before, count));
    match resource {
        Resource::Memory => warn!(
            count,
            "the kernel ended programs of this desktop, because its app and what that started used more memory than \
             they may (--app-memory)"
        ),
        Resource::Tasks => warn!(
            count,
            "programs of this desktop could not be started, because its app and what that started have as many \
             processes and threads as they may (--app-tasks)"
        ),
    }
}

/// Reports each time that the count has grown, for ever: what it is now.
pub(crate) async fn watch(resource: Resource, file: OwnedFd, events: Events) {
    let file = match watched(file) {
        Ok(file) => file,
        Err(error) => return debug!(%error, ?resource, "the kernel does not say when it runs out"),
    };
    let mut known = 0;
    loop {
        // The kernel wakes whoever waits when a number changes. Cleared before it is read, so that a change
        // meanwhile is noticed.
        match file.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(error) => {
                return debug!(%error, ?resource, "the kernel says no longer when it runs out");
            }
        }
        let now = count(file.get_ref(), resource);
        if now > known {
            if events.send(Event::GuestsShort(resource, now)).await.is_err() {
                return;
            }
            sleep(PAUSE).await;
        }
        known = now;
    }
}

fn count(file: &OwnedFd, resource: Resource) -> u32 {
    let mut text = [0; MOST_BYTES];
    let length = pread(file, &mut text, 0).unwrap_or_default();
    counted(resource.key(), &String::from_utf8_lossy(text.get(..length).unwrap_or_default()))
}
