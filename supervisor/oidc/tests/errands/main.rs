//! `lumen-oidc` as it is built, between a host's supervisor (the tests) and identity providers on ports of their own:
//! a real one, at which people sign in by its pages, and one that lies.
//!
//! The program is started as systemd would: its link is its standard input, its settings are in `/etc/lumen`, the
//! secret in a folder of credentials. `/etc` is the test's own, in a mount namespace; without root that takes a user
//! namespace, too.

mod browser;
mod lies;
mod people;
mod program;
mod provider;
mod refusals;
