//! The `tuning` link: what is wanted of media, told from the control thread.
//!
//! A demand is told whole and replaces the one before, so the event loop never waits for media and
//! nothing queues. A media that does not answer in time is told again, whatever it was too late for;
//! one that is new is told at once.

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

/// After so long without an answer media is told again. A lost demand leaves a picture still for as
/// long; a request costs nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the demand is put down.
#[derive(Debug)]
pub(super) struct Tuning {
    demand: watch::Sender<Demand>,
    runtime: Handle,
    teller: Option<AbortHandle>,
}

impl Tuning {
    /// `demand` is what is wanted at first.
    pub(super) fn new(runtime: Handle, demand: Demand) -> Self {
        let (demand, _) = watch::channel(demand);
        Self { demand, runtime, teller: None }
    }

    /// Tells whoever is at the other end of `link` from now on; `guard` reports why that ends.
    pub(super) fn attach(&mut self, link: OwnedFd, guard: LinkGuard) {
        let told: JoinHandle<()> =
            self.runtime.spawn(tell((link, guard), self.demand.subscribe(), PATIENCE));
        if let Some(previous) = self.teller.replace(told.abort_handle()) {
            previous.abort();
        }
    }

    /// Has media told; returns what was wanted before.
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
            Ok(Err(refusal)) => warn!(%refusal, "media refuses a demand"),
            Err(RpcError::DeadlineExceeded) => {
                debug!("media is late; it is told again");
                continue;
            }
            // Mostly a media that restarts; a new link end is on its way in any case.
            Err(error) => {
                guard.give_up(GiveUp::Lost(LossReason::Closed));
                return debug!(%error, "media does not listen");
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

    /// A media that stands still until it is to answer.
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
        Demand { stream, watchers, format: None, bitrate, keyframes }
    }

    fn unsupervised() -> LinkGuard {
        LinkGuard::unsupervised(LinkName::Tuning)
    }

    /// A new media at the other end of a new link, and what it hears.
    fn media(answers: &Arc<AtomicBool>) -> (OwnedFd, mpsc::UnboundedReceiver<Demand>) {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        let (heard, hearing) = mpsc::unbounded_channel();
        let late = Late { answers: Arc::clone(answers), heard };
        tokio::spawn(rpc::answer(theirs.into(), late.serve()));
        (ours.into(), hearing)
    }

    /// Hears on, however often the same is said, until `demand` is.
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
