//! Pictures of H.264 as openh264 shows them, each as a hash of its samples.

use anyhow::Result;
use openh264::{decoder::Decoder, formats::YUVSource};

pub(super) struct Decoding {
    decoder: Decoder,
    /// Whether a picture with which a decoder can start has come.
    begun: bool,
}

impl Decoding {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { decoder: Decoder::new()?, begun: false })
    }

    /// The hash (FNV-1a of 64 bits) of all of Y, U and V of the picture in an access unit; none before the first with
    /// which a decoder can start. One that is not decoded later has no samples, and the hash of nothing.
    pub(super) fn decode(&mut self, unit: &[u8]) -> Option<u64> {
        let shown = self.decoder.decode(unit).ok().flatten();
        self.begun |= shown.is_some();
        let samples = shown.map(|shown| {
            let (width, height) = shown.dimensions();
            let (luma, blue, red) = shown.strides();
            let planes = [(shown.y(), luma, 1), (shown.u(), blue, 2), (shown.v(), red, 2)];
            let rows = planes.into_iter().flat_map(|(plane, stride, part)| {
                let rows = plane.chunks(stride).take(height / part);
                rows.flat_map(move |row| row.iter().take(width / part))
            });
            rows.fold(0xcbf2_9ce4_8422_2325, |hash: u64, sample| {
                (hash ^ u64::from(*sample)).wrapping_mul(0x100_0000_01b3)
            })
        });
        self.begun.then(|| samples.unwrap_or(0xcbf2_9ce4_8422_2325))
    }
}
