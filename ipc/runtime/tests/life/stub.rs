//! The smallest worker: it claims to be media, holds one link, and follows the orders on it.

use std::{fs::File, os::fd::AsFd, process::ExitCode, thread};

use lumen_ipc::{
    link::LinkName,
    message::{
        grants::ToWorker,
        packets::{ToMedia, ToRtc},
    },
    process::Worker as WorkerName,
    service::MediaConfig,
};
use lumen_ipc_runtime::{
    bootstrap::{self, Grant, ServeError, StartError, Supervision, SupervisorEvent, Worker},
    channel::{Channel, ReceiveError},
    confine::Policy,
    metrics::Registry,
};
use rustix::event::{PollFd, PollFlags, poll};

/// Makes this program the worker.
pub(crate) const ARGUMENT: &str = "stub";

/// An order on the link, encoded as the position of a `RingConsumed`.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Order {
    OpenFile = 1,
    Panic,
    PanicOnThread,
    Return,
}

type Link = Channel<ToMedia, ToRtc>;

struct Stub {
    link: Option<Link>,
    registry: Registry,
}

pub(crate) fn main() -> ExitCode {
    bootstrap::run::<Stub>()
}

impl Worker for Stub {
    const WORKER: WorkerName = WorkerName::Media;
    type Config = MediaConfig;

    fn acquire(_: MediaConfig, grants: Vec<Grant>) -> Result<Self, StartError> {
        let mut stub = Self { link: None, registry: Registry::default() };
        for grant in grants {
            stub.take(grant)
                .map_err(|error| StartError::caused("a granted link is unusable", error))?;
        }
        Ok(stub)
    }

    fn metrics(&self) -> Registry {
        self.registry.clone()
    }

    fn policy(&self) -> Policy {
        Policy::base()
    }

    fn serve(mut self, supervision: Supervision) -> Result<(), ServeError> {
        supervision.set_summary("serving");
        loop {
            self.wait(&supervision);
            while let Some(event) = supervision.next() {
                match event {
                    SupervisorEvent::Drain => return Ok(()),
                    SupervisorEvent::Granted(grant) => self
                        .take(grant)
                        .map_err(|error| ServeError::caused("a granted link is unusable", error))?,
                }
            }
            match self.link.as_ref().map(Channel::receive) {
                Some(Ok(received)) => {
                    let ToMedia::RingConsumed { position, .. } = received.message;
                    if !obey(position, &supervision) {
                        return Ok(());
                    }
                }
                Some(Err(ReceiveError::Violation(violation))) => {
                    return Err(ServeError::violation(violation));
                }
                Some(Err(ReceiveError::Closed)) => self.link = None,
                Some(Err(ReceiveError::Empty | ReceiveError::Io(_))) | None => {}
            }
        }
    }
}

impl Stub {
    fn take(&mut self, grant: Grant) -> Result<(), lumen_ipc_runtime::channel::NotALink> {
        assert!(matches!(grant.what, ToWorker::LinkEnd { link: LinkName::Packets, .. }));
        self.link = Some(Channel::from_descriptor(grant.descriptor)?);
        self.registry.counter("stub_grants_total").increment();
        Ok(())
    }

    fn wait(&self, supervision: &Supervision) {
        let mut polled = vec![PollFd::new(supervision, PollFlags::IN)];
        if let Some(link) = &self.link {
            polled.push(PollFd::from_borrowed_fd(link.as_fd(), PollFlags::IN));
        }
        poll(&mut polled, None).expect("poll");
    }
}

fn obey(order: u64, supervision: &Supervision) -> bool {
    let is = |one: Order| order == one as u64;
    if is(Order::OpenFile) {
        File::open("/etc/passwd").expect_err("the filter ends the process first");
    } else if is(Order::Panic) {
        panic!("asked to");
    } else if is(Order::PanicOnThread) {
        // The thread of `control`, which is the only other one.
        let panics = supervision.handle().spawn(async { panic!("asked to") });
        while !panics.is_finished() {
            thread::yield_now();
        }
        unreachable!("the hook ends the process first");
    }
    !is(Order::Return)
}
