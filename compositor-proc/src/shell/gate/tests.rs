//! Who comes first, told by bytes that a library which does nothing reads.

use std::{cell::Cell, io::Write, sync::Arc};

use smithay::reexports::wayland_server::Display;

use super::*;

/// An app's end of a connection, what it is called, and the library's end.
fn connect(display: &Display<()>, gate: &mut Gate) -> (UnixStream, ClientId, UnixStream) {
    let (_far, near) = UnixStream::pair().expect("a pair");
    let client = display.handle().insert_client(near, Arc::new(())).expect("a client").id();
    let (app, outer) = UnixStream::pair().expect("a pair");
    let (inner, library) = UnixStream::pair().expect("a pair");
    gate.add(client.clone(), outer, inner).expect("watched");
    (app, client, library)
}

#[test]
fn app_that_has_used_more_comes_later_however_much_it_says_at_once() {
    for said in [8, PORTION - 1, PORTION, PORTION + 1, 2 * PORTION] {
        let display = Display::new().expect("a display");
        let now = Cell::new(Instant::now());
        let mut gate = Gate::new(now.get()).expect("a gate");
        let (mut greedy, greedy_client, _greedy_library) = connect(&display, &mut gate);
        let (mut modest, modest_client, _modest_library) = connect(&display, &mut gate);
        let mut order = Vec::new();
        for _ in 0..2 {
            greedy.write_all(&vec![0; said]).expect("room");
            modest.write_all(&[0; 8]).expect("room");
            order.clear();
            for passage in gate.waiting(now.get()) {
                gate.serve(
                    passage,
                    || now.get(),
                    |client, _| {
                        order.push(client.clone());
                        let cost = if *client == greedy_client { 900 } else { 1 };
                        now.set(now.get() + Duration::from_micros(cost));
                    },
                );
            }
        }
        assert_eq!(order.first(), Some(&modest_client), "{said} bytes");
    }
}
