//! Where a session's media socket is bound.

use std::net::{IpAddr, Ipv4Addr};

use lumen_ipc::{front_door::FrontDoor, message::session::Audience};

/// Where a session's media socket is bound. The session of a host that is another process learns from
/// it who reaches the page, so a command line alone does not always decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UdpListen {
    /// At one address.
    At(IpAddr),
    /// At every address.
    Everywhere,
    /// At loopback where only this machine reaches the page, and else at every address.
    WithThePage,
}

impl UdpListen {
    /// The address to bind for a page that `audience` reaches; `None` for every address.
    #[must_use]
    pub const fn address(self, audience: Audience) -> Option<IpAddr> {
        match (self, audience) {
            (Self::At(address), _) => Some(address),
            (Self::Everywhere, _) | (Self::WithThePage, Audience::Everyone) => None,
            (Self::WithThePage, Audience::ThisMachine) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        }
    }
}

/// Who reaches the page behind `door`. An address for browsers elsewhere says that there are some.
#[must_use]
pub fn audience(door: &FrontDoor, public_address: Option<IpAddr>) -> Audience {
    match door.is_local() && public_address.is_none() {
        true => Audience::ThisMachine,
        false => Audience::Everyone,
    }
}
