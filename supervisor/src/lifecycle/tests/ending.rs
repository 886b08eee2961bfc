//! The end of a session.

use super::*;

#[test]
fn stop_ends_the_app_then_what_it_left_then_the_workers() {
    let mut world = World::open();
    world.machine.set_pages_reachable(true);
    world.rest = true;
    let asked = world.actions_since(|world| world.input(Input::Stop));
    assert_eq!(asked, [Action::TerminateApp], "the workers still serve the app");
    let app_gone = world.actions_since(|world| {
        world.app = false;
        world.input(Input::AppExited(SUCCESS));
    });
    assert_eq!(app_gone, [Action::TerminateRest]);
    let rest_gone = world.actions_since(|world| {
        world.rest = false;
        world.input(Input::RestGone);
    });
    let told = Action::Tell(News::Over(Outcome::Stopped));
    assert_eq!(rest_gone.first(), Some(&told), "the pages are told while they can be reached");
    assert_eq!(rest_gone.get(1..), Some(&Worker::ALL.map(Action::Drain)[..]));
}

#[test]
fn stop_forces_whoever_does_not_go_when_asked() {
    let mut world = World::open();
    world.rest = true;
    world.input(Input::Stop);
    let app = world.actions_since(|world| world.pass(ESCALATION));
    assert_eq!(app, [Action::KillApp, Action::TerminateRest]);
    let rest = world.actions_since(|world| world.pass(ESCALATION));
    assert_eq!(rest.first(), Some(&Action::KillRest));
    assert!(rest.contains(&Action::Drain(Worker::Rtc)));
    let terminated = world.actions_since(|world| world.pass(ESCALATION));
    assert!(terminated.contains(&Action::Terminate(Worker::Rtc)));
    let killed = world.actions_since(|world| world.pass(ESCALATION));
    assert!(killed.contains(&Action::Kill(Worker::Rtc)));
}

#[test]
fn stop_goes_on_without_what_the_kernel_does_not_end() {
    let mut world = World::open();
    (world.rest, world.immortal) = (true, true);
    world.input(Input::Stop);
    for _ in 0..4 {
        world.pass(ESCALATION);
    }
    assert!(world.log.contains(&Action::Say(Notice::RestStays)));
    assert!(world.log.contains(&Action::Drain(Worker::Compositor)));
    for worker in Worker::ALL {
        world.die(worker, Verdict::Exited(0));
    }
    assert_eq!(world.finished, Some(Outcome::Stopped));
}

#[test]
fn workers_wait_until_the_pages_are_told_but_not_for_ever() {
    let mut world = World::open();
    world.machine.set_pages_reachable(true);
    world.pages = false;
    world.input(Input::Stop);
    let untold = world.actions_since(|world| {
        world.app = false;
        world.input(Input::AppExited(SUCCESS));
    });
    assert_eq!(untold.last(), Some(&Action::Tell(News::Over(Outcome::Stopped))));
    let late = world.actions_since(|world| world.pass(Duration::from_secs(1)));
    assert_eq!(late, Worker::ALL.map(Action::Drain));
}

#[test]
fn finish_comes_when_the_last_process_is_gone() {
    let mut world = World::open();
    world.input(Input::Stop);
    for worker in Worker::ALL {
        world.die(worker, Verdict::Exited(0));
    }
    assert_eq!(world.finished, None);
    world.app = false;
    world.input(Input::AppExited(SUCCESS));
    assert_eq!(world.finished, Some(Outcome::Stopped));
}
