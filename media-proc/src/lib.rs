//! `lumen-media`: encodes one session's picture.
//!
//! Decides when a picture is encoded ([`pacing`]), how coarse it is ([`rate`]), and which parts of
//! it are examined ([`convert`]). A still screen costs nothing: no wake-up, no packet.
//!
//! Trusts the supervisor. Does not trust the compositor, whose announced sizes, rectangles and
//! memory are checked before use ([`import`]), nor rtc, whose ring reports are checked, too. Either
//! can make the picture wrong; neither can make this process read or write where it should not.
//!
//! The flow of data:
//! ```text
//! frames ──▶ shell::screen ──▶ import ──▶ convert (damage only) ──▶ FrameReleased
//!                                            │ planes, changed macroblocks
//!    tuning ──▶ pacing, motion, rate ──▶ video ──▶ shell::outlet ──▶ ring, packets
//! ```
//! The planes hold the only frame that ever waits: a frame that arrives before the last one is
//! encoded is converted into the same planes. No state outlives the process; a restarted media is
//! announced all buffers again.
//!
//! | module | is |
//! |---|---|
//! | [`convert`] | BGRX to I420, damage only |
//! | [`draw`] | frames of layers by a graphics processor, where there is one |
//! | [`effort`] | how hard the encoder works |
//! | [`import`] | the compositor's buffers by slot |
//! | [`key_floor`] | how often keyframes may be made |
//! | [`ladder`] | frame rate and size, where the quantizer is not enough |
//! | `library` | libraries of the system that are found at run time |
//! | [`motion`] | whether a picture moved or is new |
//! | [`pacing`] | when to encode what |
//! | [`policy`] | this process's confinement |
//! | [`rate`] | the quantizer, from the bits available |
//! | [`shell`] | event loop, links, metrics |
//! | [`sound`] | `lumen-sound`, the other program of this crate |
//! | [`surfaces`] | memory of an encoder that a graphics processor draws into |
//! | [`trial`] | what a graphics processor is worth |
//! | [`video`] | the encoder |

pub mod convert;
pub mod draw;
pub mod effort;
pub mod import;
pub mod key_floor;
pub mod ladder;
pub mod library;
pub mod motion;
pub mod pacing;
pub mod policy;
pub mod rate;
pub mod shell;
pub mod sound;
pub mod surfaces;
pub mod trial;
pub mod video;

use std::process::ExitCode;

/// Runs the worker until the supervisor ends it.
#[must_use]
pub fn run() -> ExitCode {
    lumen_ipc_runtime::bootstrap::run::<shell::Media>()
}
