//! Findings about the relay: its ports, its addresses, its certificate.

use std::{io::ErrorKind, net::IpAddr};

use super::{
    certificate::{self, with_cause},
    finding::Finding,
};
use crate::{
    config::{DoctorConfig, RelayConfig},
    shell::{
        relay::{self, RelayError},
        sockets,
    },
};

pub(super) fn findings(config: &DoctorConfig) -> Vec<Finding> {
    let Some(relay) = &config.relay else {
        let found = "off: viewers must reach the UDP port directly";
        return vec![Finding::ok("relay", found)];
    };
    let mut findings = vec![ports(config, relay), address(config)];
    findings.extend(relay.tls.as_ref().map(certificate::of_relay));
    findings
}

fn ports(config: &DoctorConfig, relay: &RelayConfig) -> Finding {
    let subject = "relay";
    let addresses = sockets::addresses();
    let local = config.front_door.is_local();
    let tls = relay.tls.as_ref().map(|tls| tls.port);
    match relay::try_ports(relay.port, tls, &addresses, local) {
        Ok(reached) => {
            let reached: Vec<String> = reached.iter().map(IpAddr::to_string).collect();
            let tls = tls.map_or(String::new(), |port| format!(", TLS port {port}"));
            let port = relay.port;
            Finding::ok(subject, format!("port {port}{tls} free at {}", reached.join(", ")))
        }
        Err(RelayError::Bind { port, source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            Finding::warn(
                subject,
                format!("port {port} is in use"),
                "a free one will be taken, which firewalls may not know; see `lumen status`, or \
                 choose with --relay-port and --relay-tls-port",
            )
        }
        Err(error) => Finding::missing(
            subject,
            with_cause(&error),
            "choose other ports with --relay-port and --relay-tls-port, or --relay off",
        ),
    }
}

/// Whether browsers elsewhere can learn this machine's address.
fn address(config: &DoctorConfig) -> Finding {
    let subject = "address for viewers elsewhere";
    if config.front_door.is_local() {
        return Finding::ok(
            subject,
            "none: --listen is a loopback address, and no proxy is trusted",
        );
    }
    if let Some(public) = config.public_address {
        return Finding::ok(subject, format!("{public}, as --public-address says"));
    }
    let addresses = sockets::addresses();
    match addresses.iter().find(|address| is_global(address)) {
        Some(address) => Finding::ok(subject, address.to_string()),
        None => Finding::warn(
            subject,
            "all addresses of this machine are private",
            "viewers of the same network reach it; for others forward the ports at the router and \
             name its address with --public-address",
        ),
    }
}

fn is_global(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            // The shared address space of carrier-grade NAT (RFC 6598) is not global either.
            let shared = matches!(address.octets(), [100, 64..=127, ..]);
            !(shared
                || address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified())
        }
        // Only global unicast addresses (RFC 4291, section 2.4) are assigned.
        IpAddr::V6(address) => matches!(address.segments(), [0x2000..=0x3fff, ..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_addresses_are_told_from_private_ones() {
        let global = |text: &str| is_global(&text.parse().expect("an address"));
        assert!(["198.51.100.7", "172.32.0.1", "2001:db8::7"].into_iter().all(global));
        let not = ["10.0.0.1", "192.168.1.2", "100.64.0.1", "127.0.0.1", "fd00::1", "::1"];
        assert!(!not.into_iter().any(global));
    }
}
