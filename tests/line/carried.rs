//! What a line carries: datagrams between two sockets, as the kernel makes them.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    line::{
        From, Line, SERVER,
        shape::{Limit, Rate, Shape},
    },
    patience::{patience, wait_until},
};
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

const MILLISECOND: Duration = Duration::from_millis(1);
/// A test is not about how soon a busy machine runs a thread that was woken.
const MACHINE: Duration = Duration::from_millis(250);

/// A socket at each end; the browser's has said hello.
struct Ends {
    line: Line,
    server: UdpSocket,
    browser: UdpSocket,
}

impl Ends {
    fn new(down: Shape, up: Shape) -> Result<Self> {
        let line = Line::new(down, up)?;
        let bind = || Ok(UdpSocket::bind("0.0.0.0:0")?);
        let (server, browser) = (line.server.inside(bind)?, line.browser.inside(bind)?);
        browser.connect((SERVER, server.local_addr()?.port()))?;
        for socket in [&server, &browser] {
            socket.set_read_timeout(Some(patience()))?;
        }
        browser.send(b"hello")?;
        let (_, address) = server.recv_from(&mut [0; 100])?;
        server.connect(address)?;
        Ok(Self { line, server, browser })
    }
}

#[test]
fn line_with_delay_answers_after_both_ways_and_not_much_later() -> Result<()> {
    let shape = Shape { delay: 50 * MILLISECOND, ..Shape::default() };
    let ends = Ends::new(shape, shape)?;
    for _ in 0..5 {
        let start = Instant::now();
        ends.browser.send(b"ping")?;
        ends.server.recv(&mut [0; 100]).context("the ping")?;
        ends.server.send(b"pong")?;
        ends.browser.recv(&mut [0; 100]).context("the answer")?;
        let took = start.elapsed();
        ensure!((100 * MILLISECOND..100 * MILLISECOND + MACHINE).contains(&took), "{took:?}");
    }
    Ok(())
}

#[test]
fn line_with_a_queue_spreads_a_burst_over_the_time_that_its_rate_needs() -> Result<()> {
    let rate = Rate::kilobits(800);
    let limit = Some(Limit::Queued { rate, depth: Duration::from_secs(5) });
    let ends = Ends::new(Shape { limit, ..Shape::default() }, Shape::default())?;
    // With headers of IP and UDP a packet of 1000 bytes, 10 ms.
    let start = Instant::now();
    for _ in 0..50 {
        ends.server.send(&[0; 972])?;
    }
    for _ in 0..50 {
        ends.browser.recv(&mut [0; 1500])?;
    }
    let took = start.elapsed();
    ensure!((499 * MILLISECOND..500 * MILLISECOND + MACHINE).contains(&took), "{took:?}");
    Ok(())
}

#[test]
fn line_that_is_policed_sees_packets_though_the_sender_leaves_segmenting_to_the_kernel()
-> Result<()> {
    let limit = Limit::Policed { rate: Rate::kilobits(8), burst: 12_280 };
    let ends = Ends::new(Shape { limit: Some(limit), ..Shape::default() }, Shape::default())?;
    ends.line.note_passages();
    // One call, 40 datagrams of 1228 bytes with their headers, and a bucket for ten.
    setsockopt(&ends.server, UdpGsoSegment, &1200)?;
    ends.server.send(&vec![0; 40 * 1200])?;
    wait_until("all packets have come by", || {
        let counts = ends.line.counts();
        counts.passed + counts.dropped() >= 40
    })?;
    let passages = ends.line.passages();
    let down = passages.iter().filter(|passage| passage.from == From::Server);
    ensure!(down.clone().all(|passage| passage.size == 1228), "{passages:?}");
    let counts = ends.line.counts();
    ensure!((counts.passed, counts.policed) == (10, 30), "{counts:?}");
    Ok(())
}

#[test]
fn line_that_is_interrupted_carries_nothing_either_way_and_then_everything() -> Result<()> {
    let ends = Ends::new(Shape::default(), Shape::default())?;
    let over = ends.line.interrupt(1000 * MILLISECOND);
    ends.server.send(b"lost")?;
    ends.browser.send(b"lost")?;
    wait_until("both have come by", || ends.line.counts().interrupted == 1)?;
    wait_until("the line is whole again", || Instant::now() >= over)?;
    let mut message = [0; 100];
    ends.server.send(b"down")?;
    let size = ends.browser.recv(&mut message)?;
    ensure!(message.get(..size) == Some(b"down"), "{message:?}");
    ends.browser.send(b"up")?;
    let size = ends.server.recv(&mut message)?;
    ensure!(message.get(..size) == Some(b"up"), "{message:?}");
    Ok(())
}
