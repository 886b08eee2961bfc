//! Recognises a connection by its first bytes: a browser's request, or a client of the relay.
//!
//! Browsers and the relay may share one port, because often only one is open. Three protocols
//! arrive there, and their first byte tells them apart (RFC 7983 does the same on UDP): a request's
//! method is letters, a STUN message begins with two zero bits, TLS with the record type
//! "handshake". TLS is the relay's if its ClientHello asks for the relay's name.
//!
//! Trusts: nothing. It reads lengths only, and leaves whatever does not fit them to the gateway's own TLS
//! or HTTP, which refuses it.

use lumen_ipc::service::Handover;

/// Bytes needed to recognise a STUN message (RFC 8489, section 5: type, length, cookie).
pub const STUN_BYTES: usize = 8;

/// Longest ClientHello that is parsed, headers included. Those of browsers have about 2 KiB.
pub const MAX_HELLO_BYTES: usize = 16 * 1024;

/// RFC 8489, section 5.
const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
/// TLS record type (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
/// TLS handshake type (RFC 8446, section 4).
const CLIENT_HELLO: u8 = 1;
/// TLS extension and the one kind of name it has (RFC 6066, section 3).
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// For the gateway, unencrypted.
    Http,
    /// For the relay, unencrypted.
    Plain,
    /// For the relay, over TLS.
    Secured,
    /// For the gateway, over TLS.
    Tls,
    /// Not known before more bytes have come.
    Unfinished,
}

/// Classifies a connection by its first bytes.
#[must_use]
pub fn classify(bytes: &[u8], handover: &Handover) -> Opening {
    match bytes.first() {
        None => Opening::Unfinished,
        Some(0..=3) if handover.plain => classify_stun(bytes),
        Some(&HANDSHAKE) if !handover.name.as_str().is_empty() => {
            classify_hello(bytes, handover.name.as_str())
        }
        Some(&HANDSHAKE) => Opening::Tls,
        Some(_) => Opening::Http,
    }
}

fn classify_stun(bytes: &[u8]) -> Opening {
    match bytes.get(4..STUN_BYTES) {
        None => Opening::Unfinished,
        Some(cookie) if cookie == MAGIC_COOKIE => Opening::Plain,
        Some(_) => Opening::Http,
    }
}

fn classify_hello(bytes: &[u8], name: &str) -> Opening {
    match hello(bytes) {
        Ok(hello) => match server_name(&hello) {
            Some(asked) if asked.eq_ignore_ascii_case(name.as_bytes()) => Opening::Secured,
            _ => Opening::Tls,
        },
        Err(NoHello::Unfinished) if bytes.len() < MAX_HELLO_BYTES => Opening::Unfinished,
        Err(NoHello::Unfinished | NoHello::Broken) => Opening::Tls,
    }
}

/// Why there is no ClientHello.
enum NoHello {
    Broken,
    Unfinished,
}

/// The body of a ClientHello, put together from its records.
fn hello(bytes: &[u8]) -> Result<Vec<u8>, NoHello> {
    let mut rest = Reader(bytes);
    let mut message = Vec::new();
    loop {
        if let Some(length) = hello_length(&message)? {
            let end = 4 + length;
            if let Some(body) = message.get(4..end) {
                return Ok(body.to_vec());
            }
            if end > MAX_HELLO_BYTES {
                return Err(NoHello::Broken);
            }
        }
        let kind = rest.byte().ok_or(NoHello::Unfinished)?;
        rest.take(2).ok_or(NoHello::Unfinished)?;
        let length = rest.pair().ok_or(NoHello::Unfinished)?;
        // An empty record would make no progress.
        if kind != HANDSHAKE || length == 0 {
            return Err(NoHello::Broken);
        }
        let available = rest.0.len().min(length.into());
        message.extend_from_slice(rest.take(available).unwrap_or_default());
        if hello_length(&message)?.is_none_or(|length| message.len() < 4 + length)
            && available < length.into()
        {
            return Err(NoHello::Unfinished);
        }
    }
}

/// The length in a handshake message's header, if the header is complete.
fn hello_length(message: &[u8]) -> Result<Option<usize>, NoHello> {
    let mut header = Reader(message);
    match header.byte() {
        None => Ok(None),
        Some(CLIENT_HELLO) => Ok(header
            .take(3)
            .map(|length| length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))),
        Some(_) => Err(NoHello::Broken),
    }
}

/// The name a ClientHello asks for (RFC 8446, section 4.1.2).
fn server_name(hello: &[u8]) -> Option<&[u8]> {
    let mut hello = Reader(hello);
    hello.take(2 + 32)?; // version, random
    hello.short_block()?; // session id
    hello.block()?; // cipher suites
    hello.short_block()?; // compression methods
    let mut extensions = Reader(hello.block()?);
    loop {
        let kind = extensions.pair()?;
        let body = extensions.block()?;
        if kind == SERVER_NAME {
            let mut names = Reader(Reader(body).block()?);
            return (names.byte()? == HOST_NAME).then(|| names.block())?;
        }
    }
}

/// Takes bytes from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn pair(&mut self) -> Option<u16> {
        let (pair, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*pair))
    }

    /// A block with a length of one byte.
    fn short_block(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(length.into())
    }

    /// A block with a length of two bytes.
    fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.pair()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::text::Text;
    use proptest::prelude::*;

    use super::*;

    const NAME: &str = "relay.example";
    const BINDING: [u8; 8] = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];

    fn both() -> Handover {
        Handover { plain: true, name: Text::truncated(NAME) }
    }

    fn block(bytes: &[u8]) -> Vec<u8> {
        let mut block = u16::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
        block.extend(bytes);
        block
    }

    /// A ClientHello for `name` in records of at most `record` bytes.
    fn client_hello(name: &str, record: usize) -> Vec<u8> {
        let mut host = vec![HOST_NAME];
        host.extend(block(name.as_bytes()));
        let mut extensions = vec![0x3a, 0x3a, 0, 1, 0];
        extensions.extend(SERVER_NAME.to_be_bytes());
        extensions.extend(block(&block(&host)));
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([1, 9]);
        body.extend(block(&[0x13, 1]));
        body.extend([1, 0]);
        body.extend(block(&extensions));
        let mut message = vec![CLIENT_HELLO, 0];
        message.extend(block(&body));
        let records = message.chunks(record).flat_map(|chunk| {
            let mut record = vec![HANDSHAKE, 3, 1];
            record.extend(block(chunk));
            record
        });
        records.collect()
    }

    #[test]
    fn classify_requests_and_nothing_we_know_is_http() {
        let without_name = Handover { plain: true, name: Text::default() };
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"P", b"\x05\x01\x00", b"\x80", b"\x17\x03\x01"] {
            assert_eq!(classify(bytes, &without_name), Opening::Http, "{bytes:?}");
        }
        assert_eq!(classify(b"\x16", &without_name), Opening::Tls);
        assert_eq!(classify(&BINDING, &Handover::default()), Opening::Http);
    }

    #[test]
    fn classify_stun_needs_its_cookie() {
        assert_eq!(classify(&BINDING, &both()), Opening::Plain);
        for cut in 0..BINDING.len() {
            assert_eq!(classify(&BINDING[..cut], &both()), Opening::Unfinished, "{cut}");
        }
        let mut other = BINDING;
        other[7] = 0;
        assert_eq!(classify(&other, &both()), Opening::Http);
    }

    #[test]
    fn classify_hello_of_our_name_is_the_relays_and_of_another_is_not() {
        for (name, opening) in [
            (NAME, Opening::Secured),
            ("Relay.EXAMPLE", Opening::Secured),
            ("relay.example.evil", Opening::Tls),
            ("desk.example", Opening::Tls),
            ("", Opening::Tls),
        ] {
            assert_eq!(classify(&client_hello(name, 1000), &both()), opening, "{name}");
        }
    }

    #[test]
    fn classify_hello_that_is_no_hello_is_the_gateways_to_refuse() {
        let mut server_hello = client_hello(NAME, 1000);
        server_hello[5] = 2;
        assert_eq!(classify(&server_hello, &both()), Opening::Tls);
        let empty_record = [HANDSHAKE, 3, 1, 0, 0];
        assert_eq!(classify(&empty_record, &both()), Opening::Tls);
        let endless = [HANDSHAKE, 3, 1, 0x40, 0, CLIENT_HELLO, 0xff, 0xff, 0xff];
        let mut endless = endless.to_vec();
        endless.resize(MAX_HELLO_BYTES, 0);
        assert_eq!(classify(&endless, &both()), Opening::Tls);
    }

    proptest! {
        #[test]
        fn classify_hello_cut_anywhere_is_unfinished_and_whole_is_secured(
            record in 1_usize..200, cut in any::<prop::sample::Index>()
        ) {
            let hello = client_hello(NAME, record);
            prop_assert_eq!(classify(&hello, &both()), Opening::Secured);
            let cut = cut.index(hello.len());
            prop_assert_eq!(classify(&hello[..cut], &both()), Opening::Unfinished);
        }

        #[test]
        fn classify_never_panics_and_a_verdict_stands_whatever_follows(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            first in prop::sample::select(vec![0_u8, 1, HANDSHAKE, b'G']),
            more in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut bytes = bytes;
            bytes.insert(0, first);
            let opening = classify(&bytes, &both());
            bytes.extend(more);
            if opening != Opening::Unfinished {
                prop_assert_eq!(classify(&bytes, &both()), opening);
            }
            bytes.resize(MAX_HELLO_BYTES, 0);
            prop_assert_ne!(classify(&bytes, &both()), Opening::Unfinished);
        }
    }
}
