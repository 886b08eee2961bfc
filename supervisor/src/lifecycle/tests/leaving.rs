//! Workers that close their links to the supervisor: most are exiting, the others are killed.

use super::*;

/// Longer than a worker may live after closing its link.
const GRACE: Duration = Duration::from_secs(1);

fn leave(world: &mut World, worker: Worker) {
    let instance = world.running[&worker];
    world.input(Input::Left(worker, instance));
}

#[test]
fn worker_that_leaves_and_lives_on_is_killed_after_the_grace_and_started_anew() {
    for worker in Worker::ALL {
        let mut world = World::open();
        let at_once = world.actions_since(|world| leave(world, worker));
        assert_eq!(at_once, [], "{worker} may be about to exit");
        assert_eq!(world.machine.report(worker).state, StateName::Ending);
        let later = world.actions_since(|world| world.pass(GRACE));
        assert_eq!(later, [Action::Say(Notice::Stays(worker)), Action::Kill(worker)]);
        world.end_killed();
        world.pass(Duration::from_secs(1));
        world.bring_up_all();
        assert_eq!(world.machine.report(worker).state, StateName::Ready, "{worker}");
    }
}

#[test]
fn worker_that_leaves_while_it_starts_is_killed_after_the_grace_at_every_step() {
    for configured in [false, true] {
        let mut world = World::new();
        world.input(Input::Begin);
        if configured {
            world.input(Input::Configured(Worker::Rtc, world.running[&Worker::Rtc]));
        }
        leave(&mut world, Worker::Rtc);
        let later = world.actions_since(|world| world.pass(GRACE));
        assert!(later.contains(&Action::Kill(Worker::Rtc)), "{configured}: {later:?}");
    }
}

#[test]
fn worker_that_leaves_because_it_ends_is_not_killed_and_its_exit_code_counts() {
    let mut world = World::open();
    let actions = world.actions_since(|world| {
        leave(world, Worker::Media);
        world.die(Worker::Media, FAILURE);
        world.pass(GRACE);
    });
    assert!(!actions.contains(&Action::Kill(Worker::Media)), "{actions:?}");
    let died = |action: &Action| matches!(action, Action::Say(Notice::Died(_, FAILURE, _)));
    assert!(actions.iter().any(died), "{actions:?}");
}

#[test]
fn leave_of_an_old_process_or_of_one_that_is_being_ended_changes_nothing() {
    let mut world = World::open();
    let old = world.running[&Worker::Rtc];
    world.die(Worker::Rtc, KILLED);
    world.bring_up(Worker::Rtc);
    world.input(Input::Left(Worker::Rtc, old));
    assert_eq!(world.machine.report(Worker::Rtc).state, StateName::Ready);
    world.machine.restart(world.now, Worker::Rtc).expect("it runs");
    world.settle();
    let drained = world.actions_since(|world| {
        leave(world, Worker::Rtc);
        world.pass(GRACE);
    });
    assert_eq!(drained, [], "what is drained may take longer than one that left");
}

#[test]
fn answers_read_after_the_end_of_the_link_they_came_by_still_count() {
    let mut served = World::new();
    served.input(Input::Begin);
    let instance = served.running[&Worker::Media];
    served.input(Input::Configured(Worker::Media, instance));
    leave(&mut served, Worker::Media);
    served.input(Input::Ready(Worker::Media, instance));
    for _ in 0..3 {
        served.die(Worker::Media, FAILURE);
        served.pass(Duration::from_secs(1));
    }
    let state = served.machine.report(Worker::Media).state;
    assert_ne!(state, StateName::Failed, "one that has served is tried more than three times");

    let mut foreign = World::open();
    foreign.die(Worker::Turn, KILLED);
    leave(&mut foreign, Worker::Turn);
    foreign.input(Input::WrongBuild(Worker::Turn, foreign.running[&Worker::Turn]));
    foreign.end_killed();
    assert_eq!(foreign.machine.report(Worker::Turn).state, StateName::Failed);
}
