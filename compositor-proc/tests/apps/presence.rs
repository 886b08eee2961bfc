//! Viewers' presence: what rtc can do without a viewer who is there, and what it is told.

use std::time::{Duration, Instant};

use lumen_ipc::{
    lease::{Challenge, KEY_BYTES, LEASE_LIFE, Proof},
    message::{
        input::{self, Action, OutputPoint, PressState},
        transfer::{Kind, Offer, OfferId, ToCompositor, ToRtc},
    },
    units::{ButtonCode, KeyCode, OutputId, PeerId},
};

use super::{
    app::{App, Event, Window},
    red_window,
    rig::{
        PEER, Rig,
        page::{lease, next},
        rig_past_its_first_frame,
    },
};

const KEY_A: u64 = 30;

fn press(state: PressState) -> Action {
    Action::Key { key: KeyCode::new(KEY_A).expect("legal key"), state, locks: None }
}

fn focused(rig: &mut Rig) -> (App, Window) {
    let (mut app, window) = red_window(rig);
    app.until_told(rig, &Event::KeyboardEntered);
    app.memory.events.clear();
    (app, window)
}

fn key(down: bool) -> Event {
    Event::Key { key: KEY_A as u32, down }
}

/// Input of the app, but for its keymap's state.
fn input_of(app: &App) -> Vec<&Event> {
    app.memory.events.iter().filter(|event| matches!(event, Event::Key { .. })).collect()
}

#[test]
fn input_of_an_rtc_without_a_viewer_reaches_no_app() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    let at = OutputPoint { x: 32_768, y: 32_768 };
    let forged = Proof { lease: lease(PEER).id, tag: [0; KEY_BYTES] };
    for action in [
        press(PressState::Pressed),
        press(PressState::Released),
        Action::Proved(forged),
        press(PressState::Pressed),
        Action::PointerTo(at),
        Action::Button {
            button: ButtonCode::new(0x110).expect("BTN_LEFT"),
            state: PressState::Pressed,
            at,
        },
        Action::Wheel { right_v120: 0, down_v120: 120 },
        Action::Scroll { right_sixteenths: 0, down_sixteenths: 16 },
        Action::StillHeld,
        Action::ReleaseAll,
        Action::PeerLeft,
    ] {
        rig.send(OutputId::PRIMARY, PEER, action);
    }
    // What a viewer who is there does afterwards is the first thing that the app is told.
    rig.act_as(PeerId(2), press(PressState::Pressed));
    app.until_told(&mut rig, &key(true));
    assert_eq!(input_of(&app), [&key(true)]);
    assert_eq!(rig.counter("input_refused_total"), 8);
    assert_eq!(rig.counter("proofs_refused_total"), 1);
}

#[test]
fn viewer_who_proves_no_more_is_released_and_ignored() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    let start = Instant::now();
    rig.act_as(PEER, press(PressState::Pressed));
    app.until_told(&mut rig, &key(true));
    // Rtc says for ever that the key is held; that the viewer is there it cannot say.
    rig.until(|rig| {
        rig.send(OutputId::PRIMARY, PEER, Action::StillHeld);
        assert!(app.exchange(), "disconnected");
        app.memory.events.contains(&key(false))
    });
    assert!(start.elapsed() >= LEASE_LIFE, "too early: after {:?}", start.elapsed());
    rig.send(OutputId::PRIMARY, PEER, press(PressState::Pressed));
    rig.act_as(PeerId(2), press(PressState::Pressed));
    rig.act_as(PeerId(2), press(PressState::Released));
    app.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == key(false)).count() == 2
    });
    assert_eq!(input_of(&app).len(), 4);
}

/// The challenges that rtc was told of a lease.
fn challenges(rig: &Rig, of: PeerId) -> Vec<Challenge> {
    let link = rig.input.as_ref().expect("rtc is there");
    let mut found = Vec::new();
    while let Ok(received) = link.receive() {
        let input::ToRtc { lease, challenge } = received.message;
        if lease == self::lease(of).id {
            found.push(challenge);
        }
    }
    found
}

#[test]
fn rtc_is_told_what_to_prove_on_each_link_and_after_each_proof() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    let one = lease(PEER);
    assert_eq!(challenges(&rig, PEER), [one.challenge]);
    rig.act(press(PressState::Pressed));
    app.until_told(&mut rig, &key(true));
    let second = next(&one, one.challenge);
    assert_eq!(challenges(&rig, PEER), [second]);
    rig.attach_input();
    rig.turn(Duration::ZERO);
    assert_eq!(challenges(&rig, PEER), [second]);
    // A key of a viewer of the old link is up, and the viewer's next proof opens the new one at once.
    app.until_told(&mut rig, &key(false));
    app.memory.events.clear();
    rig.act(press(PressState::Pressed));
    app.until_told(&mut rig, &key(true));
}

#[test]
fn lease_that_ends_releases_what_its_viewer_holds_and_no_others() {
    let mut rig = rig_past_its_first_frame();
    let (mut app, _window) = focused(&mut rig);
    rig.act(press(PressState::Pressed));
    app.until_told(&mut rig, &key(true));
    let other = [lease(PeerId(2))];
    rig.shell.compositor().set_leases(&other);
    app.until_told(&mut rig, &key(false));
    rig.send(OutputId::PRIMARY, PEER, press(PressState::Pressed));
    rig.act_as(PeerId(2), press(PressState::Pressed));
    app.until(&mut rig, |memory| {
        memory.events.iter().filter(|event| **event == key(true)).count() == 2
    });
    assert_eq!(rig.counter("input_refused_total"), 1);
}

/// What gamepad is told next.
fn told_to_gamepad(rig: &mut Rig) -> Duration {
    let mut told = None;
    rig.until(|rig| {
        let presence = rig.presence.as_ref().expect("gamepad is there");
        told = presence.receive().ok().map(|received| received.message.0.left());
        told.is_some()
    });
    told.expect("just seen")
}

#[test]
fn gamepad_is_told_for_how_long_a_viewer_is_there() {
    let mut rig = rig_past_its_first_frame();
    rig.attach_gamepad();
    let forged = Proof { lease: lease(PEER).id, tag: [0; KEY_BYTES] };
    rig.send(OutputId::PRIMARY, PEER, Action::Proved(forged));
    rig.prove(PEER);
    let first = told_to_gamepad(&mut rig);
    assert!(first > LEASE_LIFE / 2 && first <= LEASE_LIFE, "{first:?}");
    // A successor is told how much of that is left.
    rig.attach_gamepad();
    assert!(told_to_gamepad(&mut rig) <= first);
    // Who is gone is not there, and neither is anybody once rtc is gone.
    rig.act_as(PEER, Action::PeerLeft);
    assert_eq!(told_to_gamepad(&mut rig), Duration::ZERO);
    rig.prove(PeerId(2));
    assert!(told_to_gamepad(&mut rig) > Duration::ZERO);
    rig.attach_input();
    assert_eq!(told_to_gamepad(&mut rig), Duration::ZERO);
}

#[test]
fn page_offer_lapses_without_a_viewer_and_waits_for_a_proof_that_comes_by_another_link() {
    let mut rig = rig_past_its_first_frame();
    let [first, earlier, later] = [7, 8, 9].map(OfferId);
    let offer = |rig: &Rig, offer| {
        let offer = Offer { offer, kind: Kind::Text, bytes: Some(3) };
        let transfer = rig.transfer.as_ref().expect("rtc is there");
        transfer.send(&ToCompositor::Offered(offer), &[]).expect("room");
    };
    offer(&rig, first);
    rig.until(|rig| rig.said.contains(&ToRtc::Lapsed { offer: first }));
    // The next one takes the place of one that waits.
    offer(&rig, earlier);
    offer(&rig, later);
    rig.until(|rig| rig.said.contains(&ToRtc::Lapsed { offer: earlier }));
    rig.prove(PEER);
    rig.until(|rig| rig.said.contains(&ToRtc::Taken { offer: later }));
    let said = [ToRtc::Lapsed { offer: first }, ToRtc::Lapsed { offer: earlier }];
    assert_eq!(rig.said[..2], said);
    assert_eq!(rig.said.len(), 3, "{:?}", rig.said);
}
