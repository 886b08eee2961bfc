//! What one peer may say on its data channels: strict decoding, the order of unreliable motion, a
//! rate limit, and rights.
//!
//! INVARIANT: no [`Action`] leaves [`Channels`] for a peer without the right to control.

use std::time::Instant;

use lumen_ipc::message::{input::Action, signalling::Rights};

use super::{
    decode::{self, DecodeError, MAX_MESSAGE_BYTES, Motion},
    limit::TokenBucket,
};

/// Label of the reliable channel.
pub const INPUT_LABEL: &str = "input";
/// Label of the unreliable channel.
pub const MOTION_LABEL: &str = "motion";

/// Which channel a message came on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChannelKind {
    /// The reliable, ordered one.
    Input,
    /// The unreliable, unordered one.
    Motion,
}

impl ChannelKind {
    /// The channel with this label.
    #[must_use]
    pub fn from_label(label: &str) -> Option<Self> {
        match label {
            INPUT_LABEL => Some(Self::Input),
            MOTION_LABEL => Some(Self::Motion),
            _ => None,
        }
    }
}

/// Why a peer's messages end it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChannelViolation {
    /// Not a message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More messages than any human or mouse produces.
    #[error("more than {MESSAGES_PER_SECOND} messages per second")]
    Flood,
    /// Too long to be a message.
    #[error("a message of {0} bytes where at most {MAX_MESSAGE_BYTES} are allowed")]
    Oversize(usize),
    /// A text message.
    #[error("a text message where only binary ones are sent")]
    Text,
}

/// Twice the fastest gaming mouse's reports.
const MESSAGES_PER_SECOND: u32 = 2000;
/// A page that was suspended sends what it queued at once.
const MESSAGES_BURST: u32 = 2000;

/// The state of one peer's channels.
#[derive(Debug)]
pub struct Channels {
    rights: Rights,
    newest_motion: Option<u16>,
    allowance: TokenBucket,
    ignored: u64,
}

impl Channels {
    /// Channels of a peer that may do what `rights` say.
    #[must_use]
    pub fn new(now: Instant, rights: Rights) -> Self {
        let allowance = TokenBucket::new(now, MESSAGES_PER_SECOND, MESSAGES_BURST);
        Self { rights, newest_motion: None, allowance, ignored: 0 }
    }

    /// Judges one message: an action to pass on, `None` to ignore it.
    ///
    /// # Errors
    /// [`ChannelViolation`]: the peer must be closed.
    pub fn receive(
        &mut self,
        now: Instant,
        kind: ChannelKind,
        binary: bool,
        message: &[u8],
    ) -> Result<Option<Action>, ChannelViolation> {
        if !binary {
            return Err(ChannelViolation::Text);
        }
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(ChannelViolation::Oversize(message.len()));
        }
        if !self.allowance.take(now) {
            return Err(ChannelViolation::Flood);
        }
        let action = match kind {
            ChannelKind::Input => Some(decode::input(message)?),
            ChannelKind::Motion => self.newest(decode::motion(message)?),
        };
        if self.rights.control {
            return Ok(action);
        }
        self.ignored += u64::from(action.is_some());
        Ok(None)
    }

    /// Messages that were legal but came from a peer without the right to control.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    fn newest(&mut self, motion: Motion) -> Option<Action> {
        match motion {
            Motion::By(delta) => Some(Action::PointerBy(delta)),
            Motion::To { sequence, at } => {
                if self.newest_motion.is_some_and(|newest| !is_newer(sequence, newest)) {
                    return None;
                }
                self.newest_motion = Some(sequence);
                Some(Action::PointerTo(at))
            }
        }
    }
}

/// Serial-number order (RFC 1982): newer is up to half the circle ahead.
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

    fn motion_to(sequence: u16) -> Vec<u8> {
        [&[2][..], &sequence.to_be_bytes(), &[0, 1, 0, 2]].concat()
    }

    #[test]
    fn motion_older_than_the_newest_is_dropped_across_the_wrap() {
        let now = Instant::now();
        let mut channels = Channels::new(now, CONTROL);
        let mut receive =
            |sequence| channels.receive(now, ChannelKind::Motion, true, &motion_to(sequence));
        let moved = Ok(Some(Action::PointerTo(OutputPoint { x: 1, y: 2 })));
        assert_eq!(receive(0xfffe), moved);
        assert_eq!(receive(1), moved);
        assert_eq!(receive(0xffff), Ok(None));
        assert_eq!(receive(1), Ok(None));
        assert_eq!(receive(2), moved);
    }

    #[test]
    fn input_without_control_is_ignored_and_counted_but_still_checked() {
        let now = Instant::now();
        let mut channels = Channels::new(now, Rights { control: false });
        assert_eq!(channels.receive(now, ChannelKind::Input, true, &[1, 0, 30, 1]), Ok(None));
        assert_eq!(channels.ignored(), 1);
        assert!(channels.receive(now, ChannelKind::Input, true, &[0xff]).is_err());
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
            assert_eq!(receive(true, &[7]), Ok(Some(Action::ReleaseAll)));
        }
        assert_eq!(receive(true, &[7]), Err(ChannelViolation::Flood));
        let later = now + Duration::from_millis(10);
        assert!(channels.receive(later, ChannelKind::Input, true, &[7]).is_ok());
    }
}
