//! The `tuning` link: what peers ask of media, told from the control thread.
//!
//! Demands of one kind replace each other, so the event loop never waits for media and nothing
//! queues. A new media is told everything once.

use std::os::fd::OwnedFd;

use lumen_ipc::{service::TuningClient, units::Kbps};
use lumen_ipc_runtime::rpc;
use tarpc::{
    client::{Config, RpcError},
    context,
};
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinHandle},
};
use tracing::{debug, warn};

/// All that is asked of media.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Demand {
    watchers: u16,
    bitrate: Kbps,
    /// Keyframes asked for so far.
    keyframes: u64,
}

/// Where demands are put down.
#[derive(Debug)]
pub(super) struct Tuning {
    demand: watch::Sender<Demand>,
    runtime: Handle,
    teller: Option<AbortHandle>,
}

impl Tuning {
    /// Media encodes at `bitrate` until told otherwise.
    pub(super) fn new(runtime: Handle, bitrate: Kbps) -> Self {
        let (demand, _) = watch::channel(Demand { watchers: 0, bitrate, keyframes: 0 });
        Self { demand, runtime, teller: None }
    }

    /// Tells whoever is at the other end of `link` from now on.
    pub(super) fn attach(&mut self, link: OwnedFd) {
        let told: JoinHandle<()> = self.runtime.spawn(tell(link, self.demand.subscribe()));
        if let Some(previous) = self.teller.replace(told.abort_handle()) {
            previous.abort();
        }
    }

    pub(super) fn set_watchers(&self, watchers: u16) {
        self.demand.send_modify(|demand| demand.watchers = watchers);
    }

    pub(super) fn set_bitrate(&self, bitrate: Kbps) {
        self.demand.send_modify(|demand| demand.bitrate = bitrate);
    }

    pub(super) fn request_keyframe(&self) {
        self.demand.send_modify(|demand| demand.keyframes += 1);
    }
}

impl Drop for Tuning {
    fn drop(&mut self) {
        if let Some(teller) = self.teller.take() {
            teller.abort();
        }
    }
}

async fn tell(link: OwnedFd, mut demand: watch::Receiver<Demand>) {
    let client = match rpc::transport(link) {
        Ok(transport) => TuningClient::new(Config::default(), transport).spawn(),
        Err(error) => return warn!(%error, "the tuning link cannot be used"),
    };
    let mut told = None;
    loop {
        let wanted = *demand.borrow_and_update();
        if let Err(error) = tell_difference(&client, told, wanted).await {
            // A media that restarts; the new one's link end is on its way.
            return debug!(%error, "media does not listen");
        }
        told = Some(wanted);
        if demand.changed().await.is_err() {
            return;
        }
    }
}

async fn tell_difference(
    client: &TuningClient,
    told: Option<Demand>,
    wanted: Demand,
) -> Result<(), RpcError> {
    if told.is_none_or(|told| told.watchers != wanted.watchers) {
        client.set_watchers(context::current(), wanted.watchers).await?;
    }
    // A new media begins with a keyframe anyway.
    if told.is_some_and(|told| told.keyframes != wanted.keyframes) {
        client.request_keyframe(context::current()).await?;
    }
    if told.is_none_or(|told| told.bitrate != wanted.bitrate) {
        client.set_target_bitrate(context::current(), wanted.bitrate).await?;
    }
    Ok(())
}
