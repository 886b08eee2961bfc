//! Bits of the raw byte sequence payload: written, read, and wrapped as a NAL unit
//! (H.264, sections 7.2, 7.3.1 and 9.1).

/// Writes bits, the most significant first.
#[derive(Debug, Default)]
pub(in crate::video) struct BitWriter {
    bytes: Vec<u8>,
    /// The last `held` bits written, not yet in `bytes`.
    pending: u64,
    held: u32,
}

impl BitWriter {
    /// Discards everything written; keeps the memory.
    pub(in crate::video) fn clear(&mut self) {
        self.bytes.clear();
        (self.pending, self.held) = (0, 0);
    }

    /// `u(count)`: the low `count` bits of `value`, at most 32.
    #[inline]
    pub(in crate::video) fn bits(&mut self, count: u32, value: u32) {
        debug_assert!(count <= 32 && (count == 32 || value >> count == 0));
        self.pending = self.pending << count | u64::from(value);
        self.held += count;
        if self.held >= 32 {
            self.held -= 32;
            let whole = (self.pending >> self.held) as u32;
            self.bytes.extend_from_slice(&whole.to_be_bytes());
        }
    }

    pub(in crate::video) fn flag(&mut self, value: bool) {
        self.bits(1, value.into());
    }

    /// `ue(v)`.
    #[inline]
    pub(in crate::video) fn unsigned(&mut self, value: u32) {
        debug_assert!(value < u32::MAX);
        let length = 32 - (value + 1).leading_zeros();
        // A number is coded as leading zeros followed by its bits. Nearly all numbers are small
        // enough to write both in one go.
        if length <= 16 {
            self.bits(2 * length - 1, value + 1);
        } else {
            self.bits(length - 1, 0);
            self.bits(length, value + 1);
        }
    }

    /// `se(v)`.
    #[inline]
    pub(in crate::video) fn signed(&mut self, value: i32) {
        let twice = value.unsigned_abs() * 2;
        self.unsigned(if value > 0 { twice - 1 } else { twice });
    }

    /// Number of bits written so far.
    pub(in crate::video) const fn length(&self) -> usize {
        self.bytes.len() * 8 + self.held as usize
    }

    /// Ends the payload (`rbsp_trailing_bits`) and returns it.
    pub(in crate::video) fn finish(&mut self) -> &[u8] {
        self.bits(1, 1);
        self.align()
    }

    /// Fills the last byte with zeros and returns all that was written.
    pub(in crate::video) fn align(&mut self) -> &[u8] {
        let rest = self.held.next_multiple_of(8) - self.held;
        self.bits(rest, 0);
        while self.held > 0 {
            self.held -= 8;
            self.bytes.push((self.pending >> self.held) as u8);
        }
        &self.bytes
    }
}

/// Reads bits, the most significant first.
#[derive(Clone, Debug)]
pub(in crate::video) struct BitReader<'bytes> {
    bytes: &'bytes [u8],
    at: usize,
}

impl<'bytes> BitReader<'bytes> {
    pub(in crate::video) const fn new(bytes: &'bytes [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Number of bits read so far.
    pub(in crate::video) const fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing but `rbsp_trailing_bits` is left (H.264, section 7.3.2.11).
    pub(in crate::video) fn is_at_end(&self) -> bool {
        let last = self.bytes.iter().rposition(|byte| *byte != 0);
        let stop = |at: usize| at * 8 + 7 - self.bytes[at].trailing_zeros() as usize;
        last.is_some_and(|at| stop(at) == self.at)
    }

    /// The next 32 bits, without reading them; behind the end there are zeros.
    #[inline]
    pub(in crate::video) fn peek(&self) -> u32 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let next = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            padded
        });
        // Of eight bytes at most seven bits are behind it.
        (u64::from_be_bytes(next) << (self.at % 8) >> 32) as u32
    }

    /// Passes over bits; `None` if there are not so many.
    #[inline]
    pub(in crate::video) fn skip(&mut self, count: usize) -> Option<()> {
        let at = self.at + count;
        (at <= self.bytes.len() * 8).then(|| self.at = at)
    }

    /// `u(count)`, at most 32 bits; `None` at the end.
    #[inline]
    pub(in crate::video) fn bits(&mut self, count: u32) -> Option<u32> {
        let value = self.peek().checked_shr(32 - count).unwrap_or(0);
        self.skip(count as usize)?;
        Some(value)
    }

    pub(in crate::video) fn flag(&mut self) -> Option<bool> {
        Some(self.bits(1)? == 1)
    }

    /// `ue(v)`.
    #[inline]
    pub(in crate::video) fn unsigned(&mut self) -> Option<u32> {
        let zeros = self.peek().leading_zeros();
        if zeros > 31 {
            return None;
        }
        self.skip(zeros as usize + 1)?;
        Some((1 << zeros | self.bits(zeros)?) - 1)
    }

    /// `se(v)`.
    pub(in crate::video) fn signed(&mut self) -> Option<i32> {
        let code = i32::try_from(self.unsigned()?).ok()?;
        Some(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }
}

/// Appends `payload` to `stream` as a NAL unit with start code and emulation prevention.
pub(in crate::video) fn wrap(header: u8, payload: &[u8], stream: &mut Vec<u8>) {
    stream.extend_from_slice(&[0, 0, 0, 1, header]);
    let mut zeros = 0;
    for byte in payload {
        if zeros == 2 && *byte <= 3 {
            stream.push(3);
            zeros = 0;
        }
        stream.push(*byte);
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
    }
    // A unit that ended with a zero would be taken for the beginning of the next start code.
    if zeros > 0 {
        stream.push(3);
    }
}

/// The payload of a NAL unit, `unit` being all behind its header byte.
pub(in crate::video) fn unwrap(unit: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros == 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        payload.push(*byte);
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
    }
    payload
}

/// The NAL units of an Annex B stream, without start codes.
pub(in crate::video) fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts = (0..stream.len().saturating_sub(2))
        .filter(|at| stream[*at..].starts_with(&[0, 0, 1]))
        .map(|at| at + 3)
        .peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().map_or(stream.len(), |next| next - 3);
        let unit = &stream[start..end];
        // A start code of four bytes begins with one more zero, and no unit ends with one.
        Some(unit.strip_suffix(&[0]).unwrap_or(unit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_read_as_written(values in prop::collection::vec(-3000_i32..3000, 0..50)) {
            let mut writer = BitWriter::default();
            for value in &values {
                writer.signed(*value);
                writer.unsigned(value.unsigned_abs());
                writer.bits(13, value.unsigned_abs());
            }
            let payload = writer.finish().to_vec();
            let mut reader = BitReader::new(&payload);
            for value in &values {
                prop_assert_eq!(reader.signed(), Some(*value));
                prop_assert_eq!(reader.unsigned(), Some(value.unsigned_abs()));
                prop_assert_eq!(reader.bits(13), Some(value.unsigned_abs()));
            }
            prop_assert_eq!(reader.flag(), Some(true));
        }

        /// The run of skipped macroblocks of a whole picture is one number, which need not fit 16
        /// bits.
        #[test]
        fn numbers_of_any_length_are_read_as_written(
            values in prop::collection::vec((0_u32..32, any::<u32>()), 0..50),
        ) {
            let values = values.iter().map(|(shift, value)| (value >> shift).min(u32::MAX - 1));
            let mut writer = BitWriter::default();
            values.clone().for_each(|value| writer.unsigned(value));
            let payload = writer.finish().to_vec();
            let mut reader = BitReader::new(&payload);
            for value in values {
                prop_assert_eq!(reader.unsigned(), Some(value));
            }
            prop_assert_eq!(reader.flag(), Some(true));
        }

        #[test]
        fn units_and_payloads_are_found_again(
            payloads in prop::collection::vec(prop::collection::vec(0_u8..5, 1..40), 1..4),
            // Padding of arithmetic coding (`cabac_zero_word`).
            padding in prop::sample::select(vec![0_usize, 2, 4]),
        ) {
            let mut stream = Vec::new();
            let padded = |payload: &Vec<u8>| -> Vec<u8> {
                [payload.as_slice(), &[0x80], &[0; 4][..padding]].concat()
            };
            for payload in &payloads {
                wrap(0x41, &padded(payload), &mut stream);
            }
            let found: Vec<Vec<u8>> = units(&stream).map(|unit| unwrap(&unit[1..])).collect();
            let expected: Vec<Vec<u8>> = payloads.iter().map(padded).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
