//! Workers that end too often: given up for a while, but never for good.

use super::*;
use crate::lifecycle::budget::{SLOWEST_RETRY, WINDOW};

/// Kills `worker` often enough to make it fail.
fn failed(worker: Worker) -> World {
    let mut world = World::open();
    for _ in 0..MOST_DEATHS {
        world.die(worker, KILLED);
        if !world.running.contains_key(&worker) && state(&world, worker) == StateName::Waiting {
            until_next_try(&mut world, worker);
        }
        world.bring_up_all();
    }
    assert_eq!(state(&world, worker), StateName::Failed);
    world
}

fn state(world: &World, worker: Worker) -> StateName {
    world.machine.report(worker).state
}

/// Advances the time to the next start, and returns how long that was.
fn until_next_try(world: &mut World, worker: Worker) -> Duration {
    let next = world.machine.report(worker).next_try.expect("it is to be started");
    let wait = next - world.now;
    world.pass(wait);
    wait
}

#[test]
fn ten_deaths_in_a_minute_fail_any_worker_and_the_others_go_on() {
    for worker in Worker::ALL {
        let world = failed(worker);
        assert_eq!(world.running.len(), Worker::ALL.len() - 1, "{worker}");
        assert!(!world.machine.is_stopping(), "{worker}");
    }
}

#[test]
fn failed_worker_comes_back_by_itself_once_it_is_well() {
    for worker in Worker::ALL {
        let mut world = failed(worker);
        until_next_try(&mut world, worker);
        world.bring_up_all();
        assert_eq!(state(&world, worker), StateName::Ready, "{worker}");
    }
}

#[test]
fn failed_worker_is_tried_ever_more_slowly_up_to_once_a_minute_and_never_given_up() {
    let mut world = failed(Worker::Media);
    let waits: Vec<u64> = (0..20)
        .map(|_| {
            let wait = until_next_try(&mut world, Worker::Media);
            world.die(Worker::Media, KILLED);
            assert_eq!(state(&world, Worker::Media), StateName::Failed);
            wait.as_secs()
        })
        .collect();
    assert_eq!(waits[..4], [10, 20, 40, 60]);
    assert!(waits[4..].iter().all(|wait| *wait == SLOWEST_RETRY.as_secs()), "{waits:?}");
}

#[test]
fn failed_worker_that_has_served_for_a_while_is_started_at_once_again() {
    let mut world = failed(Worker::Rtc);
    until_next_try(&mut world, Worker::Rtc);
    world.bring_up_all();
    world.pass(WINDOW);
    world.die(Worker::Rtc, KILLED);
    assert_eq!(state(&world, Worker::Rtc), StateName::Starting);
}

#[test]
fn failed_worker_is_revived_at_once_by_an_admin() {
    let mut world = failed(Worker::Media);
    world.machine.restart(world.now, Worker::Media).expect("not ending");
    world.settle();
    assert_eq!(state(&world, Worker::Media), StateName::Starting);
}

#[test]
fn failed_worker_is_not_tried_while_everything_ends() {
    let mut world = failed(Worker::Media);
    world.input(Input::Stop);
    assert_eq!(world.machine.report(Worker::Media).next_try, None);
}

#[test]
fn optional_worker_that_cannot_start_ends_nothing_and_comes_once_it_is_well() {
    for worker in [Worker::Gamepad, Worker::Turn] {
        let mut world = World::new();
        world.input(Input::Begin);
        for other in Worker::ALL.into_iter().filter(|other| *other != worker) {
            world.bring_up(other);
        }
        assert!(!world.log.contains(&Action::Announce), "{worker} is about to come");
        world.die(worker, KILLED);
        assert!(world.log.contains(&Action::Announce), "nobody waits for {worker}");
        while state(&world, worker) != StateName::Failed {
            if state(&world, worker) == StateName::Waiting {
                until_next_try(&mut world, worker);
            }
            world.die(worker, KILLED);
        }
        assert!(!world.machine.is_stopping() && world.app, "{worker}");
        until_next_try(&mut world, worker);
        world.bring_up(worker);
        assert_eq!(state(&world, worker), StateName::Ready, "{worker}");
        let announced = world.log.iter().filter(|action| **action == Action::Announce);
        assert_eq!(announced.count(), 1);
    }
}

#[test]
fn essential_worker_that_cannot_start_ends_the_start() {
    for worker in [Worker::Compositor, Worker::Gateway, Worker::Media, Worker::Rtc] {
        let mut world = World::new();
        world.input(Input::Begin);
        while !world.machine.is_stopping() {
            if state(&world, worker) == StateName::Waiting {
                until_next_try(&mut world, worker);
            }
            world.die(worker, KILLED);
        }
        assert!(!world.log.contains(&Action::Announce), "{worker}");
    }
}
