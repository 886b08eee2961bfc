//! What every request handler shares.

use std::sync::Arc;

use lumen_ipc::{
    front_door::FrontDoor,
    message::session::TokenDigest,
    service::{AuthMode, GatewayConfig},
    text::Text,
    tls::Tls,
    vouching::VoucherHeader,
};
use tokio::sync::watch;

use super::{
    super::{cookie::LoginCookie, quota::Connections},
    attendance::Attendance,
    broker::Broker,
    exchange::Orders,
    figures::Figures,
    watching::Watching,
};

/// Cheap to clone: each request gets a clone.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) auth: AuthMode,
    /// Whether browsers connect by TLS.
    pub(super) tls: Tls,
    pub(super) front_door: Arc<FrontDoor>,
    pub(super) connections: Connections,
    pub(super) hostname: Arc<Text<256>>,
    pub(super) cookie: Arc<LoginCookie>,
    pub(super) broker: Broker,
    pub(super) exchange: Orders,
    /// Becomes true when the gateway drains.
    pub(super) draining: watch::Receiver<bool>,
    pub(super) figures: Figures,
    /// The token of those who may see metrics from elsewhere, if there is one.
    pub(super) metrics_token: Option<TokenDigest>,
    /// The header in which a proxy names the browser's account, if there is such a proxy.
    pub(super) voucher: Option<Arc<VoucherHeader>>,
    /// What pages call the identity provider, if browsers may sign in by one.
    pub(super) provider: Option<Arc<Text<64>>>,
    pub(super) watching: Watching,
    pub(super) attendance: Attendance,
}

impl App {
    pub(super) fn new(
        config: GatewayConfig,
        broker: Broker,
        exchange: Orders,
        draining: watch::Receiver<bool>,
        figures: Figures,
    ) -> Self {
        Self {
            auth: config.auth,
            tls: config.tls,
            hostname: Arc::new(config.hostname),
            cookie: Arc::new(LoginCookie::of(&config.front_door.listen, config.tls)),
            front_door: Arc::new(config.front_door),
            connections: Connections::default(),
            broker,
            exchange,
            draining,
            figures,
            metrics_token: config.metrics_token,
            voucher: config.voucher.map(Arc::new),
            provider: config.provider.map(Arc::new),
            watching: Watching::new(),
            attendance: Attendance::default(),
        }
    }
}

/// Waits until the gateway drains. (`wait_for` returns a lock guard, which must not be kept.)
pub(super) async fn drained(draining: &mut watch::Receiver<bool>) {
    // An error means that the gateway has ended already.
    let _ = draining.wait_for(|draining| *draining).await;
}
