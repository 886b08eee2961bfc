//! The networks, each as the hosts that it consists of:
//!
//! ```text
//! browser ── gate ═══ internet ═══ server                (the server has a public address)
//! browser ── gate ═══ internet ═══ door ── server        (the server stands behind 1:1 NAT)
//! ```
//!
//! The gate is a household's or an office's router: an address translator for IPv4, a stateful
//! firewall for both families.

use std::rc::Rc;

use anyhow::{Context, Result};
use lumen_tests::network::Host;

/// The server's address on the internet.
pub(crate) const SERVER_V4: &str = "198.51.100.10";
/// Its IPv6 address.
pub(crate) const SERVER_V6: &str = "2001:db8:5::10";

/// What the gate lets out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gate {
    /// Everything.
    Open,
    /// No UDP.
    NoUdp,
    /// TCP to this port, nothing else.
    OnlyPort(u16),
}

/// A network that nobody uses yet.
pub(crate) struct Network {
    /// Where the browser runs.
    pub(crate) browser: Host,
    /// Where Lumen runs.
    pub(crate) server: Rc<Host>,
    /// From the browser to the server.
    between: Vec<Host>,
}

impl Network {
    /// A browser behind a symmetric NAT: each connection gets a port of its own, so that the
    /// address that one server sees is useless for another.
    pub(crate) fn symmetric_nat(gate: Gate) -> Result<Self> {
        let (browser, router) = household(gate)?;
        let server = Host::new("server")?;
        router.plug(("wan", &["198.51.100.1/24"]), &server, ("eth0", &["198.51.100.10/24"]))?;
        Ok(Self { browser, server: Rc::new(server), between: vec![router] })
    }

    /// The same, with a server that knows only its private address: a cloud's 1:1 NAT.
    pub(crate) fn one_to_one_nat() -> Result<Self> {
        let (browser, router) = household(Gate::Open)?;
        let (door, server) = (Host::new("door")?, Host::new("server")?);
        router.plug(("wan", &["198.51.100.1/24"]), &door, ("wan", &["198.51.100.10/24"]))?;
        door.plug(("lan", &["10.2.0.1/24"]), &server, ("eth0", &["10.2.0.2/24"]))?;
        server.ip("route add default via 10.2.0.1")?;
        door.route_packets()?;
        door.administer(
            "iptables -t nat -A PREROUTING -i wan -d 198.51.100.10 -j DNAT --to-destination 10.2.0.2",
        )?;
        door.administer(
            "iptables -t nat -A POSTROUTING -o wan -s 10.2.0.2 -j SNAT --to-source 198.51.100.10",
        )?;
        Ok(Self { browser, server: Rc::new(server), between: vec![router, door] })
    }

    /// No IPv4 anywhere but on each host's own loopback.
    pub(crate) fn only_ipv6() -> Result<Self> {
        let (browser, router, server) =
            (Host::new("browser")?, Host::new("gate")?, Host::new("server")?);
        browser.plug(("eth0", &["2001:db8:1::2/64"]), &router, ("lan", &["2001:db8:1::1/64"]))?;
        router.plug(("wan", &["2001:db8:5::1/64"]), &server, ("eth0", &["2001:db8:5::10/64"]))?;
        browser.ip("-6 route add default via 2001:db8:1::1")?;
        server.ip("-6 route add default via 2001:db8:5::1")?;
        router.route_packets()?;
        guard(&router, Gate::Open)?;
        Ok(Self { browser, server: Rc::new(server), between: vec![router] })
    }
}

impl Network {
    /// Lets nothing pass between browser and server, in either direction.
    pub(crate) fn cut(&self) -> Result<()> {
        self.at_the_gate("iptables -I FORWARD -j DROP")
    }

    /// Undoes [`Network::cut`].
    pub(crate) fn mend(&self) -> Result<()> {
        self.at_the_gate("iptables -D FORWARD -j DROP")
    }

    fn at_the_gate(&self, line: &str) -> Result<()> {
        self.between.first().context("a gate")?.administer(line)
    }

    /// Lets an ordinary user's Lumen use any port of the server, including 443.
    pub(crate) fn open_low_ports(&self) -> Result<()> {
        self.server.administer("sysctl -q -w net.ipv4.ip_unprivileged_port_start=0")
    }
}

/// A browser behind its router.
fn household(gate: Gate) -> Result<(Host, Host)> {
    let (browser, router) = (Host::new("browser")?, Host::new("gate")?);
    browser.plug(("eth0", &["10.1.0.2/24"]), &router, ("lan", &["10.1.0.1/24"]))?;
    browser.ip("route add default via 10.1.0.1")?;
    router.route_packets()?;
    router.administer("iptables -t nat -A POSTROUTING -o wan -j MASQUERADE --random-fully")?;
    guard(&router, gate)?;
    Ok((browser, router))
}

/// Lets answers in, and lets out what `gate` says.
fn guard(router: &Host, gate: Gate) -> Result<()> {
    for tables in ["iptables", "ip6tables"] {
        let rule = |rule: &str| router.administer(&format!("{tables} -A FORWARD {rule}"));
        rule("-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")?;
        match gate {
            Gate::Open => rule("-i lan -j ACCEPT")?,
            Gate::NoUdp => rule("-i lan ! -p udp -j ACCEPT")?,
            Gate::OnlyPort(port) => rule(&format!("-i lan -p tcp --dport {port} -j ACCEPT"))?,
        }
        // There is no name server: requests are rejected at once instead of timing out.
        rule("-i lan -p udp --dport 53 -j REJECT")?;
        router.administer(&format!("{tables} -P FORWARD DROP"))?;
    }
    Ok(())
}
