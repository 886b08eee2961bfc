//! What Lumen's end-to-end tests and benchmarks stand on: they run the real binaries and look at
//! them from outside, as an app, as a browser and as an administrator would.
//!
//! - [`stage`]: the binaries under test, laid out so that any user may run them;
//! - [`rig`]: one running Lumen, started for one test, as `setup` has it, and ended with it;
//! - [`hosted`]: one host and any number of sessions, a process each;
//! - [`accounts`]: accounts that sign in by PAM, and what systemd starts for them;
//! - [`app`]: the Wayland app the tests show, seen through the log it writes; its pictures are in
//!   [`picture`], its log lines in [`app_event`];
//! - [`browser`]: a real Chromium;
//! - [`hearing`]: a tone, and a page that hears it; [`user_server`], a sound server that the user runs;
//! - [`step`]: flashes and beeps of one program, and how far apart a page shows and plays them;
//! - [`viewer`]: a native WebRTC peer for what a browser would only make slow;
//! - [`watched`]: three sessions of one host, each with a page that watches it;
//! - [`census`]: what a host and its sessions hold, to find what leaks; [`chance`], for who dies;
//! - [`nginx`]: a real reverse proxy, and [`certificate`], which one needs for TLS;
//! - [`network`]: hosts, cables, firewalls and address translators of the tests' own;
//! - [`mod@line`]: what joins two of these hosts, as badly as a test wants;
//! - [`relay`]: the relay, as a stranger sees it;
//! - [`process`]: what `/proc` says of a process;
//! - [`patience`]: the one way to wait; [`mod@knob`]: numbers that whoever runs the tests may change;
//! - [`measured`]: figures worth printing, and percentiles.
//!
//! INVARIANT: nothing here sleeps for a guessed time or tries again after a failure. A test waits
//! for a condition with [`patience::wait_until`], whose limit is far above what a loaded machine
//! needs and only decides how long a failing test takes.

#![expect(clippy::print_stdout, reason = "the test runner shows it for tests that fail")]

pub mod accounts;
pub mod app;
pub mod app_event;
pub mod browser;
pub mod census;
pub mod certificate;
pub mod chance;
pub mod hearing;
mod home;
pub mod hosted;
pub mod identity;
mod insight;
pub mod knob;
pub mod line;
pub mod measured;
pub mod network;
pub mod nginx;
pub mod patience;
pub mod picture;
pub mod process;
pub mod relay;
pub mod rig;
mod setup;
pub mod stage;
pub mod stall;
pub mod step;
pub mod user_server;
pub mod viewer;
pub mod watched;
