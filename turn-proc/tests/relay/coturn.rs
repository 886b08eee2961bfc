//! coturn's `turnutils_uclient` as an independent client.

use std::process::{Command, Output};

use anyhow::{Context, Result};
use lumen_turn::{
    auth::credential::{Credential, Party},
    shell::now,
};

use crate::{
    client::{grantee, mint},
    expires,
    running::{Running, patient},
};

/// Runs coturn's client with a probe's allocations, two for each side of RTP, that send to each
/// other.
fn uclient(port: u16, username: &str, password: &str, more: &[&str]) -> Result<Output> {
    Command::new("turnutils_uclient")
        .args(["-y", "-c", "-n", "20", "-z", "5", "-l", "400"])
        .args(["-p", &port.to_string(), "-u", username, "-w", password])
        .args(more)
        .arg("127.0.0.1")
        .output()
        .context("cannot run turnutils_uclient; install the package coturn")
}

fn probe(expires: u64) -> Credential {
    mint(grantee(Party::Probe, 1, 1), expires, 1)
}

fn assert_nothing_lost(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Total lost packets 0 (0.000000%)"), "{text}");
    assert!(output.status.success(), "{text}");
}

#[test]
fn turnutils_passes_over_udp_by_channels_and_by_indications() -> Result<()> {
    let relay = Running::start(patient())?;
    let credential = probe(expires());
    for more in [&[][..], &["-s"]] {
        let output = uclient(relay.udp.port(), &credential.username, &credential.password, more)?;
        assert_nothing_lost(&output);
    }
    Ok(())
}

#[test]
fn turnutils_passes_over_tcp() -> Result<()> {
    let relay = Running::start(patient())?;
    let credential = probe(expires());
    let output = uclient(relay.tcp.port(), &credential.username, &credential.password, &["-t"])?;
    assert_nothing_lost(&output);
    Ok(())
}

#[test]
fn turnutils_passes_over_tls() -> Result<()> {
    let relay = Running::start(patient())?;
    let credential = probe(expires());
    let output =
        uclient(relay.tls.port(), &credential.username, &credential.password, &["-t", "-S"])?;
    assert_nothing_lost(&output);
    Ok(())
}

#[test]
fn turnutils_with_wrong_expired_or_foreign_credentials_gets_nothing() -> Result<()> {
    let relay = Running::start(patient())?;
    let (good, old) = (probe(expires()), probe(now().unix.0 - 1));
    let foreign = mint(grantee(Party::Probe, 1, 2), expires(), 1);
    for (username, password) in [
        (&good.username, "wrong"),
        (&old.username, old.password.as_str()),
        (&foreign.username, good.password.as_str()),
    ] {
        let output = uclient(relay.udp.port(), username, password, &["-n", "1"])?;
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(relay.figure("relay_allocations_count"), 0);
    assert_eq!(relay.figure("relay_packets_total"), 0);
    Ok(())
}
