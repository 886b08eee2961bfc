//! Frames to Opus (RFC 6716).
//!
//! Opus chooses by itself between its coders for speech and for music. Only the one for speech can
//! repeat a lost packet's content in the next one (in-band FEC), and does so for what it takes for a
//! voice; the more is lost, the sooner Opus prefers it.

use lumen_ipc::sound::{Percent, SAMPLE_RATE, SoundFormat, SoundKbps, SoundPayload};
use opus::{Application, Bitrate, Channels, Encoder};

/// Of 0 to 10, how hard the encoder searches: 5 takes two thirds of the time of 10, and the difference
/// is not heard at the bit rates that are usual here.
const COMPLEXITY: i32 = 5;

/// Encodes one stream.
#[derive(Debug)]
pub struct Coder {
    encoder: Encoder,
    bitrate: SoundKbps,
    loss: Percent,
}

/// The encoder failed.
#[derive(Debug, thiserror::Error)]
pub enum CoderError {
    /// It refused a setting or a frame.
    #[error("the Opus encoder failed")]
    Opus(#[from] opus::Error),
    /// It made a frame that no receiver takes.
    #[error("the Opus encoder made a frame of an illegal length")]
    Length(#[from] lumen_ipc::units::OutOfRange),
}

impl Coder {
    /// An encoder that assumes that nothing is lost.
    ///
    /// # Errors
    /// [`CoderError`] when there is no memory.
    pub fn new(format: SoundFormat, bitrate: SoundKbps) -> Result<Self, CoderError> {
        let channels = match format {
            SoundFormat::OpusStereo => Channels::Stereo,
        };
        let mut encoder = Encoder::new(SAMPLE_RATE, channels, Application::Audio)?;
        encoder.set_complexity(COMPLEXITY)?;
        let mut coder = Self { encoder, bitrate, loss: Percent::default() };
        coder.apply()?;
        Ok(coder)
    }

    /// Sets the bit rate, and how much is lost on the way.
    ///
    /// # Errors
    /// [`CoderError`] when the encoder refuses.
    pub fn set(&mut self, bitrate: SoundKbps, loss: Percent) -> Result<(), CoderError> {
        if (bitrate, loss) == (self.bitrate, self.loss) {
            return Ok(());
        }
        (self.bitrate, self.loss) = (bitrate, loss);
        self.apply()
    }

    fn apply(&mut self) -> Result<(), CoderError> {
        self.encoder.set_bitrate(Bitrate::Bits(i32::from(self.bitrate.value()) * 1000))?;
        self.encoder.set_inband_fec(self.loss > Percent::default())?;
        self.encoder.set_packet_loss_perc(self.loss.value().into())?;
        Ok(())
    }

    /// Encodes a frame: the channels' samples in turn.
    ///
    /// # Errors
    /// [`CoderError`] when the encoder fails.
    pub fn encode(&mut self, samples: &[f32]) -> Result<SoundPayload, CoderError> {
        let bytes = self.encoder.encode_vec_float(samples, SoundPayload::MAX_BYTES)?;
        Ok(SoundPayload::new(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;
    use crate::sound::packetiser::FRAME_SAMPLES;

    /// 10 ms of a tone, the `number`th since its beginning, on the left only.
    fn tone(hertz: f32, number: usize) -> Vec<f32> {
        let samples = number * FRAME_SAMPLES..(number + 1) * FRAME_SAMPLES;
        let angle = |at: usize| at as f32 / SAMPLE_RATE as f32 * hertz * TAU;
        samples.flat_map(|at| [0.5 * angle(at).sin(), 0.0]).collect()
    }

    /// 10 ms of what the encoder takes for a voice: a buzz in syllables of 200 ms with pauses between.
    fn voice(number: usize) -> Vec<f32> {
        if (number / 20).is_multiple_of(2) {
            return vec![0.0; 2 * FRAME_SAMPLES];
        }
        let harmonics = (1..12_u8).map(|order| tone(150.0 * f32::from(order), number));
        let mut sum = vec![0.0; 2 * FRAME_SAMPLES];
        for harmonic in harmonics {
            sum.iter_mut().zip(harmonic).for_each(|(all, one)| *all += one / 4.0);
        }
        sum
    }

    fn coder(bitrate: u64) -> Coder {
        Coder::new(SoundFormat::OpusStereo, SoundKbps::clamped(bitrate)).expect("an encoder")
    }

    #[test]
    fn tone_comes_out_at_its_frequency_on_its_own_side() {
        let mut coder = coder(128);
        let mut decoder = opus::Decoder::new(SAMPLE_RATE, Channels::Stereo).expect("a decoder");
        let mut heard = Vec::new();
        for number in 0..100 {
            let payload = coder.encode(&tone(440.0, number)).expect("encoded");
            let mut samples = [0.0; 2 * FRAME_SAMPLES];
            let count = decoder.decode_float(payload.as_bytes(), &mut samples, false);
            assert_eq!(count.ok(), Some(FRAME_SAMPLES));
            heard.extend(samples);
        }
        let side = |at| heard.iter().skip(at).step_by(2).copied().collect::<Vec<f32>>();
        // Without the first 100 ms, in which the tone sets in.
        let begun = 2 * 10 * FRAME_SAMPLES;
        let (left, right) = (side(begun), side(begun + 1));
        let crossings = left.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        assert!((395..=397).contains(&crossings), "{crossings} waves in 900 ms");
        let loudness = |side: &[f32]| side.iter().map(|it| it * it).sum::<f32>();
        assert!(loudness(&right) < loudness(&left) / 1000.0);
    }

    #[test]
    fn bit_rate_that_is_set_is_kept() {
        let mut coder = coder(128);
        let mut chance = 1_u32;
        for wanted in [128_u32, 32, 256] {
            let bitrate = SoundKbps::clamped(wanted.into());
            coder.set(bitrate, Percent::default()).expect("accepted");
            let bytes = (0..200).map(|_| {
                // Noise, which takes all the bits that it may have.
                let noise: Vec<f32> = std::iter::repeat_with(|| {
                    chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    chance as f32 / u32::MAX as f32 - 0.5
                })
                .take(2 * FRAME_SAMPLES)
                .collect();
                coder.encode(&noise).expect("encoded").as_bytes().len()
            });
            let kbps = bytes.sum::<usize>() as f64 * 8.0 / 2000.0;
            let within = f64::from(wanted) * 0.85..=f64::from(wanted) * 1.15;
            assert!(within.contains(&kbps), "{kbps} kbit/s instead of {wanted}");
        }
    }

    #[test]
    fn lost_frame_of_a_voice_is_in_the_next_one_only_where_much_is_lost() {
        const LOST: usize = 61;
        let repaired = |loss| {
            let mut coder = coder(48);
            coder.set(SoundKbps::clamped(48), Percent::clamped(loss)).expect("accepted");
            let payloads: Vec<_> = (0..=LOST + 1)
                .map(|number| coder.encode(&voice(number)).expect("encoded"))
                .collect();
            let mut decoder = opus::Decoder::new(SAMPLE_RATE, Channels::Stereo).expect("a decoder");
            let mut samples = [0.0; 2 * FRAME_SAMPLES];
            // The syllable begins at 60, and its first two frames are lost.
            for payload in payloads.iter().take(60) {
                decoder.decode_float(payload.as_bytes(), &mut samples, false).expect("decoded");
            }
            let next = payloads.last().expect("several").as_bytes();
            decoder.decode_float(next, &mut samples, true).expect("repaired");
            samples.iter().step_by(2).map(|it| it * it).sum::<f32>()
        };
        let original: f32 = voice(LOST).iter().step_by(2).map(|it| it * it).sum();
        let (with, without) = (repaired(20), repaired(0));
        assert!(with > original / 2.0, "{with} of {original}");
        assert!(without < original / 10.0, "{without} of {original}");
    }
}
