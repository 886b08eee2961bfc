//! The gateway's metrics.

use lumen_ipc_runtime::metrics::{Counter, Gauge, Registry};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) connections: Counter,
    pub(super) connections_refused: Counter,
    pub(super) connections_handed_over: Counter,
    pub(super) tls_handshakes: Counter,
    pub(super) tls_handshakes_failed: Counter,
    pub(super) metrics_refused: Counter,
    pub(super) logins: Counter,
    pub(super) logins_refused: Counter,
    pub(super) requests_refused: Counter,
    pub(super) signals_refused: Counter,
    pub(super) link_violations: Counter,
    pub(super) browsers: Gauge,
    pub(super) peers: Gauge,
}

impl Figures {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            connections: registry.counter("http_connections_total"),
            connections_refused: registry.counter("http_connections_refused_total"),
            connections_handed_over: registry.counter("relay_connections_handed_over_total"),
            tls_handshakes: registry.counter("tls_handshakes_total"),
            tls_handshakes_failed: registry.counter("tls_handshakes_failed_total"),
            metrics_refused: registry.counter("metrics_refused_total"),
            logins: registry.counter("logins_total"),
            logins_refused: registry.counter("logins_refused_total"),
            requests_refused: registry.counter("http_requests_refused_total"),
            signals_refused: registry.counter("signalling_messages_refused_total"),
            link_violations: registry.counter("link_violations_total"),
            browsers: registry.gauge("signalling_browsers_count"),
            peers: registry.gauge("signalling_peers_count"),
        }
    }
}
