//! What an attacker's own work takes of the machine that it shares with Lumen here, and does not in the world: the
//! time of a processor that its thread used, and the same work without an attack.

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};

use crate::attack::{Run, Siege, Target};

/// Time of a processor that this thread has used. For datagrams on loopback that includes their way to the
/// receiver's socket.
fn used() -> Duration {
    // Linux has had this clock for ever.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Carries out an attack; returns its share of a processor, too.
pub(crate) fn measured(run: Run, target: &Target, siege: &Siege) -> (Result<()>, f64) {
    let (begun, before) = (Instant::now(), used());
    let outcome = run(target, siege);
    siege.hold();
    (outcome, (used() - before).as_secs_f64() / begun.elapsed().as_secs_f64())
}

/// Times a second that the work begins: as often as an attacker wakes.
const BEGINS: u32 = 200;

/// Uses this share of a processor until the siege is over, in pieces as an attacker does.
pub(crate) fn work(share: f64, siege: &Siege) -> Result<()> {
    let piece = Duration::from_secs_f64(share.clamp(0.0, 1.0) / f64::from(BEGINS));
    siege.strike(BEGINS, u64::MAX, |_| {
        let begun = used();
        while used() - begun < piece {
            std::hint::spin_loop();
        }
        Ok(())
    })
}
