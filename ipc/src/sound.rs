//! What sound is made of: its format, its bit rate, and the time that a sample belongs to.
//!
//! There is one clock for the samples of a stream: it counts at [`SAMPLE_RATE`] from the same instant
//! as the monotonic clock, so that a sound worker's successor goes on counting about where it ended.

use serde::{Deserialize, Serialize};

use crate::units::{MonotonicMicros, OutOfRange};

/// Samples per second and channel. Opus always counts at this rate (RFC 7587, section 4.1).
pub const SAMPLE_RATE: u32 = 48_000;

/// How a stream of sound is encoded.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum SoundFormat {
    /// Opus, left and right.
    OpusStereo,
}

impl SoundFormat {
    /// The number of channels.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::OpusStereo => 2,
        }
    }
}

/// A bit rate of sound in kbit/s.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct SoundKbps(u16);

impl SoundKbps {
    /// The lowest at which music is recognisable.
    pub const MIN: Self = Self(16);
    /// The highest that Opus has (RFC 6716, section 2.1.1).
    pub const MAX: Self = Self(510);

    /// Checks the range.
    ///
    /// # Errors
    /// [`OutOfRange`] outside 16 to 510.
    pub const fn new(value: u64) -> Result<Self, OutOfRange> {
        let (low, high) = (Self::MIN.0 as u64, Self::MAX.0 as u64);
        if value < low || value > high {
            return Err(OutOfRange {
                what: "bit rate of sound in kbit/s",
                found: value,
                low,
                high,
            });
        }
        // It is at most 510.
        Ok(Self(value as u16))
    }

    /// The nearest legal value.
    #[must_use]
    pub fn clamped(value: u64) -> Self {
        let value = value.clamp(Self::MIN.0.into(), Self::MAX.0.into());
        // It is at most 510.
        Self(value as u16)
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for SoundKbps {
    type Error = OutOfRange;

    fn try_from(value: u64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<SoundKbps> for u64 {
    fn from(value: SoundKbps) -> Self {
        value.0.into()
    }
}

impl std::fmt::Display for SoundKbps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of a whole in per cent.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// A fifth.
    pub const TWENTY: Self = Self(20);

    /// The nearest legal value.
    #[must_use]
    pub fn clamped(value: u64) -> Self {
        // It is at most 100.
        Self(value.min(100) as u8)
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl TryFrom<u64> for Percent {
    type Error = OutOfRange;

    fn try_from(value: u64) -> Result<Self, OutOfRange> {
        if value > 100 {
            return Err(OutOfRange { what: "per cent", found: value, low: 0, high: 100 });
        }
        Ok(Self::clamped(value))
    }
}

impl From<Percent> for u64 {
    fn from(value: Percent) -> Self {
        value.0.into()
    }
}

/// A sample of a stream, by the number of samples of a channel before it since the monotonic clock's
/// zero.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct SamplePosition(pub u64);

impl SamplePosition {
    /// The sample at this time.
    #[must_use]
    pub fn at(time: MonotonicMicros) -> Self {
        let samples = u128::from(time.0) * u128::from(SAMPLE_RATE) / 1_000_000;
        // Fewer samples than there were microseconds.
        Self(samples as u64)
    }

    /// The position `samples` later.
    #[must_use]
    pub const fn after(self, samples: u64) -> Self {
        Self(self.0.saturating_add(samples))
    }
}

/// How long this many samples of a channel last, in microseconds.
#[must_use]
pub const fn micros_of(samples: u64) -> u64 {
    samples.saturating_mul(1_000_000) / SAMPLE_RATE as u64
}

/// One encoded frame of sound, of 1 to 1,275 bytes (RFC 6716, section 3.4).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct SoundPayload(Vec<u8>);

impl SoundPayload {
    /// The most bytes.
    pub const MAX_BYTES: usize = 1275;

    /// Checks the length.
    ///
    /// # Errors
    /// [`OutOfRange`] when there is no byte, or more than a frame has.
    pub fn new(bytes: Vec<u8>) -> Result<Self, OutOfRange> {
        if bytes.is_empty() || bytes.len() > Self::MAX_BYTES {
            return Err(OutOfRange {
                what: "bytes of a frame of sound",
                found: bytes.len() as u64,
                low: 1,
                high: Self::MAX_BYTES as u64,
            });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for SoundPayload {
    type Error = OutOfRange;

    fn try_from(bytes: Vec<u8>) -> Result<Self, OutOfRange> {
        Self::new(bytes)
    }
}

impl From<SoundPayload> for Vec<u8> {
    fn from(payload: SoundPayload) -> Self {
        payload.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_position_of_a_second_is_the_sample_rate_and_never_overflows() {
        assert_eq!(SamplePosition::at(MonotonicMicros(1_000_000)), SamplePosition(48_000));
        assert_eq!(micros_of(480), 10_000);
        let last = SamplePosition::at(MonotonicMicros(u64::MAX));
        assert!(last.after(u64::MAX) >= last);
    }

    #[test]
    fn values_out_of_range_are_refused_by_their_decoders() {
        let decodes = |number: u64| {
            let mut buffer = [0; 16];
            let bytes = postcard::to_slice(&number, &mut buffer).expect("room");
            (
                postcard::from_bytes::<SoundKbps>(bytes).is_ok(),
                postcard::from_bytes::<Percent>(bytes).is_ok(),
            )
        };
        assert_eq!(
            [15, 16, 100, 101, 510, 511].map(decodes),
            [
                (false, true),
                (true, true),
                (true, true),
                (true, false),
                (true, false),
                (false, false),
            ]
        );
    }

    #[test]
    fn payload_without_bytes_or_with_more_than_a_frame_is_refused() {
        for (length, legal) in [(0, false), (1, true), (1275, true), (1276, false)] {
            assert_eq!(SoundPayload::new(vec![0; length]).is_ok(), legal, "{length}");
        }
    }
}
