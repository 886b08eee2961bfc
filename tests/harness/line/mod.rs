//! A line between two test hosts, as good or bad as a test wants it: rate, queue, delay, jitter, loss,
//! interruptions.
//!
//! - [`shape`]: what a direction is like;
//! - [`way`]: what becomes of each packet, in virtual time;
//! - [`watch`]: a desktop at one end, a page at the other; [`rows`]: the lines that are measured;
//! - `shaper`: the thread that carries packets, and `ffi`, the interfaces that it carries them between.
//!
//! Both hosts are network namespaces that nothing but the line joins. Needs root, `ip`, `sysctl` and
//! `/dev/net/tun`.

mod ffi;
pub mod rows;
pub mod shape;
mod shaper;
pub mod watch;
pub mod way;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::network::Host;

pub use self::shaper::{From, Passage};
use self::{
    shape::Shape,
    shaper::{Shaper, Ways},
    way::{Counts, Way},
};

/// The server's address.
pub const SERVER: &str = "198.51.100.10";
/// The browser's address.
pub const BROWSER: &str = "198.51.100.20";
/// The interface at each end.
const INTERFACE: &str = "line";

/// A line and the hosts at its ends.
#[derive(Debug)]
pub struct Line {
    /// Before the hosts, so that it is dropped first.
    shaper: Shaper,
    /// Where Lumen runs.
    pub server: Rc<Host>,
    /// Where the browser runs.
    pub browser: Host,
}

impl Line {
    /// A line of these shapes, to the browser and from it.
    ///
    /// # Errors
    /// When this user may not make hosts and interfaces, or the machine has no TUN devices.
    pub fn new(down: Shape, up: Shape) -> Result<Self> {
        let (server, browser) = (Host::new("server")?, Host::new("browser")?);
        let end = |host: &Host, address: &str| {
            let made = host.inside(|| Ok(ffi::interface(INTERFACE)?));
            let file = made.context("making a TUN device, which takes root and /dev/net/tun")?;
            // A browser that meanwhile gets addresses drops what it is loading.
            host.administer(&format!("sysctl -q -w net.ipv6.conf.{INTERFACE}.disable_ipv6=1"))?;
            host.ip(&format!("address add {address}/24 dev {INTERFACE}"))?;
            host.ip(&format!("link set {INTERFACE} mtu 1500 up"))?;
            Ok::<_, anyhow::Error>(file)
        };
        // Any two numbers, the same in every run.
        let (down, up) = (Way::new(down, 11), Way::new(up, 12));
        let ways = Ways { down, up, latest: Duration::ZERO, passages: None };
        let shaper = Shaper::start(end(&server, SERVER)?, end(&browser, BROWSER)?, ways)?;
        Ok(Self { shaper, server: Rc::new(server), browser })
    }

    /// Gives both directions other shapes.
    pub fn reshape(&self, down: Shape, up: Shape) {
        let mut ways = self.shaper.ways();
        ways.down.reshape(down);
        ways.up.reshape(up);
    }

    /// Interrupts both directions from now on for this long, and says when that is over.
    pub fn interrupt(&self, time: Duration) -> Instant {
        let until = Instant::now() + time;
        let mut ways = self.shaper.ways();
        ways.down.interrupt(until);
        ways.up.interrupt(until);
        until
    }

    /// What the direction to the browser has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shaper.ways().counts()
    }

    /// The longest time by which this machine was too slow to hand over a packet, so far.
    #[must_use]
    pub fn latest(&self) -> Duration {
        self.shaper.ways().latest
    }

    /// Notes every packet from now on.
    pub fn note_passages(&self) {
        self.shaper.ways().passages = Some(Vec::new());
    }

    /// The packets noted since the last call, or since [`Self::note_passages`].
    #[must_use]
    pub fn passages(&self) -> Vec<Passage> {
        self.shaper.ways().passages.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
