//! Workers that are stuck, and everything that only looks like it.

use super::*;

/// A world of which it is known who answers.
struct Ward {
    world: World,
    /// Questions that have not been answered.
    asked: BTreeMap<Worker, Instance>,
    /// Who does not turn its loop.
    stuck: Vec<Worker>,
    traced: Vec<Worker>,
}

const SECOND: Duration = Duration::from_secs(1);

impl Ward {
    fn new() -> Self {
        Self::of(&Worker::ALL)
    }

    fn of(present: &[Worker]) -> Self {
        let mut world = World::new();
        world.machine = Lifecycle::of(present);
        world.lively = false;
        world.input(Input::Begin);
        world.bring_up_all();
        Self { world, asked: BTreeMap::new(), stuck: Vec::new(), traced: Vec::new() }
    }

    /// Answers for those who turn their loops; ends whom the machine kills, and starts it anew.
    fn react(&mut self) -> Vec<Worker> {
        let mut killed = Vec::new();
        loop {
            let log = std::mem::take(&mut self.world.log);
            if log.is_empty() {
                return killed;
            }
            for action in log {
                match action {
                    Action::Ask(worker, instance) => {
                        let before = self.asked.insert(worker, instance);
                        assert_ne!(before, Some(instance), "{worker} is asked twice");
                    }
                    Action::Examine(worker, instance) => {
                        let is_traced = self.traced.contains(&worker);
                        self.world.input(Input::Examined(worker, instance, is_traced));
                    }
                    Action::Kill(worker) => killed.push(worker),
                    _ => {}
                }
            }
            self.world.end_killed();
            self.world.bring_up_all();
            self.answer();
        }
    }

    fn answer(&mut self) {
        let stuck = self.stuck.clone();
        let answering: Vec<_> = self.asked.iter().map(|(worker, at)| (*worker, *at)).collect();
        for (worker, instance) in answering.into_iter().filter(|(who, _)| !stuck.contains(who)) {
            self.asked.remove(&worker);
            self.world.input(Input::Alive(worker, instance));
        }
    }

    /// Lets time pass for a supervisor that wakes whenever it means to; returns whom it kills.
    fn pass(&mut self, time: Duration) -> Vec<Worker> {
        let end = self.world.now + time;
        let mut killed = self.react();
        while self.world.now < end {
            let next = self.world.machine.timeout().unwrap_or(end).min(end);
            self.world.pass(next - self.world.now);
            killed.extend(self.react());
        }
        killed
    }

    fn state(&self, worker: Worker) -> StateName {
        self.world.machine.report(worker).state
    }

    fn starts(&self) -> u32 {
        Worker::ALL.iter().map(|worker| self.world.machine.report(*worker).restarts).sum()
    }
}

#[test]
fn worker_that_answers_is_asked_for_ever_in_one_round_with_the_others() {
    let mut ward = Ward::new();
    let (begun, mut wakes) = (ward.world.now, 0);
    while ward.world.now < begun + 60 * SECOND {
        let at = ward.world.machine.timeout().expect("the next round");
        ward.world.pass(at - ward.world.now);
        assert_eq!(ward.react(), []);
        wakes += 1;
    }
    assert_eq!(wakes, 6);
}

#[test]
fn worker_that_is_stuck_is_shown_so_then_ended_and_its_successor_serves() {
    for worker in Worker::ALL {
        let mut ward = Ward::new();
        ward.stuck.push(worker);
        assert_eq!(ward.pass(14 * SECOND), [], "{worker}");
        assert_eq!(ward.state(worker), StateName::Ready);
        assert_eq!(ward.pass(3 * SECOND), []);
        assert_eq!(ward.state(worker), StateName::Stuck);
        ward.stuck.clear();
        ward.asked.retain(|asked, _| *asked != worker);
        assert_eq!(ward.pass(4 * SECOND), [worker]);
        assert_eq!((ward.state(worker), ward.starts()), (StateName::Ready, 1));
        assert_eq!(ward.pass(60 * SECOND), []);
    }
}

#[test]
fn worker_that_goes_on_in_time_is_left_alone() {
    let mut ward = Ward::new();
    ward.stuck.push(Worker::Compositor);
    assert_eq!(ward.pass(19 * SECOND), []);
    assert_eq!(ward.state(Worker::Compositor), StateName::Stuck);
    ward.stuck.clear();
    ward.answer();
    assert_eq!(ward.state(Worker::Compositor), StateName::Ready);
    assert!(ward.world.log.contains(&Action::Say(Notice::Responds(Worker::Compositor))));
    assert_eq!(ward.pass(60 * SECOND), []);
}

#[test]
fn late_answer_of_an_old_process_is_no_sign_of_life_of_the_next() {
    let mut ward = Ward::new();
    ward.stuck.push(Worker::Media);
    ward.pass(11 * SECOND);
    let old = ward.world.running[&Worker::Media];
    ward.world.die(Worker::Media, KILLED);
    ward.world.bring_up(Worker::Media);
    ward.asked.clear();
    ward.pass(11 * SECOND);
    ward.world.input(Input::Alive(Worker::Media, old));
    assert_eq!(ward.pass(14 * SECOND), [Worker::Media]);
}

#[test]
fn workers_that_all_stand_still_are_not_to_blame() {
    let mut ward = Ward::new();
    ward.stuck = Worker::ALL.to_vec();
    assert_eq!(ward.pass(600 * SECOND), []);
    assert_eq!(ward.state(Worker::Rtc), StateName::Stuck);
    // As soon as others go on, those that do not are.
    ward.stuck = vec![Worker::Rtc];
    ward.answer();
    assert_eq!(ward.pass(11 * SECOND), [Worker::Rtc]);
}

#[test]
fn only_worker_of_a_scope_that_is_stuck_is_ended() {
    let mut ward = Ward::of(&[Worker::Gateway]);
    ward.stuck.push(Worker::Gateway);
    assert_eq!(ward.pass(21 * SECOND), [Worker::Gateway]);
}

#[test]
fn supervisor_that_stood_still_itself_blames_nobody() {
    let mut ward = Ward::new();
    ward.stuck = vec![Worker::Media];
    ward.pass(11 * SECOND);
    // Each time it is given the processor it is late, as in a storm of swapping.
    for _ in 0..100 {
        ward.world.pass(3 * SECOND);
        assert_eq!(ward.react(), []);
    }
    assert_eq!(ward.state(Worker::Media), StateName::Ready);
    assert_eq!(ward.pass(10 * SECOND), [Worker::Media]);
}

#[test]
fn worker_that_a_debugger_holds_is_left_alone_until_it_lets_go() {
    let mut ward = Ward::new();
    (ward.stuck, ward.traced) = (vec![Worker::Compositor], vec![Worker::Compositor]);
    assert_eq!(ward.pass(300 * SECOND), []);
    assert_eq!(ward.state(Worker::Compositor), StateName::Stuck);
    ward.traced.clear();
    assert_eq!(ward.pass(21 * SECOND), [Worker::Compositor]);
}

#[derive(Clone, Debug)]
enum Turn {
    /// The supervisor runs for so long.
    Run(u64),
    /// The whole machine stands still for so long.
    Freeze(u64),
    /// A worker stands still, or goes on.
    Stop(Worker),
    Go(Worker),
    Trace(Worker),
    Die(Worker),
}

fn turn() -> impl Strategy<Value = Turn> {
    let worker = || proptest::sample::select(Worker::ALL.to_vec());
    prop_oneof![
        6 => (0_u64..9_000).prop_map(Turn::Run),
        2 => (1_600_u64..99_000).prop_map(Turn::Freeze),
        2 => worker().prop_map(Turn::Stop),
        3 => worker().prop_map(Turn::Go),
        1 => worker().prop_map(Turn::Trace),
        1 => worker().prop_map(Turn::Die),
    ]
}

proptest! {
    #[test]
    fn any_history_ends_only_workers_that_are_stuck_and_those_in_the_end(
        turns in proptest::collection::vec(turn(), 0..60),
    ) {
        let mut ward = Ward::new();
        for turn in turns {
            let (stuck, traced) = (ward.stuck.clone(), ward.traced.clone());
            let killed = match turn {
                Turn::Run(millis) => ward.pass(Duration::from_millis(millis)),
                Turn::Freeze(millis) => {
                    ward.world.pass(Duration::from_millis(millis));
                    ward.react()
                }
                Turn::Stop(worker) => {
                    ward.stuck.push(worker);
                    Vec::new()
                }
                Turn::Go(worker) => {
                    ward.stuck.retain(|stuck| *stuck != worker);
                    ward.traced.retain(|traced| *traced != worker);
                    ward.answer();
                    ward.react()
                }
                Turn::Trace(worker) => {
                    ward.traced.push(worker);
                    Vec::new()
                }
                Turn::Die(worker) => {
                    ward.world.die(worker, KILLED);
                    ward.react()
                }
            };
            for worker in killed {
                prop_assert!(stuck.contains(&worker) && !traced.contains(&worker), "{worker}");
            }
        }
        ward.traced.clear();
        ward.stuck.retain(|stuck| *stuck == Worker::Media);
        ward.answer();
        let stuck = !ward.stuck.is_empty();
        // A worker that died often has to wait before it is started and can be stuck again.
        prop_assert_eq!(ward.pass(110 * SECOND).contains(&Worker::Media), stuck);
    }
}
