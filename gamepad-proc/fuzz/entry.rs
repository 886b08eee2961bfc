//! Entry points for fuzzing: what rtc says of pads, and what games ask of devices. Shared by the fuzz
//! targets and the test of their seeds.

use std::time::{Duration, Instant};

use lumen_gamepad::{
    events::events,
    identity::Identity,
    rumble::{Effect, EffectId, LONGEST, Request, Rumble},
    slots::{Action, MAX_PADS, Slots},
};
use lumen_ipc::{codec, message::pads::ToGamepad, service::PadIdentity, units::PadGrace};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[("effects", effects), ("pads", pads)];

/// Devices that can exist at once.
const DEVICES: usize = 16;

/// Messages of rtc, each after its length and how long after the one before it comes.
pub(crate) fn pads(mut bytes: &[u8]) {
    let mut now = Instant::now();
    let mut slots = Slots::new(now, DEVICES, PadGrace::clamped(2));
    let identity = Identity::of(PadIdentity::Xbox360);
    let mut alive = [false; DEVICES];
    let mut shown = None;
    while let Some((&[length, later], rest)) = bytes.split_first_chunk::<2>() {
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        now += Duration::from_millis(u64::from(later) * 20);
        if later % 4 == 3 {
            slots.attend(now, Duration::from_secs(u64::from(later) / 4 % 6));
        }
        match codec::decode::<ToGamepad>(message, 0) {
            Ok(message) => drop(slots.handle(now, message)),
            Err(_) if length == 0 => slots.link_lost(now),
            Err(_) => slots.timeout(now),
        }
        while let Some(action) = slots.poll_action() {
            match action {
                Action::Create(slot) => {
                    let was = std::mem::replace(&mut alive[slot.index()], true);
                    assert!(!was, "a device is made twice");
                }
                Action::Destroy(slot) => {
                    let was = std::mem::replace(&mut alive[slot.index()], false);
                    assert!(was, "a device is removed that does not exist");
                }
                Action::Show(slot, report) => {
                    assert!(alive[slot.index()], "a device that does not exist is shown something");
                    for event in events(identity, shown.as_ref(), &report) {
                        let axis = identity.axes().find(|(axis, _)| axis.0 == event.code());
                        let range =
                            axis.filter(|_| event.event_type().0 == 3).map(|(_, range)| range);
                        assert!(range.is_none_or(|range| {
                            (range.minimum..=range.maximum).contains(&event.value())
                        }));
                    }
                    shown = Some(report);
                }
            }
        }
        assert!(slots.held() <= DEVICES && slots.held() + slots.waiting() <= MAX_PADS);
    }
}

/// Requests of games: eleven bytes each, the last two say how much later than the one before.
pub(crate) fn effects(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut rumble = Rumble::new(now);
    for chunk in bytes.chunks_exact(11) {
        let short = |at: usize| u16::from_be_bytes([chunk[at], chunk[at + 1]]);
        now += Duration::from_millis(short(9).into());
        let id = EffectId::new(chunk[1]);
        let request = match (chunk[0] % 4, id) {
            (0, Some(id)) => Request::Upload(
                id,
                Effect {
                    strong: short(2),
                    weak: short(4),
                    length: Duration::from_millis(short(6).into()),
                    delay: Duration::from_millis(chunk[8].into()),
                },
            ),
            (1, Some(id)) => Request::Erase(id),
            (2, Some(id)) => {
                Request::Play(id, u32::from_be_bytes([chunk[2], chunk[3], chunk[4], chunk[5]]))
            }
            _ => Request::Gain(short(2)),
        };
        rumble.handle(now, request);
        // The worker asks again at its deadline; it must not be asked for ever at one instant.
        let orders = std::iter::from_fn(|| rumble.poll_order(now)).take(3);
        let orders: Vec<_> = orders.collect();
        assert!(orders.len() < 3, "{orders:?}");
        assert!(orders.iter().all(|order| u128::from(order.millis) <= LONGEST.as_millis()));
        if let Some(deadline) = rumble.deadline(now) {
            let _ = rumble.poll_order(deadline.max(now));
        }
    }
}
