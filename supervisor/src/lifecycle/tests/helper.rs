//! The helpers' life.

use super::{
    super::{app::APP_VERDICT_WAIT, class::HELPER_TIMEOUT, helper::SINK_PATIENCE},
    *,
};

/// A desktop that begins with these helpers.
fn helped_by(helpers: &[Helper]) -> World {
    let mut world = World::new();
    world.machine = std::mem::take(&mut world.machine).helped_by(helpers);
    world.input(Input::Begin);
    world
}

/// An open desktop with an app that needs an X server.
fn with_x_server() -> World {
    let mut world = helped_by(&[Helper::XServer]);
    world.serve(Helper::XServer);
    for worker in Worker::ALL {
        world.bring_up(worker);
    }
    world
}

#[test]
fn app_waits_for_its_helpers_which_start_one_after_the_other() {
    let mut world = helped_by(&[Helper::Bus, Helper::XServer]);
    assert_eq!(world.helpers.keys().collect::<Vec<_>>(), [&Helper::XServer]);
    world.serve(Helper::XServer);
    assert!(world.helpers.contains_key(&Helper::Bus) && !world.app);
    world.serve(Helper::Bus);
    assert!(world.app);
}

/// A desktop with a sound server of its own that waits for the sink.
fn with_sound() -> World {
    let mut world = World::new();
    let machine = std::mem::take(&mut world.machine);
    world.machine = machine.helped_by(&[Helper::SoundServer]).expecting_sink();
    world.input(Input::Begin);
    world
}

#[test]
fn app_waits_for_the_sink_after_its_helpers_and_only_once() {
    let mut world = with_sound();
    world.serve(Helper::SoundServer);
    assert!(!world.app);
    world.pass(SINK_PATIENCE / 2);
    assert!(!world.app);
    world.input(Input::SinkReady);
    assert!(world.app);
}

#[test]
fn sink_that_does_not_come_keeps_nobody_waiting() {
    type Event = fn(&mut World);
    let never: [(&str, Event); 4] = [
        ("in time", |world| world.pass(SINK_PATIENCE)),
        ("because its server ended", |world| {
            world.end_helper(Helper::SoundServer, KILLED);
            world.settle();
            // It is started anew at once.
            world.serve(Helper::SoundServer);
        }),
        ("because the sound worker ended", |world| {
            world.bring_up(Worker::Sound);
            world.die(Worker::Sound, KILLED);
        }),
        ("late", |world| {
            world.pass(SINK_PATIENCE);
            world.input(Input::SinkReady);
        }),
    ];
    for (why, happens) in never {
        let mut world = with_sound();
        world.serve(Helper::SoundServer);
        assert!(!world.app);
        happens(&mut world);
        assert!(world.app, "{why}");
    }
}

#[test]
fn desktop_that_ends_while_its_app_waits_for_the_sink_starts_none() {
    let mut world = with_sound();
    world.serve(Helper::SoundServer);
    world.input(Input::Stop);
    world.pass(SINK_PATIENCE);
    assert!(!world.app);
}

#[test]
fn optional_helper_that_does_not_start_keeps_nobody_waiting() {
    let mut world = helped_by(&[Helper::Bus]);
    let actions = world.actions_since(|world| world.pass(HELPER_TIMEOUT));
    assert!(actions.contains(&Action::KillHelper(Helper::Bus)), "{actions:?}");
    assert!(world.app);
}

#[test]
fn optional_helper_that_dies_is_started_anew_and_the_app_goes_on() {
    let mut world = helped_by(&[Helper::Bus]);
    world.serve(Helper::Bus);
    let actions = world.actions_since(|world| {
        world.end_helper(Helper::Bus, KILLED);
        world.settle();
    });
    assert_eq!(actions.first(), Some(&Action::Say(Notice::HelperDied(Helper::Bus, KILLED))));
    assert!(world.helpers.contains_key(&Helper::Bus) && world.app, "{actions:?}");
}

#[test]
fn optional_helper_that_keeps_dying_is_tried_ever_more_slowly_and_the_app_goes_on() {
    let mut world = helped_by(&[Helper::Bus]);
    world.serve(Helper::Bus);
    for worker in Worker::ALL {
        world.bring_up(worker);
    }
    for _ in 0..MOST_DEATHS {
        world.end_helper(Helper::Bus, KILLED);
        world.settle();
        while let Some(next) = world.machine.timeout().filter(|_| world.helpers.is_empty()) {
            world.pass(next - world.now);
        }
        world.serve(Helper::Bus);
    }
    let failed =
        |wait| Action::Say(Notice::HelperFailed(Helper::Bus, KILLED, Duration::from_secs(wait)));
    assert!(world.log.contains(&failed(10)) && world.app && !world.machine.is_stopping());
    // The loop above waited until the helper serves.
    world.end_helper(Helper::Bus, KILLED);
    world.settle();
    assert!(world.log.contains(&failed(20)), "it has not served for long");
    world.pass(Duration::from_secs(20));
    world.serve(Helper::Bus);
    assert!(world.helpers.contains_key(&Helper::Bus) && world.app);
}

#[test]
fn needed_helper_that_cannot_start_ends_the_start() {
    let mut world = helped_by(&[Helper::XServer]);
    for _ in 0..3 {
        world.end_helper(Helper::XServer, Verdict::Exited(1));
        world.settle();
        world.pass(Duration::from_millis(500));
    }
    for worker in Worker::ALL {
        world.die(worker, SUCCESS);
    }
    assert_eq!(world.finished, Some(Outcome::CouldNotHelp(Helper::XServer)));
    assert!(!world.log.contains(&Action::StartApp));
}

#[test]
fn needed_helper_that_dies_takes_the_app_along_and_both_come_back() {
    let mut world = with_x_server();
    let actions = world.actions_since(|world| {
        world.end_helper(Helper::XServer, KILLED);
        world.settle();
    });
    assert!(actions.contains(&Action::TerminateApp), "{actions:?}");
    world.app = false;
    world.input(Input::AppExited(FAILURE));
    world.pass(APP_VERDICT_WAIT);
    world.serve(Helper::XServer);
    assert!(world.app && world.log.contains(&Action::Say(Notice::AppFollowsHelper)));
}

#[test]
fn app_that_does_not_notice_the_death_of_its_helper_is_killed() {
    let mut world = with_x_server();
    world.end_helper(Helper::XServer, KILLED);
    world.settle();
    let actions = world.actions_since(|world| world.pass(ESCALATION));
    assert!(actions.contains(&Action::KillApp), "{actions:?}");
}

#[test]
fn late_news_of_an_old_helper_is_ignored() {
    let mut world = helped_by(&[Helper::Bus]);
    let (old, _) = world.helpers[&Helper::Bus];
    world.end_helper(Helper::Bus, KILLED);
    world.settle();
    let actions = world.actions_since(|world| {
        world.input(Input::HelperReady(Helper::Bus, old));
        world.input(Input::HelperExited(Helper::Bus, old, KILLED));
    });
    assert_eq!(actions, []);
}
