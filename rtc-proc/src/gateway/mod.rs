//! `lumen-gateway`: the host's HTTP front door.
//!
//! Decides: which requests are looked at at all ([`forwarded`], [`origin`], [`quota`]), what the
//! client's files are ([`assets`]), and which browser's offer goes to rtc under which number
//! ([`switchboard`]). Who may log in it does *not* decide: the supervisor does, over the broker link.
//!
//! Trusts: nobody who connects. A request is bounded in size, time and number before anything in it
//! counts; a WebSocket speaks only after its `Origin`, its `Host` and its key have been judged, and
//! one that says something other than the few legal messages ([`signal`]) is closed without
//! anybody else noticing. SDP and candidates pass through unread.
//!
//! The data's way:
//! ```text
//! anybody ─TCP─▶ shell::server ─▶ shell::doorway ─▶ opening ─▶ relay, or:
//! browser ─HTTP─▶ shell::server ─▶ shell::routes ─▶ assets | broker (login) | shell::socket
//! browser ─WebSocket─▶ shell::socket ─▶ signal ─▶ switchboard ─▶ shell::exchange ─▶ rtc
//! ```
//!
//! | module | is |
//! |---|---|
//! | [`assets`] | the client's files, from memory |
//! | [`cookie`] | reading and making the login cookie |
//! | [`forwarded`] | who asks, as a trusted proxy tells it |
//! | [`halves`] | the key of a login, half a cookie and half the page's |
//! | [`headers`] | what every response carries |
//! | [`lease`] | how long a WebSocket may count on its login |
//! | [`login`] | the body of a login |
//! | [`opening`] | whose a connection is on a port shared with the relay |
//! | [`origin`] | `Host` and `Origin`: who asks, and from which page |
//! | [`policy`] | confinement |
//! | [`path`] | the page's path, whether a proxy strips it or not |
//! | [`quota`] | how many connections, how many messages |
//! | [`refusal`] | why a request is refused, in words |
//! | [`shell`] | sockets, timers, links |
//! | [`signal`] | the JSON of the signalling WebSocket |
//! | [`switchboard`] | browsers and their peers, as a machine |

pub mod assets;
pub mod cookie;
pub mod forwarded;
pub mod halves;
pub mod headers;
pub mod lease;
pub mod login;
pub mod opening;
pub mod origin;
pub mod path;
pub mod policy;
pub mod quota;
pub mod refusal;
pub mod shell;
pub mod signal;
pub mod switchboard;

pub use shell::Gateway;
