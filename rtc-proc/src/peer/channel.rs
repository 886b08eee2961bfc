//! Checks a peer's data-channel messages: strict decoding, the order of unordered messages, a rate
//! limit, and the peer's rights.
//!
//! INVARIANT: without the right to control, a peer's input does not leave the peer ([`Channels::permits`]),
//! and no text leaves [`Channels`]. Messages that are needed to see the desktop pass, and so do proofs of
//! presence, which tell the rights.

use std::time::Instant;

use lumen_ipc::{
    lease::Proof,
    login::Rights,
    message::{input::Action, pads::PadAction},
    units::{OutputSize, PadIndex},
};

use super::{
    decode::{self, DecodeError, Intent, MAX_MESSAGE_BYTES, Motion, PadNews},
    limit::TokenBucket,
    transfer::{self, MAX_TRANSFER_MESSAGE_BYTES, PageSays},
};
use crate::clipboard::PageViolation;

/// Label of the reliable channel.
pub const INPUT_LABEL: &str = "input";
/// Label of the unreliable channel.
pub const MOTION_LABEL: &str = "motion";
/// Label of the channel for gamepads: no message is lost, but a late one does not hold up newer
/// ones.
pub const PADS_LABEL: &str = "pads";
/// Label of the channel for text of any length: the clipboard.
pub const TRANSFER_LABEL: &str = "transfer";
/// Pads a browser can have.
const PADS: usize = PadIndex::MAX.value() as usize + 1;

/// The channel of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChannelKind {
    /// The reliable, ordered one.
    Input,
    /// The unreliable, unordered one.
    Motion,
    /// The reliable, unordered one.
    Pads,
    /// The one for text.
    Transfer,
}

impl ChannelKind {
    /// The channel with this label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        match label {
            INPUT_LABEL => Some(Self::Input),
            MOTION_LABEL => Some(Self::Motion),
            PADS_LABEL => Some(Self::Pads),
            TRANSFER_LABEL => Some(Self::Transfer),
            _ => None,
        }
    }
}

/// A message from a viewer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said {
    /// Input from keyboard or pointer.
    Acted(Action),
    /// A request for a keyframe: the page sends it as a message, the browser by RTCP.
    KeyframeWanted,
    /// Input from a gamepad.
    Pad(PadAction),
    /// Whether the page is shown.
    PageShown(bool),
    /// The viewer proves that it is there.
    Proved(Proof),
    /// The size of the viewer's window.
    SizeWanted(OutputSize),
}

impl Said {
    const fn needs_control(&self) -> bool {
        match self {
            Self::Acted(_) | Self::Pad(_) | Self::SizeWanted(_) => true,
            Self::KeyframeWanted | Self::PageShown(_) | Self::Proved(_) => false,
        }
    }
}

/// Why a peer's messages end it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChannelViolation {
    /// Not a message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More messages than any person or mouse produces.
    #[error("more messages per second than the channel allows")]
    Flood,
    /// An illegal message about the clipboard.
    #[error(transparent)]
    Clipboard(#[from] PageViolation),
    /// Too long to be a message.
    #[error("a message of {0} bytes, more than the channel allows")]
    Oversize(usize),
    /// A text message.
    #[error("a text message where only binary ones are sent")]
    Text,
}

/// Twice the report rate of the fastest gaming mice.
const MESSAGES_PER_SECOND: u32 = 2000;
/// A suspended page sends everything it queued at once.
const MESSAGES_BURST: u32 = 2000;

/// Rate of a page's clipboard messages other than text, which credit bounds; a page sends them when
/// somebody copies or pastes.
const CLIPBOARD_PER_SECOND: u32 = 20;
/// A suspended page sends everything it queued at once.
const CLIPBOARD_BURST: u32 = 200;

/// The state of one peer's channels.
#[derive(Debug)]
pub struct Channels {
    rights: Rights,
    newest_motion: Option<u16>,
    /// The last sequence number of each pad.
    newest_news: [Option<u16>; PADS],
    allowance: TokenBucket,
    clipboard_allowance: TokenBucket,
    ignored: u64,
}

impl Channels {
    /// Channels of a peer with `rights`.
    #[must_use]
    pub fn new(now: Instant, rights: Rights) -> Self {
        let allowance = TokenBucket::new(now, MESSAGES_PER_SECOND, MESSAGES_BURST);
        Self {
            rights,
            newest_motion: None,
            newest_news: [None; PADS],
            allowance,
            clipboard_allowance: TokenBucket::new(now, CLIPBOARD_PER_SECOND, CLIPBOARD_BURST),
            ignored: 0,
        }
    }

    /// Changes the peer's rights.
    pub const fn set_rights(&mut self, rights: Rights) {
        self.rights = rights;
    }

    /// Checks one message: returns what it says, or `None` if something newer was said already.
    ///
    /// # Errors
    /// [`ChannelViolation`]: the peer must be closed.
    pub fn receive(
        &mut self,
        now: Instant,
        kind: ChannelKind,
        binary: bool,
        message: &[u8],
    ) -> Result<Option<Said>, ChannelViolation> {
        if !binary {
            return Err(ChannelViolation::Text);
        }
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(ChannelViolation::Oversize(message.len()));
        }
        if !self.allowance.take(now) {
            return Err(ChannelViolation::Flood);
        }
        let said = match kind {
            ChannelKind::Input => match decode::input(message)? {
                Intent::Acted(action) => Some(Said::Acted(action)),
                Intent::KeyframeWanted => Some(Said::KeyframeWanted),
                Intent::PageShown(shown) => Some(Said::PageShown(shown)),
                Intent::Proved(proof) => Some(Said::Proved(proof)),
                Intent::SizeWanted(size) => Some(Said::SizeWanted(size)),
            },
            ChannelKind::Motion => self.newest(decode::motion(message)?).map(Said::Acted),
            ChannelKind::Pads => self.news(decode::pads(message)?).map(Said::Pad),
            // Checked by `transfer` instead.
            ChannelKind::Transfer => None,
        };
        Ok(said)
    }

    /// Whether what a viewer said counts. It is asked when what was said before has been handled: a proof gives
    /// the rights that the keys behind it need, and the network may deliver all of them at once.
    pub fn permits(&mut self, said: &Said) -> bool {
        let permitted = self.rights.control || !said.needs_control();
        self.ignored += u64::from(!permitted);
        permitted
    }

    /// Checks one message about the clipboard: returns it to pass on, or `None` to ignore it.
    ///
    /// # Errors
    /// [`ChannelViolation`]: the peer must be closed.
    pub fn transfer(
        &mut self,
        now: Instant,
        binary: bool,
        message: &[u8],
    ) -> Result<Option<PageSays>, ChannelViolation> {
        if !binary {
            return Err(ChannelViolation::Text);
        }
        if message.len() > MAX_TRANSFER_MESSAGE_BYTES {
            return Err(ChannelViolation::Oversize(message.len()));
        }
        let said = transfer::decode(message)?;
        // A peer with the right to control has credit for what it sends; all else counts against
        // the rate.
        let counts = !(self.rights.control && matches!(said, PageSays::Sent { .. }));
        if counts && !self.clipboard_allowance.take(now) {
            return Err(ChannelViolation::Flood);
        }
        if self.rights.control {
            return Ok(Some(said));
        }
        self.ignored += 1;
        Ok(None)
    }

    /// Number of legal messages that were ignored because the peer has no right to control.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn newest(&mut self, motion: Motion) -> Option<Action> {
        match motion {
            Motion::By(delta) => Some(Action::PointerBy(delta)),
            Motion::StillHeld => Some(Action::StillHeld),
            Motion::To { sequence, at } => {
                advance(&mut self.newest_motion, sequence).then_some(Action::PointerTo(at))
            }
        }
    }

    fn news(&mut self, PadNews { pad, sequence, report }: PadNews) -> Option<PadAction> {
        let newest = self.newest_news.get_mut(usize::from(pad.value()))?;
        advance(newest, sequence).then_some(match report {
            Some(report) => PadAction::Reported(pad, report),
            None => PadAction::Unplugged(pad),
        })
    }
}

/// Whether `sequence` is newer than all before; it is then recorded as the newest.
fn advance(newest: &mut Option<u16>, sequence: u16) -> bool {
    let newer = newest.is_none_or(|newest| is_newer(sequence, newest));
    if newer {
        *newest = Some(sequence);
    }
    newer
}

/// Serial-number order (RFC 1982): newer means up to half the circle ahead.
const fn is_newer(sequence: u16, newest: u16) -> bool {
    let ahead = sequence.wrapping_sub(newest);
    ahead != 0 && ahead < 0x8000
}

#[cfg(test)]
mod tests {
    use super::*;
    use lumen_ipc::message::input::OutputPoint;
    use std::time::Duration;

    const CONTROL: Rights = Rights { control: true };

    #[test]
    fn transfer_without_control_is_ignored_and_counted_but_still_checked() {
        let now = Instant::now();
        let mut channels = Channels::new(now, Rights { control: false });
        let offered = [0x20, 0, 0, 0, 1, 0, 0, 0, 3];
        assert_eq!(channels.transfer(now, true, &offered), Ok(None));
        assert_eq!(channels.ignored(), 1);
        assert!(channels.transfer(now, true, &[0xff]).is_err());
    }

    #[test]
    fn transfer_text_oversize_and_flood_are_violations_and_text_sent_is_no_flood() {
        let now = Instant::now();
        let mut channels = Channels::new(now, CONTROL);
        let mut transfer = |binary, message: &[u8]| channels.transfer(now, binary, message);
        assert_eq!(transfer(false, &[0x22, 0, 0, 0, 1]), Err(ChannelViolation::Text));
        let long = [&[0x23, 0, 0, 0, 1][..], &vec![b'x'; 8193]].concat();
        assert_eq!(transfer(true, &long), Err(ChannelViolation::Oversize(8198)));
        let ended = [0x24, 0, 0, 0, 1];
        for _ in 0..CLIPBOARD_BURST {
            assert_eq!(transfer(true, &ended), Ok(Some(PageSays::Ended { transfer: 1 })));
            assert!(matches!(transfer(true, &long[..8197]), Ok(Some(PageSays::Sent { .. }))));
        }
        assert_eq!(transfer(true, &ended), Err(ChannelViolation::Flood));
    }

    fn motion_to(sequence: u16) -> Vec<u8> {
        [&[2][..], &sequence.to_be_bytes(), &[0, 1, 0, 2]].concat()
    }

    #[test]
    fn motion_older_than_the_newest_is_dropped_across_the_wrap() {
        let now = Instant::now();
        let mut channels = Channels::new(now, CONTROL);
        let mut receive =
            |sequence| channels.receive(now, ChannelKind::Motion, true, &motion_to(sequence));
        let moved = Ok(Some(Said::Acted(Action::PointerTo(OutputPoint { x: 1, y: 2 }))));
        assert_eq!(receive(0xfffe), moved);
        assert_eq!(receive(1), moved);
        assert_eq!(receive(0xffff), Ok(None));
        assert_eq!(receive(1), Ok(None));
        assert_eq!(receive(2), moved);
    }

    #[test]
    fn motion_sign_of_life_passes_with_control_only() {
        let now = Instant::now();
        let passes = |control| {
            let mut channels = Channels::new(now, Rights { control });
            let said = channels.receive(now, ChannelKind::Motion, true, &[12]);
            assert_eq!(said, Ok(Some(Said::Acted(Action::StillHeld))));
            channels.permits(&Said::Acted(Action::StillHeld))
        };
        assert!(passes(true));
        assert!(!passes(false));
    }

    #[test]
    fn pads_late_news_is_dropped_for_each_pad_by_itself() {
        let now = Instant::now();
        let mut channels = Channels::new(now, CONTROL);
        let mut unplug =
            |pad, sequence| channels.receive(now, ChannelKind::Pads, true, &[10, pad, 0, sequence]);
        let unplugged = |pad| {
            let pad = PadIndex::new(pad).expect("legal");
            Ok(Some(Said::Pad(PadAction::Unplugged(pad))))
        };
        assert_eq!(unplug(0, 5), unplugged(0));
        assert_eq!(unplug(0, 4), Ok(None));
        assert_eq!(unplug(1, 4), unplugged(1));
        assert!(unplug(4, 6).is_err());
    }

    #[test]
    fn input_without_control_is_ignored_and_counted_but_still_checked() {
        let now = Instant::now();
        let mut channels = Channels::new(now, Rights { control: false });
        let key = channels.receive(now, ChannelKind::Input, true, &[1, 0, 30, 1]);
        let key = key.expect("legal").expect("of interest");
        assert!(!channels.permits(&key));
        assert_eq!(channels.ignored(), 1);
        assert!(channels.receive(now, ChannelKind::Input, true, &[0xff]).is_err());
        channels.set_rights(CONTROL);
        assert!(channels.permits(&key));
    }

    #[test]
    fn keyframe_may_be_asked_for_without_control_and_on_the_input_channel_only() {
        let now = Instant::now();
        let mut channels = Channels::new(now, Rights { control: false });
        let mut ask = |kind, message: &[u8]| channels.receive(now, kind, true, message);
        assert_eq!(ask(ChannelKind::Input, &[0x0b]), Ok(Some(Said::KeyframeWanted)));
        assert!(ask(ChannelKind::Input, &[0x0b, 0]).is_err());
        assert!(ask(ChannelKind::Motion, &[0x0b]).is_err());
        assert!(ask(ChannelKind::Pads, &[0x0b]).is_err());
        assert!(channels.permits(&Said::KeyframeWanted));
    }

    #[test]
    fn page_may_say_that_it_is_hidden_without_control() {
        let now = Instant::now();
        let mut channels = Channels::new(now, Rights { control: false });
        for (state, shown) in [(0, false), (1, true)] {
            let said = channels.receive(now, ChannelKind::Input, true, &[0x0e, state]);
            assert_eq!(said, Ok(Some(Said::PageShown(shown))));
            assert!(channels.permits(&Said::PageShown(shown)));
        }
    }

    #[test]
    fn text_oversize_and_flood_are_violations() {
        let now = Instant::now();
        let mut channels = Channels::new(now, CONTROL);
        let mut receive =
            |binary, message: &[u8]| channels.receive(now, ChannelKind::Input, binary, message);
        assert_eq!(receive(false, &[7]), Err(ChannelViolation::Text));
        assert_eq!(receive(true, &[7; 1025]), Err(ChannelViolation::Oversize(1025)));
        for _ in 0..MESSAGES_BURST {
            assert_eq!(receive(true, &[7]), Ok(Some(Said::Acted(Action::ReleaseAll))));
        }
        assert_eq!(receive(true, &[7]), Err(ChannelViolation::Flood));
        let later = now + Duration::from_millis(10);
        assert!(channels.receive(later, ChannelKind::Input, true, &[7]).is_ok());
    }
}
