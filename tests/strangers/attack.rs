//! What an attack is, and the pace it keeps.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

/// What is attacked.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where browsers connect.
    pub(crate) door: SocketAddr,
    /// Rtc's UDP socket.
    pub(crate) media: SocketAddr,
    /// The relay's UDP socket.
    pub(crate) relay: SocketAddr,
    /// What a hostile browser signs in with.
    pub(crate) token: String,
}

/// One attack: its name with its rate, and what carries it out until it is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Target, &Siege) -> Result<()>,
}

/// The state that an attack shares with who measures it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Siege {
    over: Arc<AtomicBool>,
    blows: Arc<AtomicU64>,
}

impl Siege {
    /// Ends the attack.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether the attack is to end.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Counts one datagram, connection, request or message of the attack.
    pub(crate) fn blow(&self) {
        self.blows.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn blows(&self) -> u64 {
        self.blows.load(Ordering::Relaxed)
    }

    /// Calls `strike` so many times a second until the attack is over or `most` are done.
    pub(crate) fn strike(
        &self,
        per_second: u32,
        most: u64,
        mut strike: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let mut pace = Pace::new(per_second);
        for number in 0..most {
            pace.wait();
            if self.is_over() {
                return Ok(());
            }
            strike(number)?;
            self.blow();
        }
        Ok(())
    }

    /// Waits until the attack is over, in which what it holds stays.
    pub(crate) fn hold(&self) {
        while !self.is_over() {
            thread::sleep(TICK);
        }
    }
}

/// How often an attacker wakes.
const TICK: Duration = Duration::from_millis(5);

/// Lets so many through a second, some at each tick. One that was held up does not catch up: a burst
/// would be another attack.
#[derive(Debug)]
struct Pace {
    per_tick: f64,
    credit: f64,
    tick: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        let per_tick = f64::from(per_second) * TICK.as_secs_f64();
        Self { per_tick, credit: 1.0, tick: Instant::now() }
    }

    fn wait(&mut self) {
        while self.credit < 1.0 {
            // The rate of the attack, not a guess at when something is done.
            thread::sleep(TICK);
            let ticks = self.tick.elapsed().as_secs_f64() / TICK.as_secs_f64();
            self.tick = Instant::now();
            self.credit = (self.credit + ticks * self.per_tick).min(4.0 * self.per_tick.max(1.0));
        }
        self.credit -= 1.0;
    }
}
