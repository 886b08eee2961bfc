//! `lumen-sound`: encodes what one session's apps play, and lets them hear what its viewers say.
//!
//! Decides which samples belong to a frame, when that frame was played and whether it is worth sending
//! ([`packetiser`]), and how it is encoded ([`coder`]). It makes a sink in the session's sound server,
//! `lumen_capture`, to which programs play unless they choose another, and listens to it.
//!
//! While a viewer speaks there is a source, `lumen_microphone`, for programs that record: packets of their
//! voices, which rtc passes on as they come, become one steady sound ([`speech`]).
//!
//! Trusts the supervisor, and the compositor's word that somebody's microphone is on. Does not trust the
//! sound server, which the session's apps can reach: its samples may be anything, and it may end, hang or
//! contradict itself. Nor does it trust rtc, whose demands are whole and bounded by their types, and whose
//! packets may be anything.
//!
//! It is a program of its own, not a part of `lumen-media`, so that neither's death interrupts the
//! other, and so that the library that speaks to the sound server sees no picture.
//!
//! ```text
//! sound server ──▶ shell::server ──▶ packetiser ──▶ coder ──▶ shell::outlet ──▶ rtc
//!                                                                  ◀── demand ──
//! sound server ◀── shell::microphone ◀── speech ◀── shell::outlet ◀── rtc
//!                                          ◀── shell::entrance ◀── compositor
//! ```
//! The link from the sink to what listens is made here, not by the session manager ([`wiring`]), and made
//! again when that one is started anew.
//!
//! Without a listener nothing is encoded; while nothing is played the sound server does not wake this
//! process; silence is not sent. A sound server that comes late or is restarted costs no restart: the
//! supervisor is asked for the next connection.
//!
//! | module | is |
//! |---|---|
//! | [`coder`] | frames to Opus |
//! | [`packetiser`] | samples to frames |
//! | [`policy`] | this process's confinement |
//! | [`shell`] | event loop, sound server, link, metrics |
//! | [`speech`] | what viewers say, from packets to samples |
//! | [`wiring`] | which links the sound server is to make |

pub mod coder;
pub mod packetiser;
pub mod policy;
pub mod shell;
pub mod speech;
pub mod wiring;

use std::process::ExitCode;

/// Runs the worker until the supervisor ends it.
#[must_use]
pub fn run() -> ExitCode {
    lumen_ipc_runtime::bootstrap::run::<shell::Sound>()
}
