//! What a death costs: workers, supervisor and app are killed while somebody watches.
//!
//! Each test starts the real Lumen; those that speak of the picture use a real browser.

#![forbid(unsafe_code)]

mod addresses;
mod app;
mod commands;
mod deaths;
mod helpers;
mod hosts;
mod leaks;
mod limits;
mod orphans;
mod restarts;
mod rights;
mod sessions;
mod sizes;
mod sockets;
mod stalls;
mod stop;
