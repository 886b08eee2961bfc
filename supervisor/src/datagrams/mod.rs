//! Where the datagrams of rtc and of the relay may go: to whoever wrote to that socket first, and to the
//! addresses that the supervisor adds (the relay's). Pure.
//!
//! Nobody else needs an answer: rtc is the lite side of ICE, which sends nothing before the browser's first
//! check, and the relay serves clients. So the kernel keeps the list of permitted addresses itself, from
//! the packets that arrive, and nothing that a worker decides can add to it. An intruder in a worker reaches
//! no service of this machine or of its network, because those do not write to a stranger's port.
//!
//! | packet | rule |
//! |---|---|
//! | arrives, by UDP, from loopback | taken, and its sender is learned |
//! | arrives, by UDP, from a port of 1024 or above elsewhere | taken, and its sender is learned, in another list |
//! | arrives, anything else | taken |
//! | leaves, by UDP, to a sender that was learned | passes |
//! | leaves, by UDP, to an address that was added | passes |
//! | leaves, anything else | is refused: the worker's call fails with `EPERM` |
//!
//! A sender's address can be forged, which is why low ports are not learned: a reflection by a well-known
//! service, and an answer to it, needs one. Translators of addresses keep low ports and others apart
//! (RFC 4787, section 4.2.2). No sender on loopback is forged without root, and the media socket, to which
//! the relay answers, may have a low port. Of the addresses in a list the kernel forgets those that were not used
//! for longest, so a flood of forged senders costs one that is served nothing; and none of it is in the list of
//! loopback, so an rtc that has been silent for long is still answered by the relay.

mod assembly;
#[cfg(test)]
mod interpreter;
mod programs;

use std::net::{IpAddr, SocketAddr};

pub(crate) use self::{
    assembly::{Instruction, List},
    programs::{Direction, program},
};

/// Length of an address in the lists of the kernel: an IPv6 address, or an IPv4 address mapped to one; a
/// port in the network's order; two zeros.
pub(crate) const KEY_BYTES: usize = 20;

/// The most senders that are remembered. A viewer has up to a handful of addresses.
pub(crate) const MOST_LEARNED: u32 = 8192;

/// The most senders on loopback that are remembered, each in a place of its own: desktops' rtcs, local viewers.
pub(crate) const MOST_NEAR: u32 = 4096;

/// The most addresses that the supervisor adds.
pub(crate) const MOST_ADDED: u32 = 8;

/// An address as the lists have it.
pub(crate) fn key(address: SocketAddr) -> [u8; KEY_BYTES] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut key = [0; KEY_BYTES];
    key[..16].copy_from_slice(&ip.octets());
    key[16..18].copy_from_slice(&address.port().to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{interpreter::Kernel, *};

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// A packet of UDP.
    fn packet(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let mut packet = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut header = vec![0x60, 0, 0, 0, 0, 12, 17, 64];
                header.extend(from.octets());
                header.extend(to.octets());
                header
            }
            _ => panic!("one family"),
        };
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend([0, 12, 0, 0, 1, 2, 3, 4]);
        packet
    }

    const OURS: [&str; 2] = ["192.0.2.1:4000", "[2001:db8::1]:4000"];
    const VIEWERS: [&str; 2] = ["198.51.100.7:50000", "[2001:db8::7]:50000"];

    fn arrives(kernel: &mut Kernel, from: &str, to: &str) -> bool {
        kernel.run(&program(Direction::In), &packet(at(from), at(to)))
    }

    fn leaves(kernel: &mut Kernel, from: &str, to: &str) -> bool {
        kernel.run(&program(Direction::Out), &packet(at(from), at(to)))
    }

    #[test]
    fn datagram_leaves_only_to_whoever_wrote_first() {
        for (ours, viewer) in OURS.into_iter().zip(VIEWERS) {
            let mut kernel = Kernel::default();
            assert!(!leaves(&mut kernel, ours, viewer), "{viewer} has not written");
            assert!(arrives(&mut kernel, viewer, ours));
            assert!(leaves(&mut kernel, ours, viewer), "{viewer} has written");
            let mut neighbour = at(viewer);
            neighbour.set_port(50001);
            assert!(!leaves(&mut kernel, ours, &neighbour.to_string()), "another port");
        }
    }

    #[test]
    fn datagram_to_a_service_of_the_machine_or_its_network_does_not_leave() {
        let mut kernel = Kernel::default();
        for (ours, viewer) in OURS.into_iter().zip(VIEWERS) {
            assert!(arrives(&mut kernel, viewer, ours));
        }
        for service in ["127.0.0.1:53", "192.0.2.1:5353", "169.254.169.254:80", "10.0.0.2:161"] {
            assert!(!leaves(&mut kernel, OURS[0], service), "{service}");
        }
        for service in ["[::1]:53", "[fd00:ec2::254]:80", "[ff02::fb]:5353"] {
            assert!(!leaves(&mut kernel, OURS[1], service), "{service}");
        }
    }

    #[test]
    fn sender_with_a_low_port_is_heard_and_not_answered() {
        for (ours, sender) in OURS.into_iter().zip(["198.51.100.7:1023", "[2001:db8::7]:53"]) {
            let mut kernel = Kernel::default();
            assert!(arrives(&mut kernel, sender, ours));
            assert!(!leaves(&mut kernel, ours, sender), "{sender}");
        }
    }

    #[test]
    fn sender_on_loopback_is_answered_whatever_its_port() {
        let near = ["127.0.0.1:443", "127.255.0.9:1", "[::1]:443"];
        let not_near = ["128.0.0.1:443", "[::2]:443", "[1::1]:443", "[::1:0:0:1]:443"];
        let far = ["[2001:db8::ffff:7f00:1]:443", "[::1:ffff:7f00:1]:443", "[::fffe:7f00:1]:443"];
        for (senders, answered) in [(&near[..], true), (&not_near, false), (&far, false)] {
            for sender in senders {
                let ours = if at(sender).is_ipv4() { OURS[0] } else { OURS[1] };
                let mut kernel = Kernel::default();
                assert!(arrives(&mut kernel, sender, ours));
                assert_eq!(leaves(&mut kernel, ours, sender), answered, "{sender}");
            }
        }
    }

    #[test]
    fn sender_on_loopback_is_answered_though_others_have_taken_all_places() {
        for (ours, [near, far]) in OURS.into_iter().zip([
            ["127.0.0.1:40000", "198.51.100.7:40000"],
            ["[::1]:40000", "[2001:db8::7]:40000"],
        ]) {
            let mut kernel = Kernel::default();
            assert!(arrives(&mut kernel, near, ours) && arrives(&mut kernel, far, ours));
            kernel.forget_far();
            assert!(leaves(&mut kernel, ours, near), "{near}");
            assert!(!leaves(&mut kernel, ours, far), "{far}");
        }
    }

    #[test]
    fn address_that_the_supervisor_added_is_reached_whatever_its_port() {
        let mut kernel = Kernel::default();
        for (ours, relay) in OURS.into_iter().zip(["127.0.0.1:443", "[::1]:3478"]) {
            kernel.add(key(at(relay)));
            assert!(leaves(&mut kernel, ours, relay), "{relay}");
        }
    }

    #[test]
    fn packet_that_is_not_whole_or_not_udp_does_not_leave_and_teaches_nothing() {
        for (ours, viewer) in OURS.into_iter().zip(VIEWERS) {
            let whole = packet(at(viewer), at(ours));
            let mut kernel = Kernel::default();
            let protocol = if at(ours).is_ipv4() { 9 } else { 6 };
            let mut tcp = whole.clone();
            tcp[protocol] = 6;
            assert!(kernel.run(&program(Direction::In), &tcp), "it is not ours to refuse");
            for length in 0..whole.len() - 12 {
                assert!(kernel.run(&program(Direction::In), &whole[..length]));
                assert!(!kernel.run(&program(Direction::Out), &whole[..length]), "{length}");
            }
            assert!(!kernel.run(&program(Direction::Out), &tcp));
            assert!(!leaves(&mut kernel, ours, viewer));
        }
    }

    #[test]
    fn header_with_options_is_read_to_its_end() {
        let plain = packet(at(VIEWERS[0]), at(OURS[0]));
        let mut long = plain.clone();
        long[0] = 0x47;
        long.splice(20..20, [1; 8]);
        let mut kernel = Kernel::default();
        assert!(kernel.run(&program(Direction::In), &long));
        assert!(leaves(&mut kernel, OURS[0], VIEWERS[0]));
        let mut short = plain;
        short[0] = 0x44;
        assert!(!kernel.run(&program(Direction::Out), &short), "a header below its least length");
    }

    proptest! {
        #[test]
        fn any_bytes_end_both_programs_and_leave_only_where_they_may(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut kernel = Kernel::default();
            prop_assert!(!kernel.run(&program(Direction::Out), &bytes));
            prop_assert!(kernel.run(&program(Direction::In), &bytes));
        }
    }
}
