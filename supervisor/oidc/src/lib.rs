//! `lumen-oidc`: OpenID Connect for one browser that signs in. systemd starts one for each connection of `lumen serve`
//! to `/run/lumen/oidc`; descriptor 0 is that connection.
//!
//! Decides whether an identity provider's statement is to be believed ([`errand`]), and which account of this machine
//! it names ([`naming`]). Whether that account may sign in is for `lumen-login` to decide, as always.
//!
//! ```text
//! lumen serve ── oidc ── lumen-oidc ── HTTPS ── the provider
//! ```
//!
//! What the provider sends is foreign, and so is what the browser brings back. The process that reads it is one for each
//! attempt; it has no other browser's secrets, and is fenced in before it reads any of it ([`policy`]). Its word opens nothing but the path by which a trusted proxy's would.
//!
//! | module | is |
//! |---|---|
//! | [`settings`] | the provider, and how it names accounts: what the administrator has written |
//! | [`errand`] | the authorization code flow with PKCE, state and nonce, over any HTTP client |
//! | [`naming`] | from the claims of a valid statement to an account |
//! | [`returned`] | what a browser brings back |
//! | [`answer`] | why a request to the provider has no answer, and who can mend that |
//! | [`policy`] | what the program may do once it listens to others |
//! | `shell` | the link, the HTTP client, files |

pub mod answer;
pub mod errand;
pub mod naming;
pub mod policy;
pub mod returned;
pub mod settings;
mod shell;

pub use shell::run;
