//! Lost links: by whom, for which reason, and the consequences.

use lumen_ipc::{link::Link, message::grants::LossReason};

use super::*;
use crate::lifecycle::{budget::WINDOW, links::ECHO};

pub(super) const REASONS: [LossReason; 5] = [
    LossReason::Closed,
    LossReason::Failed,
    LossReason::Full,
    LossReason::TimedOut,
    LossReason::Unusable,
];

fn word(world: &World, by: Worker, link: LinkName, complaint: Complaint) -> Word {
    let generation = world.generations[link.name()];
    Word { by, link: link.row(), generation, complaint }
}

fn lose(world: &mut World, by: Worker, link: LinkName, reason: LossReason) -> Vec<Action> {
    let word = word(world, by, link, Complaint::Lost(reason));
    world.actions_since(|world| world.input(Input::Said(word)))
}

fn accuse(world: &mut World, by: Worker, link: LinkName) -> Vec<Action> {
    let word = word(world, by, link, Complaint::Violated);
    world.actions_since(|world| world.input(Input::Said(word)))
}

fn wires(actions: &[Action]) -> Vec<LinkName> {
    let wired = actions.iter().filter_map(|action| match action {
        Action::Wire { link, from: true, to: true, .. } => Some(link.name),
        _ => None,
    });
    wired.collect()
}

pub(super) fn killed(actions: &[Action]) -> Vec<Worker> {
    let killed = actions.iter().filter_map(|action| match action {
        Action::Kill(worker) => Some(*worker),
        _ => None,
    });
    killed.collect()
}

/// The rows between two workers, or a worker and the supervisor, with one worker of each.
pub(super) fn rows() -> impl Iterator<Item = (&'static Link, Worker)> {
    TABLE.iter().flat_map(|link| {
        let owners = Worker::ALL.into_iter().filter(|worker| link.is_granted_to(*worker));
        owners.map(move |worker| (link, worker))
    })
}

#[test]
fn link_lost_for_any_reason_by_either_side_is_made_anew_and_nobody_ends() {
    for (link, by) in rows() {
        for reason in REASONS {
            let mut world = World::open();
            let mut actions = lose(&mut world, by, link.name, reason);
            actions.extend(world.actions_since(|world| world.pass(ECHO)));
            assert_eq!(wires(&actions), [link.name], "{by}, {reason:?}");
            assert_eq!(killed(&actions), [], "{link:?}, {by}, {reason:?}");
        }
    }
}

#[test]
fn end_closed_by_a_death_is_made_anew_once_by_the_successors_start() {
    let mut world = World::open();
    let told = lose(&mut world, Worker::Compositor, LinkName::Frames, LossReason::Closed);
    assert_eq!(wires(&told), [], "mostly it is the echo of a death");
    let mut actions = world.actions_since(|world| world.die(Worker::Media, KILLED));
    actions.extend(world.actions_since(|world| world.pass(ECHO)));
    assert_eq!(wires(&actions).iter().filter(|link| **link == LinkName::Frames).count(), 1);
}

#[test]
fn word_about_an_older_pair_has_no_effect() {
    for (link, by) in rows() {
        let mut world = World::open();
        let complaints = REASONS.map(Complaint::Lost).into_iter().chain([Complaint::Violated]);
        let late: Vec<_> =
            complaints.map(|complaint| word(&world, by, link.name, complaint)).collect();
        lose(&mut world, by, link.name, LossReason::Failed);
        for word in late {
            let actions = world.actions_since(|world| world.input(Input::Said(word)));
            assert_eq!(actions, [], "{word:?}");
        }
    }
}

#[test]
fn word_about_a_pair_that_was_never_made_has_no_effect() {
    let mut world = World::open();
    let mut word = word(&world, Worker::Media, LinkName::Frames, Complaint::Violated);
    word.generation = word.generation.next();
    assert_eq!(world.actions_since(|world| world.input(Input::Said(word))), []);
}

#[test]
fn first_accusation_brings_a_new_pair_and_ends_nobody() {
    for (link, by) in rows() {
        let mut world = World::open();
        let actions = accuse(&mut world, by, link.name);
        assert_eq!(wires(&actions), [link.name], "{by}");
        assert_eq!(killed(&actions), [], "{link:?}, {by}");
    }
}

#[test]
fn second_accusation_ends_the_less_trusted_side_whoever_speaks() {
    for (link, by) in rows() {
        let mut world = World::open();
        accuse(&mut world, by, link.name);
        let actions = accuse(&mut world, by, link.name);
        assert_eq!(killed(&actions), [link.answers_for(by)], "{link:?}, {by}");
    }
}

#[test]
fn rtc_that_accuses_the_compositor_for_ever_ends_itself_only() {
    let mut world = World::open();
    for _ in 0..200 {
        accuse(&mut world, Worker::Rtc, LinkName::Input);
        world.end_killed();
        world.pass(Duration::from_millis(700));
        world.bring_up_all();
    }
    assert_eq!(world.machine.report(Worker::Compositor).restarts, 0);
    assert_eq!(world.machine.report(Worker::Compositor).state, StateName::Ready);
    assert!(world.machine.report(Worker::Rtc).restarts > 3);
}

#[test]
fn accusations_a_minute_apart_end_nobody() {
    let mut world = World::open();
    for _ in 0..10 {
        assert_eq!(killed(&accuse(&mut world, Worker::Rtc, LinkName::Input)), []);
        world.pass(WINDOW);
    }
}

#[test]
fn accusation_that_follows_the_others_loss_counts_still() {
    let mut world = World::open();
    accuse(&mut world, Worker::Media, LinkName::Frames);
    let accusation = word(&world, Worker::Compositor, LinkName::Frames, Complaint::Violated);
    lose(&mut world, Worker::Media, LinkName::Frames, LossReason::Closed);
    let actions = world.actions_since(|world| world.input(Input::Said(accusation)));
    assert_eq!(killed(&actions), [Worker::Media]);
}

#[test]
fn word_about_somebody_elses_link_is_a_breach_of_the_contract_with_the_supervisor() {
    let mut world = World::open();
    let actions = accuse(&mut world, Worker::Rtc, LinkName::Frames);
    assert_eq!(killed(&actions), [Worker::Rtc]);
    assert!(actions.contains(&Action::Say(Notice::Broke(Worker::Rtc))), "{actions:?}");
}

#[test]
fn pair_that_is_lost_again_and_again_is_made_ever_more_slowly() {
    let mut world = World::open();
    let begin = world.now;
    let mut made = 0;
    while world.now < begin + Duration::from_secs(600) {
        lose(&mut world, Worker::Rtc, LinkName::Packets, LossReason::Full);
        let next = world.machine.timeout();
        let wait = next.map_or(Duration::from_millis(1), |next| next - world.now);
        made += wires(&world.actions_since(|world| world.pass(wait))).len();
    }
    assert!(made < 100, "{made} pairs in ten minutes");
}
