//! Thousands of random histories in which every end of a link is closed for every reason at every
//! step, and reports arrive late, reordered or twice. Each ends with every link wired, and no
//! worker is ended on the report of a less trusted one.

use std::collections::VecDeque;

use lumen_ipc::{link::Link, message::grants::LossReason};

use super::{
    links::{REASONS, killed, rows},
    *,
};

/// The longest time until a link, and before it its worker, is restored.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What can go wrong with a link, and how reports about it travel.
#[derive(Clone, Debug)]
enum Fault {
    /// A worker closes its end and reports it.
    Close(Worker, usize, Complaint),
    /// A worker closes its end without a report, which would be a bug. The other side will see the
    /// closed end.
    CloseSilently(Worker, usize),
    /// A worker makes a random report about a random link and generation.
    Lie(Worker, usize, u32, Complaint),
    /// The oldest pending report arrives.
    Deliver,
    /// The newest pending report arrives first.
    DeliverLast,
    /// The oldest report arrives and stays pending.
    DeliverTwice,
    /// A worker dies.
    Die(Worker),
    /// A worker closes its link to the supervisor and lives on.
    Leave(Worker),
    /// Every starting process becomes ready.
    Settle,
    Pass(u64),
    Restart(Worker),
}

fn fault() -> impl Strategy<Value = Fault> {
    let worker = || proptest::sample::select(Worker::ALL.to_vec());
    let link = || 0..TABLE.len();
    let complaint = || {
        let lost = REASONS.map(Complaint::Lost).into_iter();
        proptest::sample::select(lost.chain([Complaint::Violated]).collect::<Vec<_>>())
    };
    prop_oneof![
        8 => (worker(), link(), complaint()).prop_map(|(by, link, what)| Fault::Close(by, link, what)),
        2 => (worker(), link()).prop_map(|(by, link)| Fault::CloseSilently(by, link)),
        1 => (worker(), link(), 0..9_u32, complaint())
            .prop_map(|(by, link, generation, what)| Fault::Lie(by, link, generation, what)),
        8 => Just(Fault::Deliver),
        2 => Just(Fault::DeliverLast),
        1 => Just(Fault::DeliverTwice),
        4 => worker().prop_map(Fault::Die),
        2 => worker().prop_map(Fault::Leave),
        4 => Just(Fault::Settle),
        4 => (0_u64..15_000).prop_map(Fault::Pass),
        1 => worker().prop_map(Fault::Restart),
    ]
}

/// The model, the ends that workers hold open, and the pending reports.
struct Wires {
    world: World,
    /// Closed ends, with their pairs.
    closed: Vec<(Worker, &'static str, Generation)>,
    under_way: VecDeque<Word>,
}

impl Wires {
    fn new() -> Self {
        Self { world: World::open(), closed: Vec::new(), under_way: VecDeque::new() }
    }

    fn holds(&self, worker: Worker, link: &Link) -> Option<Generation> {
        let generation = *self.world.held.get(&(worker, link.name.name()))?;
        let end = (worker, link.name.name(), generation);
        (!self.closed.contains(&end)).then_some(generation)
    }

    /// A worker closes its end, if it holds one, and reports `said`. The other side sees the closed
    /// link, closes its own end, and reports that.
    fn close(&mut self, by: Worker, link: &'static Link, said: Option<Complaint>) {
        let Some(generation) = self.holds(by, link) else { return };
        self.closed.push((by, link.name.name(), generation));
        let word = |by, complaint| Word { by, link, generation, complaint };
        self.under_way.extend(said.map(|complaint| word(by, complaint)));
        if let Some(other) = link.other_worker(by)
            && self.holds(other, link) == Some(generation)
        {
            self.closed.push((other, link.name.name(), generation));
            self.under_way.push_back(word(other, Complaint::Lost(LossReason::Closed)));
        }
    }

    /// Delivers a report to the supervisor, and checks which worker it costs.
    fn hear(&mut self, word: Word) {
        let stale = self.world.generations.get(word.link.name.name()) != Some(&word.generation);
        let foreign = !word.link.is_granted_to(word.by);
        let actions = self.world.actions_since(|world| world.input(Input::Said(word)));
        for worker in killed(&actions) {
            assert!(worker.trust() <= word.by.trust(), "{word:?} ends {worker}");
            assert!(worker == word.by || word.link.is_granted_to(worker), "{word:?}: {worker}");
        }
        assert!(!stale || foreign || actions.is_empty(), "{word:?} is old: {actions:?}");
        self.after();
    }

    /// Killed processes end, and their ends are closed.
    fn after(&mut self) {
        self.world.end_killed();
        self.notice_deaths();
    }

    /// Survivors see that the ends of the dead are closed.
    fn notice_deaths(&mut self) {
        for (link, worker) in rows() {
            let Some(generation) = self.holds(worker, link) else { continue };
            let Some(other) = link.other_worker(worker) else { continue };
            if self.world.held.get(&(other, link.name.name())) != Some(&generation) {
                self.close(worker, link, Some(Complaint::Lost(LossReason::Closed)));
            }
        }
    }

    fn apply(&mut self, fault: Fault) {
        match fault {
            Fault::Close(by, link, complaint) => self.close(by, &TABLE[link], Some(complaint)),
            Fault::CloseSilently(by, link) if TABLE[link].other_worker(by).is_some() => {
                self.close(by, &TABLE[link], None);
            }
            Fault::CloseSilently(..) => {}
            Fault::Lie(by, link, generation, complaint) => {
                let generation = Generation(generation);
                self.hear(Word { by, link: &TABLE[link], generation, complaint });
            }
            Fault::Deliver => {
                if let Some(word) = self.under_way.pop_front() {
                    self.hear(word);
                }
            }
            Fault::DeliverLast => {
                if let Some(word) = self.under_way.pop_back() {
                    self.hear(word);
                }
            }
            Fault::DeliverTwice => {
                if let Some(word) = self.under_way.front().copied() {
                    self.hear(word);
                }
            }
            Fault::Die(worker) => {
                self.world.die(worker, KILLED);
                self.after();
            }
            Fault::Leave(worker) => {
                if let Some(instance) = self.world.running.get(&worker).copied() {
                    self.world.input(Input::Left(worker, instance));
                }
                self.after();
            }
            Fault::Settle => self.world.bring_up_all(),
            Fault::Pass(millis) => {
                self.world.pass(Duration::from_millis(millis));
                self.after();
            }
            Fault::Restart(worker) => {
                let _ = self.world.machine.restart(self.world.now, worker);
                self.world.settle();
                self.after();
            }
        }
    }

    /// Stops all faults and delivers all reports.
    fn quiet_down(&mut self) {
        for _ in 0..16 {
            while let Some(word) = self.under_way.pop_front() {
                self.hear(word);
            }
            self.world.bring_up_all();
            self.world.pass(LONGEST_WAIT / 4);
            self.after();
        }
    }

    fn verify_wired(&self) {
        for (link, worker) in rows() {
            let name = link.name.name();
            let held = self.holds(worker, link);
            assert!(held.is_some(), "{worker} has no open end of {name}");
            assert_eq!(held, self.world.generations.get(name).copied(), "{worker}, {name}");
            assert!(self.world.machine.links.is_wired(link), "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn any_history_of_faults_ends_with_every_link_wired(
        faults in proptest::collection::vec(fault(), 0..80),
    ) {
        let mut wires = Wires::new();
        for fault in faults {
            wires.apply(fault);
        }
        wires.quiet_down();
        wires.verify_wired();
    }
}
