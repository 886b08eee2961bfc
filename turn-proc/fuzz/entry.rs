//! Feeds the input of the fuzz targets to the relay. An ordinary test runs their seeds through it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each target uses a part of it, and a failure is what it looks for"
)]

use lumen_turn::{
    auth::credential::Party,
    framing::Framer,
    moment::{Carrier, Flow},
    relay::{MAX_STRANGER_FACTOR, Outcome},
    wire::MAX_MESSAGE_BYTES,
};

use crate::client::{
    ALLOCATE, Builder, Client, grantee,
    rig::{Rig, START},
};

/// A target: its name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[("datagrams", datagrams), ("stream", stream)];

fn at(port: u16) -> Flow {
    Flow { carrier: Carrier::Datagrams(0), remote: ([198, 51, 100, 7], port).into() }
}

/// A client with an allocation and a permission to exchange data.
fn enter(rig: &mut Rig, from: Flow, party: Party) -> Client {
    let mut client = Client::new(grantee(party, 1, 0), START + 3600, 1);
    let relayed = rig.enter(from, &mut client);
    let permit = client.permit(relayed);
    rig.ask(from, &permit);
    client
}

/// Sends `data` as a stranger, as a client, and as the body of a client's signed request.
pub fn datagrams(data: &[u8]) {
    let mut rig = Rig::new();
    let (viewer, rtc, stranger) = (at(1), at(2), at(3));
    let mut client = enter(&mut rig, viewer, Party::Viewer);
    enter(&mut rig, rtc, Party::Rtc);
    if rig.say(stranger, data) == Outcome::Reply {
        assert!(rig.out.len() <= data.len() * MAX_STRANGER_FACTOR, "an amplifier");
    }
    assert_eq!(rig.relay.allocations(), 2, "a stranger has created state");
    if let Outcome::Forward(to) = rig.say(viewer, data) {
        assert_eq!(to, rtc, "data goes to the other side only");
    }
    for method in [ALLOCATE, 4, 8, 9] {
        let transaction = client.transaction();
        let signed = client.sign(signed_body(method, data, transaction));
        rig.say(viewer, &signed);
    }
    assert!(rig.relay.allocations() <= 2);
}

/// A request with attributes cut out of `data`: two bytes of type, one of length, the value.
fn signed_body(method: u16, data: &[u8], transaction: [u8; 12]) -> Builder {
    let mut builder = Builder::new(method, transaction);
    let mut rest = data;
    while let Some((&[high, low, length], after)) = rest.split_first_chunk::<3>() {
        let (value, after) = after.split_at(usize::from(length).min(after.len()));
        builder = builder.attribute(u16::from_be_bytes([high, low]), value);
        rest = after;
        // A body that does not fit a message is refused before it is parsed.
        if data.len() - rest.len() > MAX_MESSAGE_BYTES {
            break;
        }
    }
    builder
}

/// Reads `data` as a stream in pieces; the first byte gives their length.
pub fn stream(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let mut framer = Framer::default();
    let mut rig = Rig::new();
    for piece in bytes.chunks(usize::from(piece) + 1) {
        framer.push(piece);
        loop {
            match framer.next_message() {
                Ok(Some(message)) => {
                    rig.say(at(1), &message);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(framer.pending() < MAX_MESSAGE_BYTES);
    }
}
