//! Decodes a browser's data-channel messages.
//!
//! A message is one tag byte and big-endian fields of fixed size; anything else is a
//! [`DecodeError`], and its peer is closed. The table (units are those of
//! [`lumen_ipc::message::input`]):
//!
//! | channel | tag | fields |
//! |---|---|---|
//! | input | 01 | key u16, key state u8 |
//! | motion | 02 | sequence u16, x u16, y u16 |
//! | both | 03 | dx i16, dy i16 |
//! | input | 04 | button u16, state u8, x u16, y u16 |
//! | input | 05 | right v120 i16, down v120 i16 |
//! | input | 06 | right sixteenths i16, down sixteenths i16 |
//! | input | 07 | none: everything is released |
//! | input | 08 | width u16, height u16, scale in 120ths u16 |
//! | input | 0b | none: a picture is missing, and a keyframe is requested |
//! | pads | 09 | pad u8, sequence u16, buttons u32, 4 sticks' axes i16, 2 triggers u8: the whole state of a pad |
//! | pads | 0a | pad u8, sequence u16: the pad is unplugged |
//! | motion | 0c | none: a sign of life, while something is held |
//! | input | 0d | lease u64, tag of 32 bytes: the viewer proves that it is there |
//! | input | 0e | 1 or 0: the page is shown, or hidden behind other tabs or windows |
//!
//! A state is 1 for down and 0 for up. The state of a key that goes down may include the viewer's
//! lock keys: then bit 2 is set, and bits 4 and 8 stand for Caps Lock and Num Lock.

use lumen_ipc::{
    lease::{KEY_BYTES, LeaseId, Proof},
    message::{
        input::{Action, Locks, OutputPoint, PointerDelta, PressState},
        pads::PadReport,
    },
    units::{ButtonCode, KeyCode, OutOfRange, OutputSize, PadIndex, Scale},
};

/// Largest message a browser may send, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1024;

const KEY: u8 = 0x01;
const POINTER_TO: u8 = 0x02;
const POINTER_BY: u8 = 0x03;
const BUTTON: u8 = 0x04;
const WHEEL: u8 = 0x05;
const SCROLL: u8 = 0x06;
const RELEASE_ALL: u8 = 0x07;
const SIZE_WANTED: u8 = 0x08;
const PAD: u8 = 0x09;
const PAD_UNPLUGGED: u8 = 0x0a;
const KEYFRAME_WANTED: u8 = 0x0b;
const STILL_HELD: u8 = 0x0c;
const PROVED: u8 = 0x0d;
const PAGE_SHOWN: u8 = 0x0e;
/// Bytes of a lease's number.
const LEASE_BYTES: usize = 8;

/// Bits of a key state.
const DOWN: u8 = 1;
const LOCKS_SAID: u8 = 2;
const CAPS_LOCK: u8 = 4;
const NUM_LOCK: u8 = 8;

/// Bytes that are not a message of their channel.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("an empty message")]
    Empty,
    /// A message with this tag has another length.
    #[error("a message {tag:#04x} of {length} bytes")]
    Length {
        /// Its tag.
        tag: u8,
        /// Its length in bytes.
        length: usize,
    },
    /// A key, button or pad that does not exist.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// A state that is neither of two.
    #[error("state {0}, which means nothing")]
    State(u8),
    /// A tag that the channel does not have.
    #[error("unknown message {0:#04x}")]
    Tag(u8),
}

/// A message of the reliable `input` channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Intent {
    /// The viewer acted on the desktop.
    Acted(Action),
    /// A picture is missing, and a keyframe is requested.
    KeyframeWanted,
    /// Whether the page is shown.
    PageShown(bool),
    /// The viewer proves that it is there. Only the compositor can tell whether the proof is right.
    Proved(Proof),
    /// The size of the viewer's window in device pixels, and its scale.
    SizeWanted(OutputSize),
}

/// A message of the unreliable `motion` channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Motion {
    /// The pointer moved by an amount; every such message counts, in whatever order.
    By(PointerDelta),
    /// Nothing moved, but the viewer still holds what it held.
    StillHeld,
    /// The pointer is at a place; only the newest counts.
    To {
        /// Grows by one per message and wraps.
        sequence: u16,
        /// Where.
        at: OutputPoint,
    },
}

/// A message of the unordered `pads` channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PadNews {
    /// Which pad.
    pub pad: PadIndex,
    /// Grows by one per message of this pad and wraps; only the newest counts.
    pub sequence: u16,
    /// Its state; `None` when it is unplugged.
    pub report: Option<PadReport>,
}

/// Decodes a message of the reliable `input` channel.
///
/// # Errors
/// [`DecodeError`] for anything but exactly one message of the table.
pub fn input(message: &[u8]) -> Result<Intent, DecodeError> {
    let (&tag, fields) = message.split_first().ok_or(DecodeError::Empty)?;
    let length = DecodeError::Length { tag, length: message.len() };
    match tag {
        PROVED => {
            let (lease, tag) =
                fields.split_first_chunk::<LEASE_BYTES>().ok_or_else(|| length.clone())?;
            let tag: [u8; KEY_BYTES] = exactly(tag, length)?;
            Ok(Intent::Proved(Proof { lease: LeaseId(u64::from_be_bytes(*lease)), tag }))
        }
        KEYFRAME_WANTED => exactly::<0>(fields, length).map(|_| Intent::KeyframeWanted),
        PAGE_SHOWN => match exactly(fields, length)? {
            [state @ (0 | 1)] => Ok(Intent::PageShown(state == 1)),
            [unknown] => Err(DecodeError::State(unknown)),
        },
        SIZE_WANTED => {
            let [w1, w0, h1, h0, s1, s0] = exactly(fields, length)?;
            let side = |bytes| u32::from(u16::from_be_bytes(bytes));
            // The page cannot choose its window's size and scale: illegal ones are fitted, not
            // refused.
            let scale = Scale::clamped(u16::from_be_bytes([s1, s0]).into());
            let size = OutputSize::nearest(side([w1, w0]), side([h1, h0]), scale);
            Ok(Intent::SizeWanted(size))
        }
        _ => action(tag, fields, length).map(Intent::Acted),
    }
}

fn action(tag: u8, fields: &[u8], length: DecodeError) -> Result<Action, DecodeError> {
    match tag {
        KEY => {
            let [high, low, state] = exactly(fields, length)?;
            let key = KeyCode::new(u64::from(u16::from_be_bytes([high, low])))?;
            let (state, locks) = key_state(state)?;
            Ok(Action::Key { key, state, locks })
        }
        POINTER_BY => delta(fields, length).map(Action::PointerBy),
        BUTTON => {
            let [high, low, state, x1, x0, y1, y0] = exactly(fields, length)?;
            let button = ButtonCode::new(u64::from(u16::from_be_bytes([high, low])))?;
            let at = point([x1, x0], [y1, y0]);
            Ok(Action::Button { button, state: press_state(state)?, at })
        }
        WHEEL => {
            let (right_v120, down_v120) = pair(fields, length)?;
            Ok(Action::Wheel { right_v120, down_v120 })
        }
        SCROLL => {
            let (right_sixteenths, down_sixteenths) = pair(fields, length)?;
            Ok(Action::Scroll { right_sixteenths, down_sixteenths })
        }
        RELEASE_ALL => exactly::<0>(fields, length).map(|_| Action::ReleaseAll),
        unknown => Err(DecodeError::Tag(unknown)),
    }
}

/// Decodes a message of the unreliable `motion` channel.
///
/// # Errors
/// [`DecodeError`] for anything but exactly one message of the table.
pub fn motion(message: &[u8]) -> Result<Motion, DecodeError> {
    let (&tag, fields) = message.split_first().ok_or(DecodeError::Empty)?;
    let length = DecodeError::Length { tag, length: message.len() };
    match tag {
        POINTER_TO => {
            let [s1, s0, x1, x0, y1, y0] = exactly(fields, length)?;
            let sequence = u16::from_be_bytes([s1, s0]);
            Ok(Motion::To { sequence, at: point([x1, x0], [y1, y0]) })
        }
        POINTER_BY => delta(fields, length).map(Motion::By),
        STILL_HELD => exactly::<0>(fields, length).map(|_| Motion::StillHeld),
        unknown => Err(DecodeError::Tag(unknown)),
    }
}

/// Decodes a message of the unordered `pads` channel.
///
/// # Errors
/// [`DecodeError`] for anything but exactly one message of the table.
pub fn pads(message: &[u8]) -> Result<PadNews, DecodeError> {
    let (&tag, fields) = message.split_first().ok_or(DecodeError::Empty)?;
    let length = DecodeError::Length { tag, length: message.len() };
    let (pad, sequence, report) = match tag {
        PAD => {
            let [pad, s1, s0, b3, b2, b1, b0, state @ ..] = exactly::<17>(fields, length)?;
            let [x1, x0, y1, y0, rx1, rx0, ry1, ry0, left, right] = state;
            let sticks = [[x1, x0], [y1, y0], [rx1, rx0], [ry1, ry0]].map(i16::from_be_bytes);
            let buttons = u32::from_be_bytes([b3, b2, b1, b0]);
            (pad, [s1, s0], Some(PadReport { buttons, sticks, triggers: [left, right] }))
        }
        PAD_UNPLUGGED => {
            let [pad, s1, s0] = exactly(fields, length)?;
            (pad, [s1, s0], None)
        }
        unknown => return Err(DecodeError::Tag(unknown)),
    };
    let pad = PadIndex::new(pad.into())?;
    Ok(PadNews { pad, sequence: u16::from_be_bytes(sequence), report })
}

fn exactly<const N: usize>(fields: &[u8], length: DecodeError) -> Result<[u8; N], DecodeError> {
    fields.try_into().map_err(|_| length)
}

fn pair(fields: &[u8], length: DecodeError) -> Result<(i16, i16), DecodeError> {
    let [a1, a0, b1, b0] = exactly(fields, length)?;
    Ok((i16::from_be_bytes([a1, a0]), i16::from_be_bytes([b1, b0])))
}

fn delta(fields: &[u8], length: DecodeError) -> Result<PointerDelta, DecodeError> {
    pair(fields, length).map(|(dx, dy)| PointerDelta { dx, dy })
}

fn point(x: [u8; 2], y: [u8; 2]) -> OutputPoint {
    OutputPoint { x: u16::from_be_bytes(x), y: u16::from_be_bytes(y) }
}

fn key_state(state: u8) -> Result<(PressState, Option<Locks>), DecodeError> {
    let locks = Locks { caps: state & CAPS_LOCK != 0, num: state & NUM_LOCK != 0 };
    match state & !(CAPS_LOCK | NUM_LOCK) {
        said if said == DOWN | LOCKS_SAID => Ok((PressState::Pressed, Some(locks))),
        _ => press_state(state).map(|state| (state, None)),
    }
}

fn press_state(state: u8) -> Result<PressState, DecodeError> {
    match state {
        0 => Ok(PressState::Released),
        1 => Ok(PressState::Pressed),
        unknown => Err(DecodeError::State(unknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn input_key_down_is_decoded() {
        // KEY_A = 30 of linux/input-event-codes.h.
        let key = KeyCode::new(30).expect("a key");
        let down =
            |locks| Ok(Intent::Acted(Action::Key { key, state: PressState::Pressed, locks }));
        assert_eq!(input(&[1, 0, 30, 1]), down(None));
        assert_eq!(input(&[1, 0, 30, 3]), down(Some(Locks { caps: false, num: false })));
        assert_eq!(input(&[1, 0, 30, 7]), down(Some(Locks { caps: true, num: false })));
        assert_eq!(input(&[1, 0, 30, 11]), down(Some(Locks { caps: false, num: true })));
    }

    #[test]
    fn input_every_key_state_that_means_nothing_is_refused() {
        let legal = [0, 1, 3, 7, 11, 15];
        for state in (0..=u8::MAX).filter(|state| !legal.contains(state)) {
            assert_eq!(input(&[1, 0, 30, state]), Err(DecodeError::State(state)));
        }
    }

    #[test]
    fn input_button_carries_its_place() {
        // BTN_LEFT = 0x110.
        let button = ButtonCode::new(0x110).expect("a button");
        let at = OutputPoint { x: 0x8000, y: 0xffff };
        assert_eq!(
            input(&[4, 1, 0x10, 0, 0x80, 0, 0xff, 0xff]),
            Ok(Intent::Acted(Action::Button { button, state: PressState::Released, at }))
        );
    }

    #[test]
    fn input_odd_window_is_rounded_to_a_legal_size() {
        let size = OutputSize::nearest(1280, 720, Scale::nearest(2.0));
        assert_eq!(input(&[8, 0x05, 0x01, 0x02, 0xd1, 0, 240]), Ok(Intent::SizeWanted(size)));
        let smallest = input(&[8, 0, 0, 0, 0, 0, 0]);
        assert_eq!(smallest, Ok(Intent::SizeWanted(OutputSize::nearest(16, 16, Scale::ONE))));
    }

    #[test]
    fn input_proof_names_its_lease_and_has_its_whole_tag() {
        let (lease, tag) = (LeaseId(0x0102_0304_0506_0708), [0xa5; KEY_BYTES]);
        let message = [&[0x0d, 1, 2, 3, 4, 5, 6, 7, 8][..], &tag].concat();
        assert_eq!(input(&message), Ok(Intent::Proved(Proof { lease, tag })));
        for length in (1..message.len()).chain([message.len() + 1]) {
            let mut other = message.clone();
            other.resize(length, 0);
            assert_eq!(input(&other), Err(DecodeError::Length { tag: 0x0d, length }));
        }
        assert_eq!(motion(&message), Err(DecodeError::Tag(0x0d)));
    }

    #[test]
    fn input_page_is_shown_or_hidden_and_nothing_else() {
        assert_eq!(input(&[0x0e, 1]), Ok(Intent::PageShown(true)));
        assert_eq!(input(&[0x0e, 0]), Ok(Intent::PageShown(false)));
        assert_eq!(input(&[0x0e, 2]), Err(DecodeError::State(2)));
        for message in [&[0x0e][..], &[0x0e, 1, 1]] {
            let length = message.len();
            assert_eq!(input(message), Err(DecodeError::Length { tag: 0x0e, length }));
        }
        assert_eq!(motion(&[0x0e, 1]), Err(DecodeError::Tag(0x0e)));
    }

    #[test]
    fn input_bad_bytes_are_refused_with_the_reason() {
        assert_eq!(input(&[]), Err(DecodeError::Empty));
        assert_eq!(input(&[1, 0, 30]), Err(DecodeError::Length { tag: 1, length: 3 }));
        assert_eq!(input(&[7, 0]), Err(DecodeError::Length { tag: 7, length: 2 }));
        assert_eq!(input(&[1, 0, 30, 2]), Err(DecodeError::State(2)));
        assert!(matches!(input(&[1, 0, 0, 1]), Err(DecodeError::Range(_))));
        assert!(matches!(input(&[4, 0, 1, 1, 0, 0, 0, 0]), Err(DecodeError::Range(_))));
        assert_eq!(input(&[2, 0, 0, 0, 0, 0, 0]), Err(DecodeError::Tag(2)));
        assert_eq!(motion(&[1, 0, 30, 1]), Err(DecodeError::Tag(1)));
        assert_eq!(motion(&[12, 0]), Err(DecodeError::Length { tag: 12, length: 2 }));
        assert_eq!(input(&[12]), Err(DecodeError::Tag(12)));
    }

    #[test]
    fn pads_state_and_end_are_decoded() {
        let pad = PadIndex::new(3).expect("legal");
        let state = [9, 3, 1, 2, 0, 1, 0, 0x81, 0x80, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, 255, 7];
        let sticks = [i16::MIN, i16::MAX, -1, 1];
        let report = PadReport { buttons: 0x1_0081, sticks, triggers: [255, 7] };
        assert_eq!(pads(&state), Ok(PadNews { pad, sequence: 0x102, report: Some(report) }));
        assert_eq!(pads(&[10, 3, 0, 9]), Ok(PadNews { pad, sequence: 9, report: None }));
    }

    #[test]
    fn pads_bad_bytes_are_refused_with_the_reason() {
        assert_eq!(pads(&[]), Err(DecodeError::Empty));
        assert!(matches!(pads(&[10, 255, 0, 0]), Err(DecodeError::Range(_))));
        assert_eq!(pads(&[10, 0, 0]), Err(DecodeError::Length { tag: 10, length: 3 }));
        assert_eq!(pads(&[9; 19]), Err(DecodeError::Length { tag: 9, length: 19 }));
        assert_eq!(pads(&[7]), Err(DecodeError::Tag(7)));
        assert_eq!(input(&[10, 0, 0, 0]), Err(DecodeError::Tag(10)));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = input(&bytes);
            let _ = motion(&bytes);
            let _ = pads(&bytes);
        }
    }
}
