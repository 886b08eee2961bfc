//! The app's life.

use super::{super::app::APP_VERDICT_WAIT, *};

#[test]
fn app_that_ends_alone_ends_the_desktop() {
    let mut world = World::open();
    world.pass(APP_EARLY);
    world.app = false;
    world.input(Input::AppExited(SUCCESS));
    world.pass(APP_VERDICT_WAIT);
    for worker in Worker::ALL {
        world.die(worker, Verdict::Exited(0));
    }
    assert_eq!(world.finished, Some(Outcome::AppEnded { verdict: SUCCESS, early: false }));
}

/// A desktop that stays, whose app ran for `ran` and ended.
fn outlived(ran: Duration) -> World {
    let mut world = World::open();
    world.machine = std::mem::take(&mut world.machine).outliving_its_app(true);
    world.pass(ran);
    end_app(&mut world);
    world
}

fn end_app(world: &mut World) {
    world.app = false;
    world.input(Input::AppExited(FAILURE));
    world.pass(APP_VERDICT_WAIT);
}

#[test]
fn desktop_that_stays_tells_of_its_apps_end_and_starts_it_when_asked() {
    let mut world = outlived(APP_EARLY);
    let news = News::AppEnded { verdict: FAILURE, early: false };
    assert_eq!(world.log.last(), Some(&Action::Tell(news)));
    assert_eq!(world.machine.start_app_again(world.now), Ok(()));
    let actions = world.actions_since(World::settle);
    assert_eq!(actions, [Action::StartApp, Action::Tell(News::AppRuns)]);
    let again = world.machine.start_app_again(world.now);
    assert_eq!(again, Err(CannotStartApp::Running));
}

#[test]
fn desktop_that_stays_ends_with_an_app_that_has_never_worked() {
    let world = outlived(Duration::ZERO);
    assert!(world.machine.is_stopping());
}

#[test]
fn app_that_fails_at_once_again_and_again_is_started_ever_more_rarely() {
    let mut world = outlived(APP_EARLY);
    let mut waits = Vec::new();
    for _ in 0..MOST_DEATHS {
        while let Err(refused) = world.machine.start_app_again(world.now) {
            let CannotStartApp::TooSoon(wait) = refused else { panic!("{refused}") };
            waits.push(wait);
            world.pass(wait);
        }
        world.settle();
        end_app(&mut world);
    }
    assert!(waits.is_sorted() && waits.last() > Some(&Duration::from_secs(10)), "{waits:?}");
    assert!(!world.machine.is_stopping(), "the desktop stays");
}

#[test]
fn app_is_not_started_again_while_everything_ends() {
    let mut world = outlived(APP_EARLY);
    world.input(Input::Stop);
    assert_eq!(world.machine.start_app_again(world.now), Err(CannotStartApp::Ending));
}

#[test]
fn app_that_ends_with_its_compositor_is_started_anew() {
    let mut world = World::open();
    world.app = false;
    world.input(Input::AppExited(FAILURE));
    world.die(Worker::Compositor, KILLED);
    world.pass(APP_VERDICT_WAIT);
    assert!(world.app);
}
