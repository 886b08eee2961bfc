//! Tests of [`super::Slots`]: a set of simulated devices follows its actions in virtual time.

use std::collections::BTreeMap;

use lumen_ipc::lease::LEASE_LIFE;
use proptest::prelude::*;

use super::*;

/// As configured by default.
const GRACE: Duration = Duration::from_secs(15);

/// The devices after all actions, and what happened.
struct House {
    slots: Slots,
    now: Instant,
    devices: BTreeMap<SlotNumber, PadReport>,
    created: usize,
    destroyed: usize,
    /// Whether whoever says something of pads is there.
    attended: bool,
}

impl House {
    fn new() -> Self {
        let now = Instant::now();
        let (devices, slots) =
            (BTreeMap::new(), Slots::new(now, SLOTS, PadGrace::clamped(GRACE.as_secs())));
        Self { slots, now, devices, created: 0, destroyed: 0, attended: true }
    }

    fn settle(&mut self) {
        while let Some(action) = self.slots.poll_action() {
            match action {
                Action::Create(slot) => {
                    self.created += 1;
                    assert_eq!(self.devices.insert(slot, PadReport::default()), None, "twice");
                }
                Action::Destroy(slot) => {
                    self.destroyed += 1;
                    assert!(self.devices.remove(&slot).is_some(), "nothing to remove");
                }
                Action::Show(slot, report) => {
                    *self.devices.get_mut(&slot).expect("shown on a device") = report;
                }
            }
        }
        self.verify_invariants();
    }

    fn verify_invariants(&self) {
        for slot in self.slots.numbers() {
            let report = self.devices.get(&slot);
            match self.slots.slot(slot) {
                Slot::Held(name) => {
                    let pads: Vec<_> =
                        self.slots.pads.iter().filter(|pad| pad.name == name).collect();
                    let [pad] = pads[..] else { panic!("{name:?} holds, but is {pads:?}") };
                    let rest = PadReport::default();
                    let shown = if self.slots.is_attended(self.now) { &pad.report } else { &rest };
                    assert_eq!((pad.slot, Some(shown)), (Some(slot), report));
                }
                Slot::Kept { .. } => assert_eq!(report, Some(&PadReport::default())),
                Slot::Empty | Slot::Broken => assert_eq!(report, None),
            }
        }
        assert!(self.slots.pads.len() <= MAX_PADS);
        let idle = self.slots.slots.iter().any(|slot| matches!(slot, Slot::Kept { .. }));
        assert!(!idle || self.slots.waiting() == 0, "a pad waits beside a kept device");
    }

    fn say(&mut self, peer: u64, action: PadAction) -> Heard {
        if self.attended {
            self.slots.attend(self.now, LEASE_LIFE);
        }
        let heard = self.slots.handle(self.now, ToGamepad { peer: PeerId(peer), action });
        self.settle();
        heard
    }

    fn attend(&mut self, left: Duration) {
        self.slots.attend(self.now, left);
        self.settle();
    }

    fn plug(&mut self, peer: u64, pad: u64) -> Heard {
        self.say(peer, PadAction::Plugged(index(pad)))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.slots.timeout(self.now);
        self.settle();
    }

    fn holders(&self) -> Vec<Option<(u64, u8)>> {
        let name = |name: PadName| (name.peer.0, name.pad.value());
        self.slots.numbers().map(|slot| self.slots.holder(slot).map(name)).collect()
    }
}

fn index(pad: u64) -> PadIndex {
    PadIndex::new(pad).expect("a legal index")
}

fn pressed() -> PadReport {
    PadReport { buttons: 1, ..PadReport::default() }
}

#[test]
fn fifth_pad_waits_and_gets_the_first_slot_that_is_let_go_of() {
    let mut house = House::new();
    for peer in 1..=4 {
        assert_eq!(house.plug(peer, 0), Heard::Done);
    }
    assert_eq!(house.plug(5, 0), Heard::Waits);
    house.say(5, PadAction::Reported(index(0), pressed()));
    house.say(2, PadAction::PeerLeft);
    assert_eq!(house.holders(), [Some((1, 0)), Some((5, 0)), Some((3, 0)), Some((4, 0))]);
    assert_eq!((house.created, house.destroyed), (4, 0));
    assert!(house.devices.values().any(|report| *report == pressed()), "what it did meanwhile");
}

#[test]
fn pad_is_shown_while_a_viewer_is_there_and_at_rest_otherwise() {
    let mut house = House::new();
    house.attended = false;
    let shown = |house: &House| house.devices.values().copied().collect::<Vec<_>>();
    let (rest, down) = ([PadReport::default()], [pressed()]);
    house.plug(1, 0);
    house.say(1, PadAction::Reported(index(0), pressed()));
    assert_eq!(shown(&house), rest, "nobody is there");
    house.attend(LEASE_LIFE);
    assert_eq!(shown(&house), down, "what rtc said before");
    assert_eq!(house.slots.deadline(), Some(house.now + LEASE_LIFE));
    house.pass(LEASE_LIFE);
    assert_eq!(shown(&house), rest, "no proof came");
    house.say(1, PadAction::Reported(index(0), pressed()));
    assert_eq!(shown(&house), rest, "no proof came since");
    house.attend(LEASE_LIFE);
    house.attend(Duration::ZERO);
    assert_eq!(shown(&house), rest, "the viewer has left");
    // Its time is over, and nobody has noticed.
    house.attend(LEASE_LIFE);
    house.now += LEASE_LIFE;
    house.attend(Duration::ZERO);
    assert_eq!((shown(&house).as_slice(), house.slots.deadline()), (&rest[..], None));
}

#[test]
fn peer_that_leaves_lets_go_and_finds_its_device_again() {
    let mut house = House::new();
    house.plug(1, 0);
    house.say(1, PadAction::Reported(index(0), pressed()));
    house.say(1, PadAction::PeerLeft);
    assert_eq!(house.devices.values().collect::<Vec<_>>(), [&PadReport::default()]);
    house.pass(GRACE / 2);
    house.plug(2, 0);
    house.pass(GRACE);
    assert_eq!((house.created, house.destroyed), (1, 0));
    house.say(2, PadAction::PeerLeft);
    house.pass(GRACE);
    assert_eq!((house.destroyed, house.slots.deadline()), (1, None));
}

#[test]
fn unplugged_device_goes_soon_and_a_wobbling_plug_keeps_it() {
    let mut house = House::new();
    house.plug(1, 0);
    house.say(1, PadAction::Unplugged(index(0)));
    house.pass(UNPLUG_GRACE / 2);
    house.plug(1, 0);
    house.pass(UNPLUG_GRACE);
    assert_eq!(house.destroyed, 0);
    house.say(1, PadAction::Unplugged(index(0)));
    house.pass(UNPLUG_GRACE);
    assert_eq!(house.destroyed, 1);
}

#[test]
fn two_pads_of_one_peer_find_each_its_own_device_again() {
    let mut house = House::new();
    house.plug(1, 0);
    house.plug(1, 1);
    for pad in [0, 1] {
        house.say(1, PadAction::Unplugged(index(pad)));
    }
    house.plug(1, 1);
    house.plug(1, 0);
    assert_eq!(house.holders()[..2], [Some((1, 0)), Some((1, 1))]);
}

#[test]
fn lost_link_keeps_every_device_for_those_who_come_back() {
    let mut house = House::new();
    house.plug(1, 0);
    house.plug(2, 0);
    house.slots.link_lost(house.now);
    house.settle();
    assert_eq!(house.holders(), [None; SLOTS]);
    house.plug(2, 0);
    house.plug(1, 0);
    assert_eq!(house.holders()[..2], [Some((1, 0)), Some((2, 0))]);
    assert_eq!((house.created, house.destroyed), (2, 0));
}

#[test]
fn device_of_a_predecessor_is_adopted_or_goes() {
    let mut house = House::new();
    for slot in house.slots.numbers().take(2) {
        house.devices.insert(slot, pressed());
        house.slots.found(house.now, slot);
    }
    house.settle();
    house.plug(1, 0);
    house.pass(GRACE);
    assert_eq!((house.created, house.destroyed, house.devices.len()), (0, 1, 1));
    assert_eq!(house.holders()[0], Some((1, 0)));
}

#[test]
fn storm_of_plugs_makes_a_handful_of_devices() {
    let mut house = House::new();
    for round in 0..10_000_u64 {
        house.plug(round % 7, round % 4);
        house.say(round % 7, PadAction::Unplugged(index(round % 4)));
        house.pass(Duration::from_millis(1));
    }
    assert!(house.created <= SLOTS, "{} devices", house.created);
    // A client that waits for each device to disappear is limited by the budget.
    let before = house.created;
    for _ in 0..100 {
        house.plug(1, 0);
        house.say(1, PadAction::Unplugged(index(0)));
        house.pass(UNPLUG_GRACE);
    }
    assert!(house.created - before <= 50 + CREATION_BURST as usize, "{} devices", house.created);
}

#[test]
fn sixty_fifth_pad_is_refused() {
    let mut house = House::new();
    for peer in 0..16 {
        for pad in 0..4 {
            assert_ne!(house.plug(peer, pad), Heard::Refused);
        }
    }
    assert_eq!(house.plug(16, 0), Heard::Refused);
    assert_eq!(house.say(16, PadAction::Unplugged(index(0))), Heard::Waits);
}

#[test]
fn slot_the_kernel_refuses_is_passed_over() {
    let mut house = House::new();
    let message = ToGamepad { peer: PeerId(1), action: PadAction::Plugged(index(0)) };
    house.slots.handle(house.now, message);
    let Some(Action::Create(slot)) = house.slots.poll_action() else { panic!("no device") };
    house.slots.poll_action();
    house.slots.failed(house.now, slot);
    house.settle();
    assert_eq!(house.holders()[..2], [None, Some((1, 0))]);
}

#[test]
fn without_slots_every_pad_waits() {
    let now = Instant::now();
    let mut slots = Slots::new(now, 0, PadGrace::MIN);
    let message = ToGamepad { peer: PeerId(1), action: PadAction::Plugged(index(0)) };
    assert_eq!(slots.handle(now, message), Heard::Waits);
    assert_eq!((slots.poll_action(), slots.deadline()), (None, None));
}

#[derive(Clone, Debug)]
enum Op {
    Say(u64, PadAction),
    Lose,
    Pass(u64),
    Attend(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let pad = || (0..4_u64).prop_map(index);
    let report = (any::<u32>(), any::<[i16; 4]>(), any::<[u8; 2]>())
        .prop_map(|(buttons, sticks, triggers)| PadReport { buttons, sticks, triggers });
    let action = prop_oneof![
        pad().prop_map(PadAction::Plugged),
        (pad(), report).prop_map(|(pad, report)| PadAction::Reported(pad, report)),
        pad().prop_map(PadAction::Unplugged),
        Just(PadAction::PeerLeft),
    ];
    prop_oneof![
        8 => (0..20_u64, action).prop_map(|(peer, action)| Op::Say(peer, action)),
        1 => Just(Op::Lose),
        2 => (0..6000_u64).prop_map(Op::Pass),
        2 => prop_oneof![Just(0), 1..5000_u64].prop_map(Op::Attend),
    ]
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_invariants_and_never_makes_devices_too_fast(
        ops in prop::collection::vec(op(), 0..200),
    ) {
        let mut house = House::new();
        house.attended = false;
        let start = house.now;
        for op in ops {
            match op {
                Op::Say(peer, action) => drop(house.say(peer, action)),
                Op::Lose => {
                    house.slots.link_lost(house.now);
                    house.settle();
                }
                Op::Pass(millis) => house.pass(Duration::from_millis(millis)),
                Op::Attend(millis) => house.attend(Duration::from_millis(millis)),
            }
            let earned = (house.now - start).as_secs() / CREATION_INTERVAL.as_secs();
            prop_assert!(house.created as u64 <= u64::from(CREATION_BURST) + earned);
            if let Some(deadline) = house.slots.deadline() {
                prop_assert!(deadline <= house.now + GRACE);
            }
        }
        house.say(99, PadAction::PeerLeft);
        house.slots.link_lost(house.now);
        house.pass(GRACE);
        prop_assert!(house.devices.is_empty());
    }
}
