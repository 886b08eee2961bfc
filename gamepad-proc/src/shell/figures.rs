//! The metrics of gamepad.

use lumen_ipc_runtime::metrics::{Counter, Gauge, Registry};

/// The metrics of this worker.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) registry: Registry,
    /// Existing devices.
    pub(super) devices: Gauge,
    /// Devices created.
    pub(super) devices_created: Counter,
    /// Devices removed.
    pub(super) devices_destroyed: Counter,
    /// Messages received from rtc.
    pub(super) messages: Counter,
    /// Input events sent to devices.
    pub(super) events: Counter,
    /// Orders sent to pads' motors.
    pub(super) rumbles: Counter,
    /// Times a pad had to wait or was ignored.
    pub(super) pads_turned_away: Counter,
    /// Link ends closed because rtc broke the contract.
    pub(super) link_violations: Counter,
}

impl Figures {
    pub(super) fn new() -> Self {
        let registry = Registry::default();
        Self {
            devices: registry.gauge("devices_count"),
            devices_created: registry.counter("devices_created_total"),
            devices_destroyed: registry.counter("devices_destroyed_total"),
            messages: registry.counter("pad_messages_received_total"),
            events: registry.counter("input_events_sent_total"),
            rumbles: registry.counter("rumbles_sent_total"),
            pads_turned_away: registry.counter("pads_turned_away_total"),
            link_violations: registry.counter("link_violations_total"),
            registry,
        }
    }
}
