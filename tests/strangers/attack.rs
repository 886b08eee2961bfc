//! What an attack is, and the pace it keeps.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
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

/// What carries an attack out until it is over.
pub(crate) type Run = fn(&Target, &Siege) -> Result<()>;

/// One attack: its name with its rate, what carries it out, and what the server is to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: Run,
    pub(crate) meant: Meant,
}

/// What the server is to say to an attack. Where it says something else, it was not attacked in the way that
/// the attack's name says, and its withstanding proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Meant {
    /// Answers that the attack knows, though limits may hold many back.
    Answers,
    /// Nothing.
    Silence,
}

/// The state that an attack shares with who measures it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Siege {
    over: Arc<AtomicBool>,
    blows: Arc<AtomicU64>,
    heard: Arc<Mutex<Heard>>,
}

/// What the server has said.
#[derive(Debug, Default)]
struct Heard {
    /// The number of answers that were meant.
    meant: u64,
    /// The first other one.
    odd: Option<String>,
}

impl Siege {
    /// The same attack anew, whose answers are noted together with this one's.
    pub(crate) fn another(&self) -> Self {
        Self { heard: Arc::clone(&self.heard), ..Self::default() }
    }

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

    /// Notes an answer and whether it was meant; no bytes are no answer.
    pub(crate) fn hears(&self, answer: &[u8], is_meant: bool) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match is_meant {
            _ if answer.is_empty() => {}
            true => heard.meant += 1,
            false => {
                let start = answer.get(..answer.len().min(100)).unwrap_or_default();
                heard.odd.get_or_insert_with(|| String::from_utf8_lossy(start).into_owned());
            }
        }
    }

    /// What was wrong with the answers; `None` if they were as they were meant to be.
    pub(crate) fn oddity(&self, meant: Meant) -> Option<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match (&heard.odd, heard.meant) {
            (Some(odd), _) => Some(format!("was answered {odd:?}")),
            (None, 0) if meant == Meant::Answers => Some("was never answered".to_owned()),
            (None, 1..) if meant == Meant::Silence => Some("was answered".to_owned()),
            (None, _) => None,
        }
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
