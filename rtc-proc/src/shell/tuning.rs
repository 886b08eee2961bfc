//! The `tuning` link: the control thread tells media what is wanted.
//!
//! A demand is complete and replaces the one before, so the event loop never waits for media and
//! nothing queues. A media that does not answer in time is told again; a new one is told at once.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use lumen_ipc::{demand::Demand, message::grants::LossReason, service::TuningClient};
use lumen_ipc_runtime::{
    link_end::{GiveUp, LinkGuard},
    rpc,
};
use tarpc::{
    client::{Config, RpcError},
    context::{self, Context},
};
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinHandle},
};
use tracing::{debug, warn};

/// After this time without an answer media is told again. A lost demand keeps the picture still for
/// that long; a repeated request costs nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the newest demand is put.
#[derive(Debug)]
pub(super) struct Tuning {
    demand: watch::Sender<Demand>,
    runtime: Handle,
    teller: Option<AbortHandle>,
}

impl Tuning {
    /// `demand` is the initial demand.
    pub(super) fn new(runtime: Handle, demand: Demand) -> Self {
        let (demand, _) = watch::channel(demand);
        Self { demand, runtime, teller: None }
    }

    /// Sends demands to `link` from now on; `guard` reports why it ends.
    pub(super) fn attach(&mut self, link: OwnedFd, guard: LinkGuard) {
        let told: JoinHandle<()> =
            self.runtime.spawn(tell((link, guard), self.demand.subscribe(), PATIENCE));
        if let Some(previous) = self.teller.replace(told.abort_handle()) {
            previous.abort();
        }
    }

    /// Replaces the demand; returns the previous one.
    pub(super) fn tell(&self, demand: Demand) -> Demand {
        self.demand.send_replace(demand)
    }
}

impl Drop for Tuning {
    fn drop(&mut self) {
        if let Some(teller) = self.teller.take() {
            teller.abort();
        }
    }
}

async fn tell(
    (link, guard): (OwnedFd, LinkGuard),
    mut demand: watch::Receiver<Demand>,
    patience: Duration,
) {
    let client = match rpc::transport(link) {
        Ok(transport) => TuningClient::new(Config::default(), transport).spawn(),
        Err(error) => return warn!(%error, "the tuning link cannot be used"),
    };
    loop {
        let wanted = *demand.borrow_and_update();
        match client.demand(within(patience), wanted).await {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => warn!(%refusal, "media refused a demand"),
            Err(RpcError::DeadlineExceeded) => {
                debug!("media did not answer in time; sending the demand again");
                continue;
            }
            // Usually media restarts; a new link end follows in any case.
            Err(error) => {
                guard.give_up(GiveUp::Lost(LossReason::Closed));
                return debug!(%error, "cannot reach media");
            }
        }
        if demand.changed().await.is_err() {
            return;
        }
    }
}

fn within(patience: Duration) -> Context {
    let mut context = context::current();
    context.deadline = Instant::now() + patience;
    context
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::net::UnixStream,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use lumen_ipc::{
        link::LinkName,
        service::{Refusal, Tuning as Service},
        units::{Kbps, StreamId},
    };
    use tokio::sync::mpsc;

    use super::*;

    /// A media worker that blocks until it is to answer.
    #[derive(Clone)]
    struct Late {
        answers: Arc<AtomicBool>,
        heard: mpsc::UnboundedSender<Demand>,
    }

    impl Service for Late {
        async fn demand(self, _: Context, demand: Demand) -> Result<(), Refusal> {
            self.heard.send(demand).expect("the test listens");
            if !self.answers.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }

    fn demand(watchers: u16, keyframes: u64) -> Demand {
        let (stream, bitrate) = (StreamId::VIDEO, Kbps::MAX);
        Demand { stream, watchers, size: None, format: None, bitrate, keyframes }
    }

    fn unsupervised() -> LinkGuard {
        LinkGuard::unsupervised(LinkName::Tuning)
    }

    /// A new media worker at the other end of a new link, and the demands it receives.
    fn media(answers: &Arc<AtomicBool>) -> (OwnedFd, mpsc::UnboundedReceiver<Demand>) {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        let (heard, hearing) = mpsc::unbounded_channel();
        let late = Late { answers: Arc::clone(answers), heard };
        tokio::spawn(rpc::answer(theirs.into(), late.serve()));
        (ours.into(), hearing)
    }

    /// Receives demands until `demand` arrives.
    async fn until(heard: &mut mpsc::UnboundedReceiver<Demand>, demand: Demand) {
        while heard.recv().await.expect("rtc goes on telling") != demand {}
    }

    #[tokio::test]
    async fn media_that_was_late_is_told_what_is_wanted_by_then() {
        let answers = Arc::new(AtomicBool::new(false));
        let (link, mut heard) = media(&answers);
        let (sender, receiver) = watch::channel(demand(1, 1));
        let telling =
            tokio::spawn(tell((link, unsupervised()), receiver, Duration::from_millis(20)));
        until(&mut heard, demand(1, 1)).await;
        // While media stands still.
        sender.send_replace(demand(1, 2));
        until(&mut heard, demand(1, 2)).await;
        answers.store(true, Ordering::Relaxed);
        until(&mut heard, demand(1, 2)).await;
        sender.send_replace(demand(0, 2));
        until(&mut heard, demand(0, 2)).await;
        telling.abort();
    }

    #[tokio::test]
    async fn new_media_is_told_everything_at_once() {
        let mut tuning = Tuning::new(Handle::current(), demand(0, 0));
        assert_eq!(tuning.tell(demand(2, 7)), demand(0, 0));
        for _ in 0..2 {
            let (link, mut heard) = media(&Arc::new(AtomicBool::new(true)));
            tuning.attach(link, unsupervised());
            assert_eq!(heard.recv().await, Some(demand(2, 7)));
        }
    }
}
