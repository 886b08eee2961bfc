//! Which addresses may be peers: only the relay's own, written in plain form.
//!
//! Decides by an allow-list. An address that a client names is first brought into one canonical
//! form ([`Canonical`]), so that no second spelling of it (IPv4-mapped, NAT64, 6to4, …) can mean
//! another address; then it is compared with the relay's own addresses ([`OwnAddresses`]). The
//! embedded address and its scope only explain the refusal: no address is permitted because it is
//! missing from a list of bad ones.
//!
//! Trusts nothing. Deny-lists of relays have been bypassed again and again by other spellings of
//! 127.0.0.1; here any spelling that is not plain is refused, whatever it embeds.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// An address after unwrapping embedded ones.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Canonical {
    /// The address itself, or the IPv4 address it embeds.
    pub innermost: IpAddr,
    /// How it was written.
    pub form: Form,
    /// Its scope.
    pub reach: Reach,
}

/// How an address was written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Form {
    /// In its own notation.
    Plain,
    /// `::a.b.c.d` (RFC 4291, section 2.5.5.1).
    Compatible,
    /// `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
    Mapped,
    /// `64:ff9b::a.b.c.d` (RFC 6052) or below `64:ff9b:1::/48` (RFC 8215).
    Nat64,
    /// `2002:ab:cd::` (RFC 3056).
    SixToFour,
    /// Below `2001::/32` (RFC 4380).
    Teredo,
    /// `::ffff:0:a.b.c.d` (RFC 2765).
    Translated,
}

/// The scope of an address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reach {
    /// Reachable from anywhere.
    Global,
    /// Many hosts or none: multicast, broadcast, reserved.
    Group,
    /// The same network link; metadata services of clouds live here.
    LinkLocal,
    /// This machine.
    Loopback,
    /// The same site.
    Private,
    /// "This host on this network", which several systems treat as loopback.
    Unspecified,
}

/// Address family of a relayed address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of `address` as written.
    #[must_use]
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl Canonical {
    /// Unwraps `address`.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let (innermost, form) = match address {
            IpAddr::V4(_) => (address, Form::Plain),
            IpAddr::V6(v6) => {
                embedded(v6).map_or((address, Form::Plain), |(v4, form)| (v4.into(), form))
            }
        };
        let reach = match innermost {
            IpAddr::V4(v4) => reach_v4(v4),
            IpAddr::V6(v6) => reach_v6(v6),
        };
        Self { innermost, form, reach }
    }
}

/// The IPv4 address that `address` embeds, if its form is known.
fn embedded(address: Ipv6Addr) -> Option<(Ipv4Addr, Form)> {
    let pair = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // The unspecified address and loopback are not embedded 0.0.0.0 and 0.0.0.1.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, high, low] => Some((pair(high, low), Form::Compatible)),
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some((pair(high, low), Form::Mapped)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some((pair(high, low), Form::Translated)),
        [0x64, 0xff9b, 0 | 1, .., high, low] => Some((pair(high, low), Form::Nat64)),
        [0x2002, high, low, ..] => Some((pair(high, low), Form::SixToFour)),
        // The client's address is stored inverted (RFC 4380, section 4).
        [0x2001, 0, .., high, low] => Some((pair(!high, !low), Form::Teredo)),
        _ => None,
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [0, ..] => Reach::Unspecified,
        [127, ..] => Reach::Loopback,
        [169, 254, ..] => Reach::LinkLocal,
        // RFC 1918, and the shared space of carrier-grade NAT (RFC 6598).
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Reach::Private,
        [224..=255, ..] => Reach::Group,
        _ => Reach::Global,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        [0xfe80..=0xfebf, ..] => Reach::LinkLocal,
        // Site-local (RFC 3879) and unique local (RFC 4193).
        [0xfec0..=0xfeff, ..] | [0xfc00..=0xfdff, ..] => Reach::Private,
        [0xff00..=0xffff, ..] => Reach::Group,
        _ => Reach::Global,
    }
}

/// `remote` without mapping: a socket bound to `::` sees IPv4 senders as IPv4-mapped addresses.
#[must_use]
pub fn unmapped(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip().to_canonical(), remote.port())
}

/// The addresses that relayed addresses are made of, at most one of each family.
///
/// They are labels: a relayed address is never bound, and packets to it stay inside this process.
/// They only have to be acceptable to a browser as a candidate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OwnAddresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

/// Addresses that cannot be the relay's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadOwnAddress {
    /// No address was given.
    #[error("the relay needs at least one public address")]
    Missing,
    /// Two addresses have the same family.
    #[error("{0} is a second public address of its family; the relay takes one of each")]
    Second(IpAddr),
    /// No host can have this address, or it embeds another one.
    #[error("{0} cannot be a public address: it is a wildcard, a group or a translated address")]
    Unusable(IpAddr),
}

/// A peer address that is not the relay's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a peer address that is not the relay's own ({form}, {reach})")]
pub struct Foreign {
    /// How it was written.
    pub form: Form,
    /// Its scope.
    pub reach: Reach,
}

impl OwnAddresses {
    /// Takes the configured public addresses.
    ///
    /// # Errors
    /// [`BadOwnAddress`] names the unusable address.
    pub fn new(addresses: &[IpAddr]) -> Result<Self, BadOwnAddress> {
        let mut own = Self { v4: None, v6: None };
        for &address in addresses {
            let canonical = Canonical::of(address);
            let possible = canonical.form == Form::Plain
                && !matches!(canonical.reach, Reach::Unspecified | Reach::Group);
            if !possible {
                return Err(BadOwnAddress::Unusable(address));
            }
            let taken = match address {
                IpAddr::V4(v4) => own.v4.replace(v4).is_some(),
                IpAddr::V6(v6) => own.v6.replace(v6).is_some(),
            };
            if taken {
                return Err(BadOwnAddress::Second(address));
            }
        }
        if own.v4.is_none() && own.v6.is_none() {
            return Err(BadOwnAddress::Missing);
        }
        Ok(own)
    }

    /// Picks from the addresses of this machine's interfaces when no public address is configured:
    /// of each family the one with the widest scope, the first among equals.
    ///
    /// # Errors
    /// [`BadOwnAddress::Missing`] when no interface has a usable address.
    pub fn from_interfaces(addresses: &[IpAddr]) -> Result<Self, BadOwnAddress> {
        let farthest = |family| {
            addresses
                .iter()
                .filter(|address| Family::of(address) == family)
                .filter_map(|address| Some((preference(*address)?, *address)))
                .min_by_key(|(preference, _)| *preference)
                .map(|(_, address)| address)
        };
        let picked: Vec<IpAddr> =
            [farthest(Family::V4), farthest(Family::V6)].into_iter().flatten().collect();
        Self::new(&picked)
    }

    /// The own address of `family`.
    #[must_use]
    pub fn of_family(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }

    /// The family of a relayed address when the client names none: IPv4 if the relay has such an
    /// address (RFC 8656, section 7.2).
    #[must_use]
    pub const fn default_family(&self) -> Family {
        if self.v4.is_some() { Family::V4 } else { Family::V6 }
    }

    /// Accepts the relay's own addresses in plain form.
    ///
    /// # Errors
    /// [`Foreign`] for every other address, and for an own address in any other form.
    pub fn admit(&self, peer: IpAddr) -> Result<Family, Foreign> {
        let Canonical { innermost, form, reach } = Canonical::of(peer);
        let family = Family::of(&innermost);
        if form == Form::Plain && self.of_family(family) == Some(innermost) {
            Ok(family)
        } else {
            Err(Foreign { form, reach })
        }
    }
}

/// A rank, lower is better; `None` for addresses that cannot be used.
fn preference(address: IpAddr) -> Option<u8> {
    let canonical = Canonical::of(address);
    match (canonical.form, canonical.reach) {
        (Form::Plain, Reach::Global) => Some(0),
        (Form::Plain, Reach::Private) => Some(1),
        (Form::Plain, Reach::Loopback) => Some(2),
        _ => None,
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Compatible => "IPv4-compatible",
            Self::Mapped => "IPv4-mapped",
            Self::Nat64 => "NAT64",
            Self::SixToFour => "6to4",
            Self::Teredo => "Teredo",
            Self::Translated => "IPv4-translated",
        })
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global",
            Self::Group => "group",
            Self::LinkLocal => "link-local",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Unspecified => "unspecified",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn canonical_of_each_disguise_is_the_address_inside() {
        let disguises = [
            ("::127.0.0.1", Form::Compatible),
            ("::ffff:127.0.0.1", Form::Mapped),
            ("::ffff:0:127.0.0.1", Form::Translated),
            ("64:ff9b::127.0.0.1", Form::Nat64),
            ("64:ff9b:1::127.0.0.1", Form::Nat64),
            ("2002:7f00:1::", Form::SixToFour),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", Form::Teredo),
        ];
        for (text, form) in disguises {
            let expected = Canonical { innermost: ip("127.0.0.1"), form, reach: Reach::Loopback };
            assert_eq!(Canonical::of(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn canonical_reach_is_told_for_every_special_range() {
        let ranges = [
            ("0.0.0.0", Reach::Unspecified),
            ("0.1.2.3", Reach::Unspecified),
            ("::", Reach::Unspecified),
            ("127.8.8.8", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("169.254.169.254", Reach::LinkLocal),
            ("fe80::1", Reach::LinkLocal),
            ("10.0.0.1", Reach::Private),
            ("172.31.255.255", Reach::Private),
            ("172.32.0.1", Reach::Global),
            ("192.168.1.1", Reach::Private),
            ("100.64.0.1", Reach::Private),
            ("100.100.100.200", Reach::Private),
            ("fd00:ec2::254", Reach::Private),
            ("fec0::1", Reach::Private),
            ("224.0.0.1", Reach::Group),
            ("255.255.255.255", Reach::Group),
            ("ff02::1", Reach::Group),
            ("198.51.100.1", Reach::Global),
            ("2001:db8::1", Reach::Global),
        ];
        for (text, reach) in ranges {
            assert_eq!(Canonical::of(ip(text)).reach, reach, "{text}");
        }
    }

    #[test]
    fn admit_own_address_in_disguise_is_foreign() {
        let own = OwnAddresses::new(&[ip("127.0.0.1")]).unwrap();
        assert_eq!(own.admit(ip("127.0.0.1")), Ok(Family::V4));
        assert_eq!(
            own.admit(ip("::ffff:127.0.0.1")),
            Err(Foreign { form: Form::Mapped, reach: Reach::Loopback })
        );
    }

    #[test]
    fn own_addresses_wildcard_group_disguise_or_double_are_refused() {
        for text in ["0.0.0.0", "::", "224.0.0.1", "::ffff:198.51.100.1"] {
            assert_eq!(OwnAddresses::new(&[ip(text)]), Err(BadOwnAddress::Unusable(ip(text))));
        }
        let two = [ip("198.51.100.1"), ip("198.51.100.2")];
        assert_eq!(OwnAddresses::new(&two), Err(BadOwnAddress::Second(two[1])));
        assert_eq!(OwnAddresses::new(&[]), Err(BadOwnAddress::Missing));
    }

    #[test]
    fn from_interfaces_prefers_the_address_that_reaches_farthest() {
        let found = [
            ip("127.0.0.1"),
            ip("169.254.3.4"),
            ip("192.168.1.2"),
            ip("198.51.100.7"),
            ip("fe80::1"),
            ip("::1"),
        ];
        let expected = OwnAddresses::new(&[ip("198.51.100.7"), ip("::1")]);
        assert_eq!(OwnAddresses::from_interfaces(&found), expected);
    }

    proptest! {
        #[test]
        fn admit_lets_nothing_pass_but_the_two_own_addresses(bits: u128, v6: bool) {
            let own = OwnAddresses::new(&[ip("198.51.100.1"), ip("2001:db8::1")]).unwrap();
            let address = if v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) };
            let mine = address == ip("198.51.100.1") || address == ip("2001:db8::1");
            prop_assert_eq!(own.admit(address).is_ok(), mine);
        }
    }
}
