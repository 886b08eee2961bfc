//! The machine against a model of its surroundings, in virtual time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lumen_ipc::{
    link::{End, Generation, LinkName, TABLE},
    process::{ExitCode, Worker},
};
use proptest::prelude::*;

use super::{budget::MOST_DEATHS, *};

mod app;
mod ending;
mod helper;
mod histories;
mod invariants;
mod leaving;
mod links;
mod pulse;
mod retry;

const KILLED: Verdict = Verdict::Killed(9);
const SUCCESS: Verdict = Verdict::Exited(0);
const FAILURE: Verdict = Verdict::Exited(3);

/// The machine, the processes that its actions made, and the time.
struct World {
    machine: Lifecycle,
    now: Instant,
    running: BTreeMap<Worker, Instance>,
    /// The pair of each worker's end of each link.
    held: BTreeMap<(Worker, &'static str), Generation>,
    /// Workers that have been killed but have not ended yet.
    killed: Vec<Worker>,
    /// The current pair of each link.
    generations: BTreeMap<&'static str, Generation>,
    /// The helpers' processes, and whether each serves.
    helpers: BTreeMap<Helper, (Instance, bool)>,
    app: bool,
    /// Whether the app left processes behind.
    rest: bool,
    /// Whether the kernel ends none of these, not even by SIGKILL.
    immortal: bool,
    /// Whether workers answer when they are asked for a sign of life.
    lively: bool,
    /// Whether the gateway reports at once that the pages have been told.
    pages: bool,
    log: Vec<Action>,
    finished: Option<Outcome>,
}

impl World {
    fn new() -> Self {
        Self {
            machine: Lifecycle::default(),
            now: Instant::now(),
            running: BTreeMap::new(),
            held: BTreeMap::new(),
            killed: Vec::new(),
            generations: BTreeMap::new(),
            helpers: BTreeMap::new(),
            app: false,
            rest: false,
            immortal: false,
            lively: true,
            pages: true,
            log: Vec::new(),
            finished: None,
        }
    }

    /// A world in which every worker is ready.
    fn open() -> Self {
        let mut world = Self::new();
        world.input(Input::Begin);
        for worker in Worker::ALL {
            world.bring_up(worker);
        }
        world
    }

    fn bring_up(&mut self, worker: Worker) {
        let instance = self.running[&worker];
        self.input(Input::Configured(worker, instance));
        self.input(Input::Ready(worker, instance));
    }

    /// Makes every process ready that is not.
    fn bring_up_all(&mut self) {
        for worker in self.running.keys().copied().collect::<Vec<_>>() {
            self.bring_up(worker);
        }
    }

    /// Ends all killed processes.
    fn end_killed(&mut self) {
        while let Some(worker) = self.killed.pop() {
            self.die(worker, KILLED);
        }
    }

    fn die(&mut self, worker: Worker, verdict: Verdict) {
        let Some(instance) = self.running.remove(&worker) else { return };
        self.held.retain(|(holder, _), _| *holder != worker);
        self.killed.retain(|killed| *killed != worker);
        self.input(Input::Exited(worker, instance, verdict));
    }

    fn serve(&mut self, helper: Helper) {
        let Some((instance, serves)) = self.helpers.get_mut(&helper) else { return };
        *serves = true;
        let ready = Input::HelperReady(helper, *instance);
        self.input(ready);
    }

    fn input(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.input(Input::Tick);
    }

    fn settle(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            assert_eq!(self.finished, None, "nothing follows Finish: {action:?}");
            self.carry_out(&action);
            self.log.push(action);
        }
        self.machine.verify_invariants();
        self.verify_pairs();
        if let Some(timeout) = self.machine.timeout() {
            assert!(timeout > self.now, "a deadline that has passed was left: {:?}", self.machine);
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match *action {
            Action::Spawn(worker, instance) => {
                assert_eq!(self.running.insert(worker, instance), None, "{worker} runs twice");
            }
            Action::Wire { link, generation, from, to } => {
                let old = self.generations.insert(link.name.name(), generation);
                assert!(old < Some(generation), "{link:?}: {old:?}, then {generation:?}");
                for (end, takes) in [(link.from, from), (link.to, to)] {
                    if let (End::Worker(worker), true) = (end, takes) {
                        assert!(self.running.contains_key(&worker), "{worker} has no process");
                        self.held.insert((worker, link.name.name()), generation);
                    }
                }
            }
            Action::Start(worker) | Action::Drain(worker) | Action::Terminate(worker) => {
                assert!(self.running.contains_key(&worker), "{worker} has no process");
            }
            Action::Kill(worker) => {
                assert!(self.running.contains_key(&worker), "{worker} has no process");
                self.killed.push(worker);
            }
            Action::StartApp => assert!(!std::mem::replace(&mut self.app, true)),
            Action::StartHelper(helper, instance) => {
                assert_eq!(self.helpers.insert(helper, (instance, false)), None, "runs twice");
            }
            Action::KillHelper(helper) => self.end_helper(helper, KILLED),
            Action::TerminateApp => assert!(self.app),
            Action::KillApp => {
                assert!(self.app);
                if !self.immortal {
                    self.exit_app(KILLED);
                }
            }
            Action::TerminateRest => {
                assert!(!self.app || self.immortal, "the app goes first");
                if !self.rest {
                    self.end_helpers();
                    self.answer(Input::RestGone);
                }
            }
            Action::KillRest => {
                if !self.immortal {
                    self.rest = false;
                    self.end_helpers();
                    self.answer(Input::RestGone);
                }
            }
            Action::Tell(_) => {
                if self.pages {
                    self.answer(Input::PagesTold);
                }
            }
            Action::Finish(outcome) => {
                assert!(self.running.is_empty());
                assert!(self.immortal || !(self.app || self.rest));
                assert!(self.immortal || self.helpers.is_empty());
                self.finished = Some(outcome);
            }
            Action::Ask(worker, instance) if self.lively => {
                self.answer(Input::Alive(worker, instance));
            }
            Action::Announce | Action::Ask(..) | Action::Examine(..) | Action::Say(_) => {}
        }
    }

    /// What the shell reports while it carries out an action.
    fn answer(&mut self, input: Input) {
        self.machine.handle_input(self.now, input);
    }

    fn end_helper(&mut self, helper: Helper, verdict: Verdict) {
        if let Some((instance, _)) = self.helpers.remove(&helper) {
            self.answer(Input::HelperExited(helper, instance, verdict));
        }
    }

    fn end_helpers(&mut self) {
        for helper in [Helper::XServer, Helper::Bus] {
            self.end_helper(helper, KILLED);
        }
    }

    fn exit_app(&mut self, verdict: Verdict) {
        if std::mem::take(&mut self.app) {
            self.answer(Input::AppExited(verdict));
        }
    }

    /// Checks that two workers that can talk hold ends of the same pair.
    fn verify_pairs(&self) {
        for link in &TABLE {
            let (End::Worker(from), End::Worker(to)) = (link.from, link.to) else { continue };
            let takes = |worker| self.machine.slots.get(worker).is_some_and(Slot::takes_links);
            if takes(from) && takes(to) {
                let name = link.name.name();
                let (near, far) = (self.held.get(&(from, name)), self.held.get(&(to, name)));
                assert!(near.is_some() && near == far, "{name}: {near:?} and {far:?}");
            }
        }
    }

    fn actions_since(&mut self, act: impl FnOnce(&mut Self)) -> Vec<Action> {
        let before = self.log.len();
        act(self);
        self.log.split_off(before)
    }
}

#[test]
fn begin_spawns_every_worker_and_the_app_at_once() {
    let mut world = World::new();
    world.input(Input::Begin);
    assert_eq!(world.running.len(), Worker::ALL.len());
    assert!(world.app);
}

#[test]
fn announce_comes_once_when_every_worker_is_ready() {
    let mut world = World::open();
    world.die(Worker::Media, KILLED);
    world.bring_up(Worker::Media);
    assert_eq!(world.log.iter().filter(|action| **action == Action::Announce).count(), 1);
}

#[test]
fn death_respawns_at_once_and_rewires_every_link_of_the_dead() {
    let mut world = World::open();
    let actions = world.actions_since(|world| world.die(Worker::Media, KILLED));
    let wired: Vec<&str> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Wire { link, from: true, to: true, .. } => Some(link.name.name()),
            _ => None,
        })
        .collect();
    assert_eq!(wired, ["frames", "packets", "tuning"]);
    assert!(actions.iter().any(|action| matches!(action, Action::Spawn(Worker::Media, _))));
}

#[test]
fn late_news_of_an_old_process_is_ignored() {
    let mut world = World::open();
    let old = world.running[&Worker::Rtc];
    world.die(Worker::Rtc, KILLED);
    let actions = world.actions_since(|world| {
        world.input(Input::Exited(Worker::Rtc, old, KILLED));
        world.input(Input::Configured(Worker::Rtc, old));
    });
    assert_eq!(actions, []);
}

#[test]
fn wrong_build_is_not_tried_again_and_ends_the_start() {
    let mut world = World::new();
    world.input(Input::Begin);
    world.die(Worker::Rtc, Verdict::Exited(ExitCode::WrongBuild.number().into()));
    assert_eq!(world.machine.report(Worker::Rtc).state, StateName::Gone);
    assert!(world.log.iter().any(|action| {
        matches!(action, Action::Say(Notice::Failed(Worker::Rtc, _, reason, _)) if reason.contains("build"))
    }));
}

#[test]
fn three_forbidden_syscalls_in_a_row_fail_a_worker_that_has_served() {
    let mut world = World::open();
    let forbidden = Verdict::Exited(ExitCode::ForbiddenSyscall.number().into());
    for _ in 0..3 {
        world.die(Worker::Media, forbidden);
        world.pass(Duration::from_millis(500));
    }
    assert_eq!(world.machine.report(Worker::Media).state, StateName::Failed);
}

#[test]
fn worker_that_hangs_in_the_handshake_is_killed_and_counted() {
    let mut world = World::new();
    world.input(Input::Begin);
    let actions = world.actions_since(|world| world.pass(START_TIMEOUT));
    assert!(actions.contains(&Action::Kill(Worker::Compositor)));
    assert!(actions.contains(&Action::Say(Notice::TooSlow(Worker::Compositor))));
}

#[test]
fn media_may_take_longer_to_start_than_others_and_not_for_ever() {
    let mut world = World::open();
    world.die(Worker::Media, Verdict::Killed(9));
    let deadline = Class::of(Process::Worker(Worker::Media)).start_timeout();
    let slow = |actions: &[Action]| actions.contains(&Action::Say(Notice::TooSlow(Worker::Media)));
    let actions = world.actions_since(|world| world.pass(START_TIMEOUT));
    assert!(!slow(&actions));
    let actions = world.actions_since(|world| world.pass(deadline));
    assert!(slow(&actions));
}

#[test]
fn worker_that_breaks_the_contract_is_killed_once_and_started_anew() {
    let mut world = World::open();
    let breach = |world: &mut World| {
        world.input(Input::Broke(Worker::Media, world.running[&Worker::Media]));
    };
    let actions = world.actions_since(breach);
    assert!(actions.contains(&Action::Kill(Worker::Media)), "{actions:?}");
    assert_eq!(world.actions_since(breach), Vec::new(), "it is on its way out");
    world.die(Worker::Media, KILLED);
    world.pass(Duration::from_secs(1));
    assert!(world.running.contains_key(&Worker::Media));
}

#[test]
fn late_accusation_does_not_reach_the_successor() {
    let mut world = World::open();
    let generation = world.generations["frames"];
    world.die(Worker::Compositor, KILLED);
    world.bring_up(Worker::Compositor);
    let (by, link) = (Worker::Media, LinkName::Frames.row());
    let word = Word { by, link, generation, complaint: Complaint::Violated };
    assert_eq!(world.actions_since(|world| world.input(Input::Said(word))), []);
}

#[test]
fn late_breach_of_an_old_process_does_not_reach_the_successor() {
    let mut world = World::open();
    let old = world.running[&Worker::Rtc];
    world.die(Worker::Rtc, KILLED);
    let actions = world.actions_since(|world| world.input(Input::Broke(Worker::Rtc, old)));
    assert_eq!(actions, []);
}

#[test]
fn absent_worker_is_neither_started_nor_wired_nor_restarted() {
    let mut machine = Lifecycle::of(&[Worker::Compositor, Worker::Rtc, Worker::Gateway]);
    machine.handle_input(Instant::now(), Input::Begin);
    while let Some(action) = machine.poll_action() {
        match action {
            Action::Spawn(worker, _) => assert_ne!(worker, Worker::Media),
            Action::Wire { link, .. } => assert!(!link.is_granted_to(Worker::Media), "{link:?}"),
            _ => {}
        }
    }
    let refused = machine.restart(Instant::now(), Worker::Media);
    assert_eq!(refused, Err(CannotRestart::Absent(Worker::Media)));
}

#[derive(Clone, Debug)]
enum Op {
    AppAgain,
    AppExit(Verdict),
    AppLeaves(bool),
    Break(Worker),
    Configure(Worker),
    Die(Worker, Verdict),
    FailHandshake(Worker),
    HelperDies(Helper, Verdict),
    HelperServes(Helper),
    Leave(Worker),
    Pass(u64),
    Ready(Worker),
    Restart(Worker),
    Stop,
    WrongBuild(Worker),
}

fn op() -> impl Strategy<Value = Op> {
    let worker = || proptest::sample::select(Worker::ALL.to_vec());
    let helper = || proptest::sample::select(vec![Helper::XServer, Helper::Bus]);
    let verdict = || {
        proptest::sample::select(vec![
            KILLED,
            Verdict::Exited(0),
            Verdict::Exited(1),
            Verdict::Exited(111),
            Verdict::Exited(148),
            Verdict::NotSpawned,
        ])
    };
    prop_oneof![
        2 => Just(Op::AppAgain),
        2 => verdict().prop_map(Op::AppExit),
        2 => any::<bool>().prop_map(Op::AppLeaves),
        1 => worker().prop_map(Op::Break),
        8 => worker().prop_map(Op::Configure),
        4 => (worker(), verdict()).prop_map(|(worker, verdict)| Op::Die(worker, verdict)),
        1 => worker().prop_map(Op::FailHandshake),
        2 => (helper(), verdict()).prop_map(|(helper, verdict)| Op::HelperDies(helper, verdict)),
        8 => helper().prop_map(Op::HelperServes),
        2 => worker().prop_map(Op::Leave),
        8 => (0_u64..20_000).prop_map(Op::Pass),
        8 => worker().prop_map(Op::Ready),
        2 => worker().prop_map(Op::Restart),
        1 => Just(Op::Stop),
        1 => worker().prop_map(Op::WrongBuild),
    ]
}

fn apply(world: &mut World, op: Op) {
    let instance = |world: &World, worker| world.running.get(&worker).copied().unwrap_or_default();
    match op {
        Op::Break(worker) => world.input(Input::Broke(worker, instance(world, worker))),
        Op::AppAgain => {
            let _ = world.machine.start_app_again(world.now); // Refused unless it has ended.
            world.settle();
        }
        Op::AppExit(verdict) => {
            if std::mem::take(&mut world.app) {
                world.input(Input::AppExited(verdict));
            }
        }
        // Only the app can leave processes behind.
        Op::AppLeaves(rest) => world.rest = if world.app { rest } else { world.rest },
        Op::Configure(worker) => world.input(Input::Configured(worker, instance(world, worker))),
        Op::Die(worker, verdict) => world.die(worker, verdict),
        Op::FailHandshake(worker) => {
            world.input(Input::HandshakeFailed(worker, instance(world, worker)));
        }
        Op::HelperDies(helper, verdict) => {
            world.end_helper(helper, verdict);
            world.settle();
        }
        Op::HelperServes(helper) => world.serve(helper),
        Op::Leave(worker) => world.input(Input::Left(worker, instance(world, worker))),
        Op::Pass(millis) => world.pass(Duration::from_millis(millis)),
        Op::Ready(worker) => world.input(Input::Ready(worker, instance(world, worker))),
        Op::Restart(worker) => {
            let _ = world.machine.restart(world.now, worker); // Refused while ending, which is fine.
            world.settle();
        }
        Op::Stop => world.input(Input::Stop),
        Op::WrongBuild(worker) => world.input(Input::WrongBuild(worker, instance(world, worker))),
    }
}

proptest! {
    #[test]
    fn any_history_keeps_the_invariants_and_can_be_stopped(
        ops in proptest::collection::vec(op(), 0..120),
        (outlives, pages, helped) in any::<(bool, bool, bool)>(),
    ) {
        let mut world = World::new();
        world.machine = world.machine.outliving_its_app(outlives);
        if helped {
            let needs = [Helper::Bus, Helper::XServer];
            world.machine = world.machine.helped_by(&needs);
        }
        world.pages = pages;
        world.input(Input::Begin);
        for op in ops {
            apply(&mut world, op);
        }
        world.input(Input::Stop);
        // The app, what it left behind, and the workers take two steps each at most, the pages one.
        for _ in 0..7 {
            world.pass(ESCALATION);
        }
        for worker in Worker::ALL {
            world.die(worker, KILLED);
        }
        prop_assert!(world.finished.is_some());
    }
}
