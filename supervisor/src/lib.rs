//! `lumen`: the parent of every worker, and the command line.
//!
//! Decides: which processes run, as which users, with which descriptors, for how long, and what
//! happens when one ends; who may see the desktop; who may administer it. Holds everything that
//! must outlive a worker: the listening sockets, the token and the logins, the app.
//!
//! Trusts: its own command line, environment and configuration files, after parsing them; the kernel. It parses nothing
//! that comes from a browser, an app or a media file: workers do, and report in bounded typed
//! messages. What workers and the app write to standard error is split into lines, kept and
//! forwarded by threads of the log's own, and never interpreted. The one secret, the access token,
//! is printed once to standard output and never logged.
//!
//! The flow of data:
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
//! | [`config`] | one table of commands and options; parsing of command lines and files, help | yes |
//! | `control_group` | where this process's control group is | yes |
//! | `datagrams` | where datagrams of rtc and the relay may go, as programs for the kernel | yes |
//! | [`environment`] | which of the caller's environment variables reach the app | yes |
//! | [`graphics`] | who draws a session's picture, and when a graphics processor is tried again | yes |
//! | [`plan`] | configuration → workers, users, grants, links | yes |
//! | [`policy`] | what the supervisor itself gives up | yes |
//! | [`protection`] | sentences about the protection that a machine lacks | yes |
//! | [`pace`] | rate limits | yes |
//! | [`search`] | when to look again for what may come late | yes |
//! | [`sound_gate`] | what the sound worker may ask of the sound server | yes |
//! | [`locale`] | an installed locale with UTF-8 | yes |
//! | [`lifecycle`] | what is started, reconnected, restarted and ended, and when | yes |
//! | [`broker`] | token, logins, throttle, whose a connection is, relay credentials, input leases | except for randomness |
//! | [`leases`] | a session's input leases, of which its compositor and rtc are told | yes |
//! | [`admin`] | the path of the admin socket; log lines and their rings | yes |
//! | [`cli`] | what each command prints | no |
//! | `shell` | sockets, processes, files, the event loop | no |

pub mod admin;
pub mod broker;
pub mod cli;
pub mod config;
mod control_group;
mod datagrams;
pub mod environment;
pub mod graphics;
pub mod leases;
pub mod lifecycle;
pub mod locale;
pub mod pace;
pub mod plan;
pub mod policy;
pub mod protection;
pub mod search;
mod shell;
pub mod sound_gate;
