//! Whose a browser's TCP connection to this machine is: the question to the kernel and its answer, as bytes of
//! sock_diag(7). Pure.
//!
//! The question names one socket by both of its addresses, so the kernel finds it without a search. An answer about
//! any other socket is not believed, nor one about a connection that is closed or being closed: of those the kernel
//! says that they are root's.

use std::net::{IpAddr, SocketAddr};

use nix::unistd::Uid;

/// `SOCK_DIAG_BY_FAMILY` of linux/sock_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST` of linux/netlink.h.
const REQUEST: u16 = 1;
/// `AF_INET`, `AF_INET6` and `IPPROTO_TCP`.
const INET: u8 = 2;
const INET6: u8 = 10;
const TCP: u8 = 6;
/// `TCP_ESTABLISHED` of net/tcp_states.h.
const ESTABLISHED: u8 = 1;
/// The uid by which the kernel shows users that have no number in this process's user namespace.
const OVERFLOW: u32 = 65534;

/// Bytes of an IP address, shorter ones included.
const ADDRESS: usize = 16;
/// Bytes of an `nlmsghdr`, which opens question and answer.
const HEADER: usize = 16;
/// Bytes of that with an `inet_diag_req_v2`, and with an `inet_diag_msg`.
const QUESTION: usize = HEADER + 56;
const ANSWER: usize = HEADER + 72;
/// Places in an answer: family, state, the ports, the addresses, the owner, and the number of the file by which
/// the owner's program holds the socket.
const FAMILY_AT: usize = HEADER;
const STATE_AT: usize = HEADER + 1;
const PORTS_AT: usize = HEADER + 4;
const ADDRESSES_AT: usize = HEADER + 8;
const OWNER_AT: usize = HEADER + 64;
const FILE_AT: usize = HEADER + 68;

/// The most bytes of an answer, attributes included.
pub const MOST_BYTES: usize = 1024;

/// The two ends of a browser's connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The browser's.
    pub client: SocketAddr,
    /// The gateway's.
    pub server: SocketAddr,
}

impl Connection {
    /// Asks whose the browser's socket is; `None` if its ends are of two families.
    #[must_use]
    pub fn question(self) -> Option<Vec<u8>> {
        let Self { client, server } = self.canonical();
        let family = match (client.ip(), server.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) => INET,
            (IpAddr::V6(_), IpAddr::V6(_)) => INET6,
            _ => return None,
        };
        let mut bytes = Vec::with_capacity(QUESTION);
        bytes.extend(u32::try_from(QUESTION).ok()?.to_ne_bytes());
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend(REQUEST.to_ne_bytes());
        // Sequence number and sender, which the kernel only returns.
        bytes.extend([0; 8]);
        bytes.extend([family, TCP, 0, 0]);
        // Every state, because a question about a single socket is not filtered by it.
        bytes.extend(u32::MAX.to_ne_bytes());
        bytes.extend([client.port().to_be_bytes(), server.port().to_be_bytes()].concat());
        bytes.extend([padded(client.ip()), padded(server.ip())].concat());
        // Any interface, and `INET_DIAG_NOCOOKIE`.
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend([0xff; 8]);
        Some(bytes)
    }

    /// The user who has the browser's end, as `answer` says; `None` if it says anything else.
    #[must_use]
    pub fn owner(self, answer: &[u8]) -> Option<Uid> {
        let kind = u16::from_ne_bytes(part(answer, 4)?);
        let length = usize::try_from(number(answer, 0)?).ok()?;
        let is_answer = kind == SOCK_DIAG_BY_FAMILY && (ANSWER..=answer.len()).contains(&length);
        // A socket whose program has just closed it has no file, and its owner is given as root; the kernel
        // reads the owner first.
        let is_held = part(answer, STATE_AT)? == [ESTABLISHED] && number(answer, FILE_AT)? != 0;
        let is_ours = Self::of(answer)?.canonical() == self.canonical();
        let owner = number(answer, OWNER_AT).filter(|uid| *uid != OVERFLOW);
        owner.filter(|_| is_answer && is_held && is_ours).map(Uid::from_raw)
    }

    /// The connection of the socket that an answer is about.
    fn of(answer: &[u8]) -> Option<Self> {
        let [family] = part(answer, FAMILY_AT)?;
        let end = |number: usize| {
            let address_at = ADDRESSES_AT + number * ADDRESS;
            let ip = match family {
                INET => IpAddr::from(part::<4>(answer, address_at)?),
                INET6 => IpAddr::from(part::<16>(answer, address_at)?),
                _ => return None,
            };
            let port = part(answer, PORTS_AT + number * size_of::<u16>())?;
            Some(SocketAddr::new(ip, u16::from_be_bytes(port)))
        };
        Some(Self { client: end(0)?, server: end(1)? })
    }

    /// With IPv4 addresses as such: a socket for IPv6 names them in its own way.
    fn canonical(self) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self { client: canonical(self.client), server: canonical(self.server) }
    }
}

fn part<const LENGTH: usize>(bytes: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    bytes.get(at..at.checked_add(LENGTH)?)?.try_into().ok()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    part(bytes, at).map(u32::from_ne_bytes)
}

fn padded(address: IpAddr) -> [u8; ADDRESS] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn connection(client: &str, server: &str) -> Connection {
        let end = |text: &str| text.parse().expect("an address");
        Connection { client: end(client), server: end(server) }
    }

    fn v4() -> Connection {
        connection("127.0.0.1:40000", "127.0.0.1:8080")
    }

    fn mapped() -> Connection {
        connection("[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:8080")
    }

    fn v6() -> Connection {
        connection("[::1]:40000", "[::1]:8080")
    }

    /// The kernel's answer about the socket of a connection.
    fn answer(of: Connection, state: u8, (owner, file): (u32, u32)) -> Vec<u8> {
        let mut bytes = vec![0; ANSWER];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &u32::try_from(ANSWER).expect("small").to_ne_bytes());
        put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        put(FAMILY_AT, &[if of.client.is_ipv4() { INET } else { INET6 }]);
        put(STATE_AT, &[state]);
        put(PORTS_AT, &of.client.port().to_be_bytes());
        put(PORTS_AT + 2, &of.server.port().to_be_bytes());
        put(ADDRESSES_AT, &padded(of.client.ip()));
        put(ADDRESSES_AT + ADDRESS, &padded(of.server.ip()));
        put(OWNER_AT, &owner.to_ne_bytes());
        put(FILE_AT, &file.to_ne_bytes());
        bytes
    }

    fn held_by(uid: u32) -> (u32, u32) {
        (uid, 7)
    }

    #[test]
    fn owner_of_an_established_connection_is_known_in_each_family() {
        for (asked, answered) in [(v4(), v4()), (v6(), v6()), (v4(), mapped()), (mapped(), v4())] {
            for uid in [0, 1000, 4_000_000_000] {
                let owner = asked.owner(&answer(answered, ESTABLISHED, held_by(uid)));
                assert_eq!(owner, Some(Uid::from_raw(uid)), "{asked:?}, {answered:?}");
            }
        }
        assert!(v4().question().is_some() && v4().question() == mapped().question());
        assert_eq!(connection("[::1]:40000", "127.0.0.1:8080").question(), None);
    }

    #[test]
    fn remains_of_a_connection_have_no_owner() {
        for state in (0..=u8::MAX).filter(|state| *state != ESTABLISHED) {
            assert_eq!(v4().owner(&answer(v4(), state, held_by(0))), None, "state {state}");
        }
        assert_eq!(v4().owner(&answer(v4(), ESTABLISHED, (0, 0))), None, "closed meanwhile");
    }

    #[test]
    fn socket_of_another_connection_tells_nothing() {
        for other in [
            connection("127.0.0.1:40001", "127.0.0.1:8080"),
            connection("127.0.0.1:40000", "127.0.0.1:8081"),
            connection("127.0.0.2:40000", "127.0.0.1:8080"),
            connection("127.0.0.1:8080", "127.0.0.1:40000"),
            v6(),
        ] {
            let answer = answer(other, ESTABLISHED, held_by(1000));
            assert_eq!(v4().owner(&answer), None, "{other:?}");
        }
    }

    #[test]
    fn user_of_another_namespace_is_nobody() {
        assert_eq!(v4().owner(&answer(v4(), ESTABLISHED, held_by(OVERFLOW))), None);
    }

    #[test]
    fn error_of_the_kernel_is_no_owner() {
        let mut error = answer(v4(), ESTABLISHED, held_by(0));
        // `NLMSG_ERROR`.
        error[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(v4().owner(&error), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_owner_only_if_whole_and_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cut in 0..ANSWER,
        ) {
            let _ = v4().owner(&bytes);
            let whole = answer(v4(), ESTABLISHED, held_by(1000));
            prop_assert_eq!(v4().owner(&whole[..cut]), None);
        }
    }
}
