//! `lumen-compositor`: the Wayland compositor of one session. The crate has a second program, [`bridge`],
//! which shares the clipboard with desktops inside this one.
//!
//! Decides: which surfaces make up the picture and where ([`layout`], [`render`]), when it is drawn
//! ([`capture`]), who gets input ([`input`]), and what a browser must know besides the picture
//! ([`desktop`], [`cursor`]).
//!
//! Trusts: its configuration. Distrusts: every app (Smithay checks the protocol; an app that truncates
//! its memory harms only itself, see [`render`]), media (releases only what it was handed) and rtc
//! (input is decoded by type, and a ledger here records the keys and buttons that peers hold down).
//!
//! The data flow:
//! ```text
//! apps ──▶ Wayland socket ──▶ handlers ──▶ State ──▶ render ──▶ shared memory ─┐
//! rtc  ──▶ input link ──────▶ input ────────▲ │                               │
//! media ─▶ frames link ──▶ size wanted ─────┘ │                               │
//! rtc  ◀─▶ transfer link ◀──▶ transfers ◀────▶ selections ◀─▶ apps' pipes
//! rtc  ◀── desktop link ◀──── desktop ◀───────┘      capture ──▶ frames link ──┴─▶ media
//! ```
//!
//! Modules: [`state`] owns the parts, none of which depends on it: [`output`], [`seat`], the windows,
//! popups and panels of the [`tree`] with their [`layout`] and [`presence`], [`capture`] with the drawing
//! ([`render`]), [`imports`], [`desktop`] and [`selections`]. [`handlers`], which Smithay calls, and [`input`] change
//! several of them at once. These are pure: [`layout`], [`damage`], [`desktop`], [`selections`], the
//! schedule and damage of [`capture`], the ledger and wheel of [`seat`], and the resizing of [`output`].
//! [`shell::transfers`] has the pipes that apps write and read. [`shell`] runs the loop and does the I/O,
//! including what others ask of the [`kernel`]; [`worker`] is the life of the process; [`policy`] is its
//! confinement.

pub mod bridge;
pub mod capture;
pub mod client;
pub mod cursor;
pub mod damage;
pub mod desktop;
pub mod handlers;
pub mod imports;
pub mod input;
pub mod kernel;
pub mod layout;
pub mod metrics;
pub mod output;
pub mod policy;
pub mod pools;
pub mod presence;
pub mod protocols;
pub mod render;
pub mod seat;
pub mod selections;
pub mod shell;
pub mod state;
pub mod tree;
pub mod windows;
pub mod worker;

use std::process::ExitCode;

/// Runs the worker from exec to exit.
#[must_use]
pub fn run() -> ExitCode {
    lumen_ipc_runtime::bootstrap::run::<worker::CompositorWorker>()
}
