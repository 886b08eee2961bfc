//! `lumen-clipboard`: carries copied text between the desktop and desktops that run inside it.
//!
//! A desktop that runs as one of our apps (sway, labwc) has its own clipboard and does not share it with
//! the compositor that shows it. So this program is a client of both: of ours over a connection that the
//! supervisor grants, of each other one over its socket in the user's runtime directory. Text copied on
//! one side is offered on all others.
//!
//! Decides: which side's text the others offer ([`hub`]), and which sockets belong to desktops inside
//! this one ([`kin`]).
//!
//! Trusts: our compositor. Distrusts: every other one. No text passes through this process: it hands the
//! pipe of the app that pastes to the app that copied. So the size of a text is bounded elsewhere: by the
//! `transfer` link if a page sends or receives it, otherwise by the two apps.
//!
//! It is not a worker, because it needs the user's sockets: it runs as the user and confines itself as far
//! as that allows ([`policy`]). Its offers end with it, and its successor starts from what each side has.

pub mod hub;
pub mod kin;
pub mod policy;
mod shell;

pub use shell::run;

/// The name of its process and its executable.
pub const PROGRAM: &str = "lumen-clipboard";
