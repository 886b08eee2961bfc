//! `lumen`: the parent of every worker, and the command line.
//!
//! Decides: which processes run, as whom, with which descriptors, for how long, and what happens
//! when one ends; who may see the desktop; who may administer it. Holds everything that must
//! outlive a worker: the listening sockets, the token and the logins, the app.
//!
//! Trusts: its own command line and environment, after parsing them; the kernel. It parses nothing
//! that comes from a browser, an app or a media file: workers do, and tell it in bounded typed
//! messages. What workers and the app write to standard error is cut into lines, kept and passed
//! on by threads of the log's own, never read for meaning. The one secret, the access token, is
//! printed once to standard output and never logged.
//!
//! The data's way:
//! ```text
//! arguments, LUMEN_* ─▶ config ─▶ shell::stage (users, programs, places, sockets) ─▶ plan
//!                                                                                     │
//! ends, replies, signals ─▶ shell::session, shell::host ─▶ lifecycle ─▶ actions ─▶ shell::crew
//!                                  └─ session link ─┘│└── admin socket ◀─ cli (status, logs …)
//!                gateway's broker link ─▶ broker ────┘
//! ```
//!
//! | module | is | pure |
//! |---|---|---|
//! | [`config`] | one table of commands and options; parsing, help | yes |
//! | [`environment`] | what of the caller's variables reaches the app | yes |
//! | [`plan`] | configuration → workers, users, grants, links | yes |
//! | [`protection`] | what a machine may lack, in words | yes |
//! | [`pace`] | how fast something may come | yes |
//! | [`locale`] | a locale that this machine has, and UTF-8 | yes |
//! | [`lifecycle`] | what is started, rewired, restarted and ended, when | yes |
//! | [`broker`] | token, logins, throttle, relay credentials | but for randomness |
//! | [`admin`] | where the admin socket is; how output becomes log lines, and their rings | yes |
//! | [`cli`] | what each command prints | no |
//! | `shell` | sockets, processes, files, the event loop | no |

pub mod admin;
pub mod broker;
pub mod cli;
pub mod config;
pub mod environment;
pub mod lifecycle;
pub mod locale;
pub mod pace;
pub mod plan;
pub mod protection;
mod shell;
