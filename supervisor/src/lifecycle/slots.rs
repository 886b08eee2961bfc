//! The slots of a desktop's workers, and questions about all of them.

use lumen_ipc::{link::End, process::Worker};

use super::{
    class::{Class, Process},
    contract::{Instance, Report, StateName},
    slot::Slot,
};

/// One slot for each worker of a desktop, in the order of their start.
#[derive(Debug)]
pub(super) struct Slots(Vec<(Worker, Slot)>);

impl Slots {
    pub(super) fn of(present: &[Worker]) -> Self {
        Self(present.iter().map(|worker| (*worker, Slot::default())).collect())
    }

    pub(super) fn get(&self, worker: Worker) -> Option<&Slot> {
        self.iter().find_map(|(present, slot)| (present == worker).then_some(slot))
    }

    pub(super) fn get_mut(&mut self, worker: Worker) -> Option<&mut Slot> {
        self.0.iter_mut().find_map(|(present, slot)| (*present == worker).then_some(slot))
    }

    pub(super) fn workers(&self) -> Vec<Worker> {
        self.iter().map(|(worker, _)| worker).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Worker, &Slot)> {
        self.0.iter().map(|(worker, slot)| (*worker, slot))
    }

    /// The processes that serve.
    pub(super) fn serving(&self) -> Vec<(Worker, Instance)> {
        let serving = self.iter().filter(|(_, slot)| slot.is_ready());
        serving.map(|(worker, slot)| (worker, slot.instance())).collect()
    }

    /// A worker's state, when it became ready, and how often it was restarted.
    pub(super) fn report(&self, worker: Worker) -> Report {
        self.get(worker).map_or(
            Report { state: StateName::Gone, ready_since: None, restarts: 0, next_try: None },
            |slot| Report {
                state: slot.name(),
                ready_since: slot.ready_since(),
                restarts: slot.restarts(),
                next_try: slot.next_try(),
            },
        )
    }

    /// Everything is about to end: workers without a process are not started any more.
    pub(super) fn abandon(&mut self) {
        self.0.iter_mut().for_each(|(_, slot)| slot.abandon());
    }

    /// Whether every essential worker is ready, and each optional one is ready or has failed once
    /// and may take long.
    pub(super) fn are_complete(&self) -> bool {
        self.iter().all(|(worker, slot)| match is_essential(worker) {
            true => slot.is_ready(),
            false => slot.is_ready() || slot.has_failed_once(),
        })
    }

    pub(super) fn are_gone(&self) -> bool {
        self.iter().all(|(_, slot)| slot.is_gone())
    }

    /// Whether the owner of an end can receive it.
    pub(super) fn take(&self, end: End) -> bool {
        match end {
            End::Supervisor => true,
            End::Worker(owner) => self.get(owner).is_some_and(Slot::takes_links),
            End::CommandLine | End::EachWorker | End::Host | End::Leader | End::Session => false,
        }
    }
}

/// Whether a desktop is useless without this worker.
pub(super) fn is_essential(worker: Worker) -> bool {
    Class::of(Process::Worker(worker)).is_essential()
}
