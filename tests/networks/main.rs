//! The desktop through networks that stand between people and their desktops: a real Chromium on
//! one test host, Lumen on another, and between them what makes direct connections fail.
//!
//! Each network is a topology (`topology`) with one or more cases of browsers (`matrix`). A case
//! passes when the picture comes and the page reports the expected path. The table of all cases is
//! printed and kept in `tests/.artifacts/networks.txt`.
//!
//! `LUMEN_TEST_NETWORK=443` runs only those with "443" in their names.
//!
//! Needs root, `ip`, `iptables` and Chromium.

#![forbid(unsafe_code)]

mod matrix;
mod outages;
mod topology;
