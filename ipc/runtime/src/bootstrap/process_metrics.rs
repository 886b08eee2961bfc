//! The kernel's accounting of this process, as metrics.

use nix::sys::resource::{UsageWho, getrusage};

use crate::metrics::{Counter, Gauge, Registry};

/// The `process_` metrics of a registry.
#[derive(Debug)]
pub(super) struct ProcessMetrics {
    cpu: Counter,
    resident_peak: Gauge,
    switches_waiting: Counter,
    switches_forced: Counter,
}

impl ProcessMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            cpu: registry.counter("process_cpu_microseconds_total"),
            resident_peak: registry.gauge("process_resident_peak_bytes"),
            switches_waiting: registry.counter("process_voluntary_switches_total"),
            switches_forced: registry.counter("process_involuntary_switches_total"),
        }
    }

    /// Reads the current values from the kernel.
    pub(super) fn refresh(&self) {
        // The call cannot fail for the own process; old values are better than none.
        let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return };
        let (user, system) = (usage.user_time(), usage.system_time());
        let seconds = user.tv_sec() + system.tv_sec();
        let micros = seconds * 1_000_000 + user.tv_usec() + system.tv_usec();
        self.cpu.mirror(micros.unsigned_abs());
        // The kernel counts KiB (getrusage(2)).
        self.resident_peak.set(usage.max_rss().saturating_mul(1024));
        self.switches_waiting.mirror(usage.voluntary_context_switches().unsigned_abs());
        self.switches_forced.mirror(usage.involuntary_context_switches().unsigned_abs());
    }
}
