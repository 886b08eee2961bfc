//! `lumen-clipboard`: carries copied text between the desktop and desktops that run inside it.
//!
//! A desktop that is an app of ours (sway, labwc) keeps a clipboard of its own and passes nothing of it
//! on to the compositor that shows it. So this program is a client of both: at ours by a connection that
//! the supervisor grants, at each other one by the socket in the user's runtime directory. What somebody
//! copies on one side it offers on all others.
//!
//! Decides: which side's text the others offer ([`hub`]), and which sockets are those of desktops inside
//! this one ([`kin`]).
//!
//! Trusts: our compositor. Distrusts: every other one. No text passes through this process: it hands the
//! pipe of whoever pastes to whoever has copied. So what a text may cost is bounded where it is elsewhere:
//! by the `transfer` link if it goes to a page or comes from one, by the two apps otherwise.
//!
//! It is no worker, because it must reach the user's sockets: it runs as the user, and confines itself as
//! far as that leaves room ([`policy`]). When it ends, so does what it has offered, and the next one begins
//! with what each side has.

pub mod hub;
pub mod kin;
pub mod policy;
mod shell;

pub use shell::run;

/// Its name, as a process and as a file.
pub const PROGRAM: &str = "lumen-clipboard";
