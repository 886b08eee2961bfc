//! Programs' requests to a device: uploads and erases, which wait for our answer, and plays and
//! gains, which do not.

use std::{io, os::fd::BorrowedFd, time::Duration};

use evdev::{EventType, FFEffectCode, InputEvent, UInputCode};
use rustix::io::Errno;
use tracing::debug;

use super::ffi::{self, EVENT_BYTES};
use crate::rumble::{Effect, EffectId, Request};

/// The most requests that can wait: `UINPUT_NUM_REQUESTS` of `drivers/input/misc/uinput.c`.
const MOST_WAITING: u32 = 16;

/// The most events read per wake-up: all that the kernel queues.
const BATCH: usize = 16;

/// Reads the waiting requests.
pub(super) fn read(device: BorrowedFd<'_>) -> io::Result<Vec<Request>> {
    let mut bytes = [0; BATCH * EVENT_BYTES];
    let length = match rustix::io::read(device, &mut bytes) {
        Ok(length) => length,
        Err(Errno::AGAIN | Errno::INTR) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let events = bytes.get(..length).unwrap_or_default().chunks_exact(EVENT_BYTES);
    Ok(events.filter_map(|bytes| request(device, ffi::event_from_bytes(bytes)?)).collect())
}

/// Answers the requests that a predecessor read but did not answer: a program may wait half a
/// minute for the answer. The effects of these uploads are lost; games upload again.
pub(super) fn settle_all(device: BorrowedFd<'_>) {
    for number in 0..MOST_WAITING {
        // Most numbers have no request, for which the kernel returns an error.
        let _ = ffi::answer_upload(device, number, |_| true);
        let _ = ffi::answer_erase(device, number);
    }
}

fn request(device: BorrowedFd<'_>, event: InputEvent) -> Option<Request> {
    let number = event.value().cast_unsigned();
    match event.event_type() {
        EventType::UINPUT => answer(device, UInputCode(event.code()), number),
        EventType::FORCEFEEDBACK => asked(event.code(), event.value().max(0)),
        _ => None,
    }
}

/// Answers the program that waits for the request.
fn answer(device: BorrowedFd<'_>, code: UInputCode, number: u32) -> Option<Request> {
    match code {
        UInputCode::UI_FF_UPLOAD => uploaded(device, number),
        UInputCode::UI_FF_ERASE => {
            let erased = ffi::answer_erase(device, number);
            let id = erased.inspect_err(|error| debug!(%error, "an erase without request")).ok()?;
            EffectId::new(id).map(Request::Erase)
        }
        _ => None,
    }
}

/// A request that needs no answer: setting the gain, or playing the effect that `code` names.
fn asked(code: u16, value: i32) -> Option<Request> {
    if FFEffectCode(code) == FFEffectCode::FF_GAIN {
        return Some(Request::Gain(u16::try_from(value).unwrap_or(u16::MAX)));
    }
    EffectId::new(code).map(|id| Request::Play(id, value.cast_unsigned()))
}

fn uploaded(device: BorrowedFd<'_>, number: u32) -> Option<Request> {
    let mut upload = None;
    let answered = ffi::answer_upload(device, number, |effect| {
        upload = EffectId::new(effect.id).zip(effect_of(effect));
        upload.is_some()
    });
    // The program withdrew it, or a successor found it waiting and answered it.
    answered.inspect_err(|error| debug!(%error, "an upload without request")).ok()?;
    upload.map(|(id, effect)| Request::Upload(id, effect))
}

/// As the kernel's emulation of effects by motors does; `None` for kinds that it does not support
/// either.
fn effect_of(effect: &libc::ff_effect) -> Option<Effect> {
    let union: Vec<u8> = effect.u.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let half = |at: usize| Some(u16::from_ne_bytes([*union.get(at)?, *union.get(at + 1)?]));
    let (strong, weak) = match FFEffectCode(effect.type_) {
        // `struct ff_rumble_effect`: strong, weak.
        FFEffectCode::FF_RUMBLE => (half(0)?, half(2)?),
        // `struct ff_periodic_effect`: waveform, period, signed magnitude.
        FFEffectCode::FF_PERIODIC => {
            let magnitude = half(4)?.cast_signed().unsigned_abs();
            let both = magnitude.saturating_mul(2);
            (both, both)
        }
        _ => return None,
    };
    let millis = |millis: u16| Duration::from_millis(millis.into());
    let (length, delay) = (millis(effect.replay.length), millis(effect.replay.delay));
    Some(Effect { strong, weak, length, delay })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(FFEffectCode(kind): FFEffectCode, halves: [u16; 4]) -> libc::ff_effect {
        let mut bytes = [0; 8];
        for (place, half) in bytes.chunks_exact_mut(2).zip(halves) {
            place.copy_from_slice(&half.to_ne_bytes());
        }
        let mut u = [0; 4];
        u[0] = u64::from_ne_bytes(bytes);
        libc::ff_effect {
            type_: kind,
            id: 3,
            direction: 0,
            trigger: libc::ff_trigger { button: 0, interval: 0 },
            replay: libc::ff_replay { length: 500, delay: 20 },
            u,
        }
    }

    #[test]
    fn rumble_has_its_two_motors_and_times() {
        let found = effect_of(&effect(FFEffectCode::FF_RUMBLE, [0x1234, 0x5678, 9, 9]));
        let (length, delay) = (Duration::from_millis(500), Duration::from_millis(20));
        assert_eq!(found, Some(Effect { strong: 0x1234, weak: 0x5678, length, delay }));
    }

    #[test]
    fn periodic_shakes_both_by_the_size_of_its_magnitude() {
        let motors = |magnitude: i16| {
            let found = effect_of(&effect(
                FFEffectCode::FF_PERIODIC,
                [FFEffectCode::FF_SINE.0, 100, magnitude.cast_unsigned(), 0],
            ));
            found.map(|effect| (effect.strong, effect.weak))
        };
        assert_eq!(motors(-0x4000), Some((0x8000, 0x8000)));
        assert_eq!(motors(i16::MIN), Some((0xffff, 0xffff)));
    }

    #[test]
    fn effects_that_motors_cannot_follow_are_refused() {
        for kind in [FFEffectCode::FF_CONSTANT, FFEffectCode::FF_SPRING, FFEffectCode(0xffff)] {
            assert_eq!(effect_of(&effect(kind, [1; 4])), None);
        }
    }
}
