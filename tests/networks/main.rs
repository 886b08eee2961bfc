//! The desktop through the networks that stand between people and their desktops: a real Chromium
//! on one host, Lumen on another, and in between what makes direct connections fail.
//!
//! Each network is a topology (`topology`) with one or more ways a browser goes through it
//! (`matrix`). A way passes when the picture comes and the page says that it came by the path that
//! is expected there. The table of all is printed and kept in `tests/.artifacts/networks.txt`.
//!
//! `LUMEN_TEST_NETWORK=443` tries only those with "443" in their names.
//!
//! Needs root, `ip`, `iptables` and Chromium.

#![forbid(unsafe_code)]

mod matrix;
mod topology;
