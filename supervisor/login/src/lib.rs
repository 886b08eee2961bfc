//! `lumen-login`: PAM for one attempt to sign in, and then the leader of the account's session. systemd starts
//! one for each connection of `lumen serve` to `/run/lumen/login`; descriptor 0 is that connection.
//!
//! Decides who may sign in on this machine: whoever PAM lets in, but neither root, nor an account that is no
//! person's, nor one outside the groups that the administrator has named ([`accounts`]). Decides what a
//! stranger learns, which is nothing: one answer for every failure, after a time that does not depend on it
//! ([`attempt`], [`pace`]). The reason is in the log.
//!
//! PAM's modules are foreign code that runs as root here, so the process reads nothing but messages of at
//! most three kinds from the host's supervisor, which is root itself: no file of Lumen's, no environment, and
//! nothing that a browser sent but names and answers, which it passes on. It has a single thread and is not
//! confined, because what is started in the session inherits from it.
//!
//! ```text
//! lumen serve ── login ── lumen-login (root): PAM ── fork ── lumen-login as the user ── apps
//! ```
//!
//! Both are one process each for as long as the session lasts. Root's waits for the end of the other, or of
//! the link, and then closes the PAM session; the user's makes the Wayland socket and starts programs
//! (`shell`). INVARIANT: whatever fails, nothing is left that runs as root, and nobody has a session.

pub mod accounts;
pub mod attempt;
pub mod environment;
pub mod pace;
mod shell;
pub mod transcript;

pub use shell::run;
