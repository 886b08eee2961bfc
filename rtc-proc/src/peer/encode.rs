//! Encodes the data-channel messages to a browser.
//!
//! All of them are sent on the reliable `input` channel. The table:
//!
//! | tag | fields |
//! |---|---|
//! | 81 | cursor hidden |
//! | 82 | length u8, name: a CSS cursor |
//! | 83 | width u8, height u8, hot spot x u8, y u8, RGBA rows |
//! | 84 | output width u16, height u16 |
//! | 85 | length u16, window title in UTF-8 |
//! | 86 | [`DesktopState`] u8 |
//! | 87 | whether there are gamepads u8 |
//! | 88 | pad u8, strong motor u16, weak motor u16, milliseconds u16 |
//! | 89 | RTP time u32 of the newest sent picture |
//! | 8a | 16 bytes: what the page's next proof of presence answers |
//! | 8b | whose microphone is heard: [`Heard`] u8 |

use lumen_ipc::{
    lease::Challenge,
    message::desktop::{Cursor, Statement},
    units::{FrameSize, PadIndex},
};

const CURSOR_HIDDEN: u8 = 0x81;
const CURSOR_NAMED: u8 = 0x82;
const CURSOR_IMAGE: u8 = 0x83;
const OUTPUT_SIZE: u8 = 0x84;
const TITLE: u8 = 0x85;
const DESKTOP_STATE: u8 = 0x86;
const PADS_AVAILABLE: u8 = 0x87;
const PAD_RUMBLED: u8 = 0x88;
const PICTURE_SENT: u8 = 0x89;
const CHALLENGED: u8 = 0x8a;
const MICROPHONE: u8 = 0x8b;

/// Whether the desktop's workers serve.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum DesktopState {
    /// They do.
    #[default]
    Running = 0,
    /// The compositor is being restarted.
    CompositorRestarting = 1,
    /// Media is being restarted.
    MediaRestarting = 2,
}

/// Whose microphone apps hear, as one viewer is told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Heard {
    /// Nobody's.
    Nobody = 0,
    /// That of the viewer who is told.
    You = 1,
    /// Another viewer's.
    Another = 2,
    /// The viewer who is told may not speak. So may no viewer who was not told anything.
    #[default]
    Forbidden = 3,
}

/// Encodes a statement of the compositor.
#[must_use]
pub fn desktop(statement: &Statement) -> Vec<u8> {
    match statement {
        Statement::CursorChanged(looks) => cursor(looks),
        Statement::OutputResized(size) => output_size(size.pixels),
        Statement::TitleChanged(title) => {
            let text = title.as_str().as_bytes();
            // `Line<256>` fits a u16.
            let length = u16::try_from(text.len()).unwrap_or_default();
            [&[TITLE][..], &length.to_be_bytes(), text].concat()
        }
    }
}

/// Encodes whether the desktop's workers serve.
#[must_use]
pub fn desktop_state(state: DesktopState) -> Vec<u8> {
    vec![DESKTOP_STATE, state as u8]
}

/// Encodes whether gamepads are supported.
#[must_use]
pub fn pads_available(available: bool) -> Vec<u8> {
    vec![PADS_AVAILABLE, available.into()]
}

/// Encodes an order to a pad's motors, strong and weak, and its longest duration in milliseconds.
#[must_use]
pub fn pad_rumbled(pad: PadIndex, motors: [u16; 2], millis: u16) -> Vec<u8> {
    let [strong, weak] = motors.map(u16::to_be_bytes);
    [&[PAD_RUMBLED, pad.value()][..], &strong, &weak, &millis.to_be_bytes()].concat()
}

/// Encodes the RTP time of the newest sent picture, which wraps as in its packets.
#[must_use]
pub fn picture_sent(rtp_ticks: u64) -> Vec<u8> {
    [&[PICTURE_SENT][..], &(rtp_ticks as u32).to_be_bytes()].concat()
}

/// Encodes what the page's next proof of presence answers.
#[must_use]
pub fn challenged(challenge: Challenge) -> Vec<u8> {
    [&[CHALLENGED][..], &challenge.0].concat()
}

/// Encodes whose microphone apps hear.
#[must_use]
pub fn microphone(heard: Heard) -> Vec<u8> {
    vec![MICROPHONE, heard as u8]
}

fn cursor(looks: &Cursor) -> Vec<u8> {
    match looks {
        Cursor::Hidden => vec![CURSOR_HIDDEN],
        Cursor::Named(name) => {
            let text = name.as_str().as_bytes();
            // `Text<32>` fits a u8.
            let length = u8::try_from(text.len()).unwrap_or_default();
            [&[CURSOR_NAMED, length][..], text].concat()
        }
        Cursor::Image(image) => {
            let ((width, height), (x, y)) = (image.size(), image.hotspot());
            [&[CURSOR_IMAGE, width, height, x, y][..], image.rgba()].concat()
        }
    }
}

fn output_size(size: FrameSize) -> Vec<u8> {
    let mut message = vec![OUTPUT_SIZE];
    message.extend(size.width().to_be_bytes());
    message.extend(size.height().to_be_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use lumen_ipc::{
        line::Line,
        message::desktop::CursorImage,
        text::Text,
        units::{OutputSize, Scale},
    };

    #[test]
    fn desktop_cursors_have_their_three_forms() {
        let form = |looks| desktop(&Statement::CursorChanged(looks));
        assert_eq!(form(Cursor::Hidden), [0x81]);
        assert_eq!(form(Cursor::Named(Text::truncated("text"))), *b"\x82\x04text");
        let image = CursorImage::new((1, 1), (0, 0), vec![1, 2, 3, 4]).expect("legal");
        assert_eq!(form(Cursor::Image(image)), [0x83, 1, 1, 0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn desktop_title_counts_bytes_not_characters() {
        assert_eq!(desktop(&Statement::TitleChanged(Line::of("ä"))), *b"\x85\x00\x02\xc3\xa4");
    }

    #[test]
    fn pads_have_their_two_forms() {
        assert_eq!(pads_available(true), [0x87, 1]);
        let pad = PadIndex::new(2).expect("legal");
        let rumbled = pad_rumbled(pad, [0xffff, 0x0102], 500);
        assert_eq!(rumbled, [0x88, 2, 0xff, 0xff, 1, 2, 1, 0xf4]);
    }

    #[test]
    fn picture_sent_wraps_as_rtp_times_do() {
        assert_eq!(picture_sent(0x1_0203_0405), [0x89, 2, 3, 4, 5]);
    }

    #[test]
    fn desktop_size_and_state_are_big_endian() {
        let size = OutputSize::nearest(1280, 720, Scale::nearest(2.0));
        assert_eq!(desktop(&Statement::OutputResized(size)), [0x84, 5, 0, 2, 0xd0]);
        assert_eq!(desktop_state(DesktopState::MediaRestarting), [0x86, 2]);
    }
}
