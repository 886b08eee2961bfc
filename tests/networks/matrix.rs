//! The path that is expected through each network.

use std::{
    env,
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    browser::{
        Browser, Path,
        Path::{Direct, Relayed},
        Transport::{Tcp, Tls, Udp},
    },
    certificate::{Certificate, NAME},
    rig::{Rig, Setup},
    stage::artifacts,
};

use crate::topology::{Gate, Network, SERVER_V4, SERVER_V6};

/// How a browser chooses its path.
#[derive(Clone, Copy, Debug)]
enum Browsing {
    /// Freely; it is expected to choose this one.
    Freely(Path),
    /// It may use this one only.
    Forced(Path),
}

/// One network with Lumen in it, and the browsers to try there.
struct Case {
    name: &'static str,
    network: fn() -> Result<Network>,
    /// Where Lumen listens.
    listen: &'static str,
    /// The server's name or address for the browser.
    server: &'static str,
    options: &'static [(&'static str, &'static str)],
    tls: bool,
    ways: &'static [Browsing],
}

const CASES: [Case; 6] = [
    Case {
        name: "browser behind symmetric NAT",
        network: || Network::symmetric_nat(Gate::Open),
        listen: "0.0.0.0:8080",
        server: SERVER_V4,
        options: &[],
        tls: true,
        ways: &[
            Browsing::Freely(Direct),
            Browsing::Forced(Relayed(Udp)),
            Browsing::Forced(Relayed(Tcp)),
            Browsing::Forced(Relayed(Tls)),
        ],
    },
    Case {
        name: "server behind 1:1 NAT",
        network: Network::one_to_one_nat,
        listen: "0.0.0.0:8080",
        server: SERVER_V4,
        options: &[("--public-address", SERVER_V4)],
        tls: false,
        ways: &[
            Browsing::Freely(Direct),
            Browsing::Forced(Relayed(Udp)),
            Browsing::Forced(Relayed(Tcp)),
        ],
    },
    Case {
        name: "UDP blocked",
        network: || Network::symmetric_nat(Gate::NoUdp),
        listen: "0.0.0.0:8080",
        server: SERVER_V4,
        options: &[],
        tls: false,
        ways: &[Browsing::Freely(Relayed(Tcp))],
    },
    Case {
        name: "only port 443 open",
        network: || Network::symmetric_nat(Gate::OnlyPort(443)),
        listen: "0.0.0.0:443",
        server: SERVER_V4,
        options: &[],
        tls: false,
        ways: &[Browsing::Freely(Relayed(Tcp))],
    },
    Case {
        name: "only port 443 open, by TLS",
        network: || Network::symmetric_nat(Gate::OnlyPort(443)),
        listen: "0.0.0.0:443",
        server: SERVER_V4,
        options: &[("--relay-name", NAME)],
        tls: true,
        ways: &[Browsing::Forced(Relayed(Tls))],
    },
    Case {
        name: "IPv6 only",
        network: Network::only_ipv6,
        listen: "[::]:8080",
        server: SERVER_V6,
        options: &[],
        tls: false,
        ways: &[
            Browsing::Freely(Direct),
            Browsing::Forced(Relayed(Udp)),
            Browsing::Forced(Relayed(Tcp)),
        ],
    },
];

#[test]
fn every_network_is_passed_by_the_path_that_leads_through_it() -> Result<()> {
    let mut table = format!("{:<30} {:<14} {:<14} first frame\n", "network", "browser", "path");
    let mut failures = Vec::new();
    let only = env::var("LUMEN_TEST_NETWORK").unwrap_or_default();
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        if let Err(error) = pass(case, &mut table) {
            writeln!(table, "{:<30} FAILED: {error:#}", case.name)?;
            failures.push(case.name);
        }
    }
    println!("{table}");
    fs::write(artifacts().join("networks.txt"), &table)?;
    ensure!(failures.is_empty(), "not passed: {failures:?}\n{table}");
    Ok(())
}

fn pass(case: &Case, table: &mut String) -> Result<()> {
    let network = (case.network)()?;
    network.open_low_ports()?;
    let certificate = Certificate::make()?;
    let mut setup = Setup::new().on_host(&network.server, case.listen);
    for (name, value) in case.options {
        setup = setup.option(name, value);
    }
    if case.tls {
        setup = setup
            .option("--relay-cert", certificate.chain())
            .option("--relay-key", certificate.key());
    }
    let rig = setup.start()?;
    // The certificate is the tests' own, and so is its name. Chromium's WebRTC resolves it with a
    // dot at its end, and its sockets without.
    let server = bracketed(case.server);
    let names = format!("--host-resolver-rules=MAP {NAME} {server},MAP {NAME}. {server}");
    let flags = ["--ignore-certificate-errors", &names];
    let browser = Browser::start_on(Some(&network.browser), &flags)?;
    for way in case.ways {
        let (path, took) =
            go(&browser, &rig, case.server, *way).with_context(|| format!("{way:?}"))?;
        let told = match way {
            Browsing::Freely(_) => "free".to_owned(),
            Browsing::Forced(path) => path.to_string(),
        };
        writeln!(
            table,
            "{:<30} {told:<14} {:<14} {} ms",
            case.name,
            path.to_string(),
            took.as_millis()
        )?;
    }
    Ok(())
}

fn go(browser: &Browser, rig: &Rig, server: &str, way: Browsing) -> Result<(Path, Duration)> {
    let url = rig.url_from(&bracketed(server));
    let started = Instant::now();
    let page = match way {
        Browsing::Freely(_) | Browsing::Forced(Direct) => browser.open(&url)?,
        Browsing::Forced(Relayed(transport)) => browser.open_relayed(&url, transport)?,
    };
    page.wait_for_picture()?;
    let took = started.elapsed();
    let path = page.path()?;
    let (Browsing::Freely(expected) | Browsing::Forced(expected)) = way;
    ensure!(path == expected, "the picture comes by {path}, not {expected}");
    page.close()?;
    Ok((path, took))
}

/// An address as URLs write it (RFC 3986, section 3.2.2).
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}
