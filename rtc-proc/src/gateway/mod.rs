//! `lumen-gateway`: the host's HTTP front door.
//!
//! Decides: which requests are handled at all ([`forwarded`], [`origin`], [`quota`]), what the
//! client's files are ([`assets`]), and which browser's offer goes to rtc under which number
//! ([`switchboard`]). It does *not* decide who may log in: the supervisor does, over the broker
//! link.
//!
//! Trusts: nobody who connects. A request is bounded in size, time and number before anything in it
//! counts; a WebSocket opens only after its `Origin`, its `Host` and its key have been checked, and
//! is closed, without any effect on others, if it sends anything but the few legal messages
//! ([`signal`]). SDP and candidates pass through unread.
//!
//! The flow of data:
//! ```text
//! anyone ─TCP─▶ shell::server ─▶ shell::doorway ─▶ opening ─▶ relay, or shell::tls, and then:
//! browser ─HTTP─▶ shell::connection ─▶ shell::routes ─▶ assets | broker (login) | shell::socket
//! browser ─WebSocket─▶ shell::socket ─▶ signal ─▶ switchboard ─▶ shell::exchange ─▶ rtc
//! ```
//!
//! | module | is |
//! |---|---|
//! | [`assets`] | the client's files, from memory |
//! | [`certificate`] | the page's certificate, and whether it can be used |
//! | [`cookie`] | the login cookie |
//! | [`exposition`] | metrics in the format of Prometheus |
//! | [`forwarded`] | the client of a request, also behind a trusted proxy |
//! | [`halves`] | the key of a login, one half in a cookie and one in the page |
//! | [`headers`] | the headers of every response |
//! | [`login`] | the body of a login |
//! | [`observer`] | who may see metrics and readiness |
//! | [`opening`] | whether a connection is the gateway's or the relay's, on a shared port |
//! | [`origin`] | `Host` and `Origin`: which name, and whose page |
//! | [`policy`] | confinement |
//! | [`path`] | the page's path, whether a proxy strips it or not |
//! | [`quota`] | how many connections, how many messages |
//! | [`readiness`] | whether a browser could get a picture |
//! | [`refusal`] | why a request is refused |
//! | [`self_signed`] | a certificate of the gateway's own |
//! | [`shell`] | sockets, timers, links |
//! | [`sign_ins`] | the list of sign-ins that a page gets |
//! | [`signal`] | the JSON of the signalling WebSocket |
//! | [`switchboard`] | browsers and their peers, as a state machine |
//! | [`tenure`] | how long a WebSocket may use its login |
//! | [`voucher`] | the account for which a trusted proxy says that a request is made |

pub mod assets;
pub mod certificate;
pub mod cookie;
pub mod exposition;
pub mod forwarded;
pub mod halves;
pub mod headers;
pub mod login;
pub mod observer;
pub mod opening;
pub mod origin;
pub mod path;
pub mod policy;
pub mod quota;
pub mod readiness;
pub mod refusal;
pub mod self_signed;
pub mod shell;
pub mod sign_ins;
pub mod signal;
pub mod switchboard;
pub mod tenure;
pub mod voucher;

pub use shell::Gateway;
