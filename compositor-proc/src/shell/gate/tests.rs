//! The order in which apps are served, and which bytes arrive. A dummy library reads them.

use std::{
    cell::Cell,
    io::{Read, Write},
    sync::Arc,
};

use smithay::reexports::wayland_server::Display;

use super::*;

/// A library that does this when it is to handle the input of a client.
struct Dummy<F>(F);

impl<F: FnMut(&ClientId)> Library for Dummy<F> {
    fn read(&mut self, client: &ClientId, _descriptors: usize) -> usize {
        (self.0)(client);
        0
    }

    fn has_one_of(&self, _: &ClientId, _: u32, _: &[&'static Interface]) -> bool {
        false
    }

    fn refuse(&mut self, client: &ClientId, reason: Wrong) {
        panic!("{client:?} is refused: {reason}");
    }
}

/// An app's end of a connection, its client id, and the library's end.
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
        let mut gate = Gate::new(Vec::new(), now.get()).expect("a gate");
        let (mut greedy, greedy_client, _greedy_library) = connect(&display, &mut gate);
        let (mut modest, modest_client, _modest_library) = connect(&display, &mut gate);
        let mut order = Vec::new();
        for _ in 0..2 {
            greedy.write_all(&vec![0; said]).expect("room");
            modest.write_all(&[0; 8]).expect("room");
            order.clear();
            for passage in gate.waiting(now.get()) {
                let mut library = Dummy(|client: &ClientId| {
                    order.push(client.clone());
                    let cost = if *client == greedy_client { 900 } else { 1 };
                    now.set(now.get() + Duration::from_micros(cost));
                });
                gate.serve(passage, || now.get(), &mut library);
            }
        }
        assert_eq!(order.first(), Some(&modest_client), "{said} bytes");
    }
}

/// Runs turns until the gate has dropped the app; returns what the library has read by then.
fn all_that_arrives(gate: &mut Gate, library: &mut UnixStream, answer: &[u8]) -> Vec<u8> {
    let (mut arrived, now) = (Vec::new(), Cell::new(Instant::now()));
    // More turns than there are portions.
    for _ in 0..16 {
        for passage in gate.waiting(now.get()) {
            let mut dummy = Dummy(|_: &ClientId| {
                // Uses up the slice, so that each turn passes one portion.
                now.set(now.get() + SLICE);
                let mut bytes = [0; PORTION];
                if let Ok(length) = library.read(&mut bytes) {
                    arrived.extend(&bytes[..length]);
                }
            });
            gate.serve(passage, || now.get(), &mut dummy);
        }
        // Fails once the gate has closed its end.
        let _ = library.write(answer);
        gate.tell_apps();
    }
    arrived
}

#[test]
fn app_that_closes_its_socket_has_all_it_said_passed_on() {
    // With answers that the app did not read, with answers that come too late, and with none.
    for (unread, answer) in [(8, &[1; 8][..]), (0, &[1; 8]), (0, &[])] {
        let display = Display::new().expect("a display");
        let mut gate = Gate::new(Vec::new(), Instant::now()).expect("a gate");
        let (mut app, _client, mut library) = connect(&display, &mut gate);
        library.set_nonblocking(true).expect("a socket");
        library.write_all(&vec![1; unread]).expect("room");
        gate.tell_apps();
        let said: Vec<u8> = (0..5 * PORTION + 8).map(|at| at as u8).collect();
        app.write_all(&said).expect("room");
        drop(app);
        let arrived = all_that_arrives(&mut gate, &mut library, answer);
        assert_eq!(arrived.len(), said.len(), "{unread} unread, answers of {}", answer.len());
        assert!(arrived == said);
        assert!(gate.connections.is_empty(), "the app is not forgotten");
    }
}
