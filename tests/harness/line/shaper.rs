//! The thread that carries packets from one end of a line to the other: devices and clock for two
//! [`Way`]s.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};

use super::way::{Counts, Fate, Way};

/// Packets taken of one end before the other has its turn.
const TURN: usize = 32;
/// Larger than any packet of IP.
const LARGEST: usize = 1 << 16;

/// From which end a packet comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum From {
    /// From the desktop.
    Server,
    /// From the browser.
    Browser,
}

/// A packet that came by.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// When it came.
    pub at: Instant,
    /// From where.
    pub from: From,
    /// Its size with all headers.
    pub size: usize,
    /// Its first bytes, from the IP header on.
    pub head: [u8; 64],
    /// Whether and when it leaves.
    pub fate: Fate,
}

/// Both directions.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) down: Way,
    pub(super) up: Way,
    /// The longest time by which a packet left late.
    pub(super) latest: Duration,
    /// All packets from some moment on, if somebody asked for them.
    pub(super) passages: Option<Vec<Passage>>,
}

impl Ways {
    fn of(&mut self, from: From) -> &mut Way {
        match from {
            From::Server => &mut self.down,
            From::Browser => &mut self.up,
        }
    }

    fn next_due(&self) -> Option<Instant> {
        [self.down.next_due(), self.up.next_due()].into_iter().flatten().min()
    }

    fn offer(&mut self, from: From, packet: &[u8]) {
        let at = Instant::now();
        let fate = self.of(from).offer(at, packet.to_owned());
        if let Some(passages) = &mut self.passages {
            let mut head = [0; 64];
            head.iter_mut().zip(packet).for_each(|(place, byte)| *place = *byte);
            passages.push(Passage { at, from, size: packet.len(), head, fate });
        }
    }

    /// Figures of the direction to the browser.
    pub(super) const fn counts(&self) -> Counts {
        self.down.counts()
    }
}

/// The running thread; dropping it ends the line.
#[derive(Debug)]
pub(super) struct Shaper {
    ways: Arc<Mutex<Ways>>,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Shaper {
    /// Carries packets between the devices of both ends.
    pub(super) fn start(server: File, browser: File, ways: Ways) -> Result<Self> {
        let ways = Arc::new(Mutex::new(ways));
        let (stop, stopped) = UnixStream::pair()?;
        let ends = Ends { server, browser, stopped };
        let shared = Arc::clone(&ways);
        let thread = thread::Builder::new().name("line".to_owned()).spawn(move || {
            // Where others use up the processor, the line would be slower than it was told to be. Who
            // may make interfaces may do this, too; a test that it matters to looks at the lateness.
            let _ = rustix::process::setpriority_process(None, -15);
            if let Err(error) = ends.carry(&shared) {
                println!("the line broke: {error:#}");
            }
        })?;
        Ok(Self { ways, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shaper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has printed why it panicked, if it did.
            let _ = thread.join();
        }
    }
}

/// What the thread waits for.
struct Ends {
    server: File,
    browser: File,
    /// Its other end is closed when the line ends.
    stopped: UnixStream,
}

impl Ends {
    fn carry(&self, ways: &Mutex<Ways>) -> Result<()> {
        let mut packet = vec![0; LARGEST];
        loop {
            let due = self.deliver(&mut ways.lock().unwrap_or_else(PoisonError::into_inner));
            let Some((server, browser)) = self.wait(due)? else { return Ok(()) };
            for (from, end, readable) in
                [(From::Server, &self.server, server), (From::Browser, &self.browser, browser)]
            {
                if readable {
                    take(end, &mut packet, |packet| {
                        ways.lock().unwrap_or_else(PoisonError::into_inner).offer(from, packet);
                    })?;
                }
            }
        }
    }

    /// Hands over what is due, and says when the next packet is.
    fn deliver(&self, ways: &mut Ways) -> Option<Instant> {
        for (from, mut to) in [(From::Server, &self.browser), (From::Browser, &self.server)] {
            let now = Instant::now();
            while let Some((due, packet)) = ways.of(from).take_due(now) {
                ways.latest = ways.latest.max(now.saturating_duration_since(due));
                // A host whose interface is down loses packets, as a real one does.
                let _ = to.write(&packet);
            }
        }
        ways.next_due()
    }

    /// Waits for packets or until `due`: which ends have some, or `None` at the end.
    fn wait(&self, due: Option<Instant>) -> Result<Option<(bool, bool)>> {
        let mut ends = [&self.server.as_fd(), &self.browser.as_fd(), &self.stopped.as_fd()]
            .map(|end| PollFd::new(*end, PollFlags::POLLIN));
        let time = due.map(|due| TimeSpec::from(due.saturating_duration_since(Instant::now())));
        match ppoll(&mut ends, time, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("waiting for packets"),
        }
        let [server, browser, stopped] = ends.map(|end| end.any().unwrap_or_default());
        Ok((!stopped).then_some((server, browser)))
    }
}

/// Takes the packets that wait at one end.
fn take(mut end: &File, packet: &mut [u8], mut take: impl FnMut(&[u8])) -> Result<()> {
    for _ in 0..TURN {
        match end.read(packet) {
            Ok(size) => take(packet.get(..size).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error).context("reading a packet"),
        }
    }
    Ok(())
}
