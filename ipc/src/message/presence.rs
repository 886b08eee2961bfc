//! `presence`: compositor → gamepad, for how long pads count. No message goes back.
//!
//! The compositor alone knows whether a viewer is there ([`crate::lease`]), and rtc alone passes on what pads
//! do. So that an rtc that was taken over presses no button while nobody is there, gamepad takes a pad's state
//! from rtc only for as long as the compositor says. That is said again with each proof, and nothing else need
//! happen for it to end.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{codec::Message, lease::LEASE_LIFE, link::LinkName};

/// Compositor → gamepad: pads count for so long from now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct ToGamepad {
    millis: u16,
}

/// A time that is longer than a proof lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("pads would count for {0} ms, longer than a proof does")]
pub struct TooLong(u16);

impl ToGamepad {
    /// Nobody is there.
    pub const NOBODY: Self = Self { millis: 0 };

    /// A viewer is there for `left`, as far as is known; at most for as long as a proof lasts.
    #[must_use]
    pub fn somebody(left: Duration) -> Self {
        let millis = left.min(LEASE_LIFE).as_millis();
        Self { millis: u16::try_from(millis).unwrap_or(u16::MAX) }
    }

    /// For how long pads count.
    #[must_use]
    pub fn left(self) -> Duration {
        Duration::from_millis(self.millis.into())
    }
}

impl<'de> Deserialize<'de> for ToGamepad {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = u16::deserialize(deserializer)?;
        match Duration::from_millis(millis.into()) <= LEASE_LIFE {
            true => Ok(Self { millis }),
            false => Err(de::Error::custom(TooLong(millis))),
        }
    }
}

/// Gamepad → compositor. There are no such messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToCompositor {}

impl Message for ToGamepad {
    const LINK: LinkName = LinkName::Presence;
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Presence;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{MAX_MESSAGE_BYTES, decode, encode};

    #[test]
    fn time_that_is_longer_than_a_proof_lasts_is_not_said_and_not_believed() {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        let longest = ToGamepad::somebody(Duration::MAX);
        assert_eq!(longest.left(), LEASE_LIFE);
        assert_eq!(decode(encode(&longest, &mut buffer).expect("short"), 0), Ok(longest));
        let longer = ToGamepad { millis: longest.millis + 1 };
        assert!(decode::<ToGamepad>(encode(&longer, &mut buffer).expect("short"), 0).is_err());
    }
}
