//! Everything that touches the operating system: [`start`] carries out `lumen run`, `lumen serve` and
//! `lumen session`.
//!
//! Order: sockets of a service manager are moved up, descriptors 3 and 4 are reserved, the [`stage`] is set (which finds everything that can be
//! wrong), then the loops of [`host`] and [`session`] own everything until they end. One thread does all
//! this, because a child's death signal is tied to the thread that forked it. Other threads carry the
//! [`log`] and do what would block the loops.

mod activation;
mod addresses;
mod administration;
mod app;
mod audit;
pub(crate) mod certificate;
mod child;
pub(crate) mod config_files;
mod crew;
pub(crate) mod demo;
pub(crate) mod enclosure;
mod event;
mod evict;
mod family;
pub(crate) mod fence;
pub(crate) mod ffi;
mod granted;
mod graphics;
mod guests;
mod handshake;
mod helpers;
mod host;
mod inquiry;
mod keeper;
mod label;
mod leader;
mod link;
mod lock_file;
mod log;
mod login_news;
mod manager;
mod metrics_token;
mod nameless;
mod news;
mod owner;
pub(crate) mod pads;
pub(crate) mod places;
mod proc;
pub(crate) mod programs;
pub(crate) mod proxy_door;
pub(crate) mod relay;
pub(crate) mod render_node;
mod restrained;
pub(crate) mod run_dir;
mod service;
mod session;
pub(crate) mod session_group;
pub(crate) mod sockets;
pub(crate) mod sound;
mod sound_gate;
mod spawn;
pub(crate) mod stage;
mod standing;
pub(crate) mod start;
pub(crate) mod trial;
mod uids;
pub(crate) mod users;
mod watch;
mod worker;

use std::error::Error;

/// An error with its causes.
pub(crate) fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence.push_str(&format!(": {error}"));
        cause = error.source();
    }
    sentence
}
