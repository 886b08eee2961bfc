//! A tone that programs play, and what a page hears of it.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{
    browser::{Browser, Page},
    patience::wait_for_ok,
};

/// The tone.
pub const HERTZ: f64 = 440.0;
/// Longer than any test listens.
const SECONDS: u32 = 90;
const RATE: u32 = 48_000;

/// The blocks of half a second.
const LAST: usize = 25;

/// Listens in the page to whatever it plays: of each short block since it was called its loudness, its
/// frequency, which is that between its first wave and its last, and how long the longest silence lasts
/// that it ends or continues.
const LISTEN: &str = "(async () => {
  const element = document.querySelector('#sound');
  const context = new AudioContext();
  await context.resume();
  const ear = context.createScriptProcessor(1024, 2, 1);
  let attached = null;
  let source = null;
  let quiet = 0;
  const attach = () => {
    if (element.srcObject === attached || !element.srcObject?.getAudioTracks().length) return;
    source?.disconnect();
    attached = element.srcObject;
    source = context.createMediaStreamSource(attached);
    source.connect(ear);
  };
  window.heard = [];
  ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
    attach();
    const left = inputBuffer.getChannelData(0);
    let [loudness, silence] = [0, 0];
    const waves = [];
    left.forEach((sample, at) => {
      loudness = Math.max(loudness, Math.abs(sample));
      quiet = Math.abs(sample) < 0.005 ? quiet + 1 : 0;
      silence = Math.max(silence, quiet);
      const before = left[at - 1];
      if (before < 0 && sample >= 0) waves.push(at - sample / (sample - before));
    });
    const lasts = (waves.at(-1) - waves[0]) / context.sampleRate;
    const hertz = waves.length > 1 ? (waves.length - 1) / lasts : 0;
    const millis = (samples) => (samples * 1000) / context.sampleRate;
    window.heard.push({ millis: playbackTime * 1000, loudness, hertz, silence: millis(silence) });
  };
  attach();
  ear.connect(context.destination);
})()";

/// About 20 ms of what a page has heard.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Block {
    /// When it was played, by a clock of the page's.
    pub millis: f64,
    /// Its loudest sample; the tone's is a half.
    pub loudness: f64,
    /// Its frequency.
    pub hertz: f64,
    /// How many milliseconds the longest silence lasts that it ends or continues.
    pub silence: f64,
}

impl Block {
    /// Quieter than a hundredth of the tone.
    #[must_use]
    pub fn is_silent(self) -> bool {
        self.loudness < 0.005
    }
}

/// The longest silence among `blocks`, in milliseconds.
#[must_use]
pub fn longest_silence(blocks: &[Block]) -> f64 {
    blocks.iter().map(|block| block.silence).fold(0.0, f64::max)
}

/// The frequency of the blocks in the middle: where the browser or the machine leaves samples out, a
/// block has another.
#[must_use]
pub fn frequency(blocks: &[Block]) -> Option<f64> {
    let mut all: Vec<f64> = blocks.iter().map(|block| block.hertz).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

/// A file with the tone, readable by everybody.
///
/// # Errors
/// When it cannot be written.
pub fn tone() -> Result<PathBuf> {
    wave("tone", (0..SECONDS * RATE).map(|at| sine(at, HERTZ)))
}

/// The notes of the melody, in hertz.
pub const NOTES: [f64; 5] = [330.0, 660.0, 440.0, 880.0, 550.0];
/// How long a note lasts, and the pause after it, in samples: as a syllable does, so that a browser that takes
/// whatever does not change for noise leaves it.
const NOTE: u32 = RATE / 5;
const PAUSE: u32 = RATE / 10;

/// A file with the melody, readable by everybody.
///
/// # Errors
/// When it cannot be written.
pub fn melody() -> Result<PathBuf> {
    let notes = NOTES.into_iter().flat_map(|hertz| {
        let note = (0..NOTE).map(move |at| sine(at, hertz));
        note.chain(std::iter::repeat_n(0, PAUSE as usize))
    });
    wave("melody", notes)
}

/// The notes in samples of one channel, each once for as long as it goes on.
#[must_use]
pub fn notes_of(samples: &[f32]) -> Vec<f64> {
    let mut notes: Vec<f64> = Vec::new();
    let mut last = None;
    for block in samples.chunks_exact(RATE as usize / 25) {
        let loudness = |hertz: f64| {
            let turn = hertz / f64::from(RATE) * std::f64::consts::TAU;
            let (mut sine, mut cosine) = (0.0, 0.0);
            for (at, sample) in block.iter().enumerate() {
                let angle = turn * at as f64;
                sine += f64::from(*sample) * angle.sin();
                cosine += f64::from(*sample) * angle.cos();
            }
            (sine * sine + cosine * cosine) * 2.0 / block.len() as f64
        };
        let energy: f64 = block.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        // Of a block that is a note, nearly everything is that note.
        let note = NOTES.into_iter().find(|hertz| energy > 0.5 && loudness(*hertz) > 0.8 * energy);
        if let Some(note) = note
            && last != Some(note)
        {
            notes.push(note);
        }
        last = note.or(last);
    }
    notes
}

fn sine(at: u32, hertz: f64) -> i16 {
    let angle = f64::from(at) / f64::from(RATE) * hertz * std::f64::consts::TAU;
    (angle.sin() * 16_000.0) as i16
}

/// A file with these samples in both channels, readable by everybody. It is the same in every run, and is kept.
fn wave(name: &str, samples: impl Iterator<Item = i16>) -> Result<PathBuf> {
    let samples: Vec<u8> = samples.flat_map(|sample| sample.to_le_bytes().repeat(2)).collect();
    let length = u32::try_from(samples.len())?;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + length).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    file.extend(RATE.to_le_bytes());
    file.extend((RATE * 4).to_le_bytes());
    file.extend(b"\x04\0\x10\0data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    let path = std::env::temp_dir().join(format!("lumen-{name}.wav"));
    // Other tests of this process write it under the same name first.
    static WRITING: Mutex<()> = Mutex::new(());
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    if fs::read(&path).is_ok_and(|kept| kept == file) {
        return Ok(path);
    }
    // Others may be about to play it.
    let ours = path.with_extension(format!("{}.wav", std::process::id()));
    fs::write(&ours, file)?;
    fs::rename(ours, &path)?;
    Ok(path)
}

/// What a desktop runs that plays the tone by `player` without end.
///
/// # Errors
/// When the tone cannot be written.
pub fn playing_for_ever(player: &str) -> Result<[String; 3]> {
    let play = format!("while :; do {player} {}; done", tone()?.display());
    Ok(["sh".into(), "-c".into(), play])
}

/// Has the page play sound, which browsers do after a gesture.
///
/// # Errors
/// When it does not.
pub fn start_playing(page: &Page) -> Result<()> {
    page.key_down("ShiftLeft")?;
    page.key_up("ShiftLeft")?;
    wait_for_ok("the page plays sound", || {
        let plays: bool = page.evaluate("!document.querySelector('#sound').paused")?;
        ensure!(plays, "it is paused");
        Ok(())
    })
}

/// A page that plays a desktop's sound.
#[derive(Debug)]
pub struct Listener(pub Page);

impl Listener {
    /// Opens the desktop at `url`, and waits until the tone is heard.
    ///
    /// # Errors
    /// When it is not.
    pub fn open(browser: &Browser, url: &str) -> Result<Self> {
        let page = browser.open(url)?;
        page.wait_for_picture()?;
        start_playing(&page)?;
        page.evaluate::<()>(LISTEN)?;
        let listener = Self(page);
        listener.hears()?;
        Ok(listener)
    }

    /// Everything heard so far.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn heard(&self) -> Result<Vec<Block>> {
        self.0.evaluate("window.heard")
    }

    /// Waits until the page hears something for half a second.
    ///
    /// # Errors
    /// When it does not.
    pub fn hears(&self) -> Result<()> {
        wait_for_ok("the tone is heard", || {
            let last = self.last()?;
            let silent = last.iter().filter(|block| block.is_silent()).count();
            ensure!(
                last.len() == LAST && silent == 0,
                "{silent} of {} blocks are silent",
                last.len()
            );
            Ok(())
        })
    }

    /// Waits until the page hears nothing for half a second.
    ///
    /// # Errors
    /// When it goes on hearing something.
    pub fn hears_nothing(&self) -> Result<()> {
        wait_for_ok("nothing is heard", || {
            let last = self.last()?;
            ensure!(last.len() == LAST && last.iter().all(|block| block.is_silent()), "{last:?}");
            Ok(())
        })
    }

    /// Waits until for so many seconds the tone was heard at its frequency and without a gap of `most`
    /// milliseconds. Where a machine is busy with other things, players miss their time now and then: that
    /// is a matter of a while, and a fault of ours is not.
    ///
    /// # Errors
    /// When it never is.
    pub fn hears_without_gap(&self, seconds: f64, most: f64) -> Result<Vec<Block>> {
        wait_for_ok("the tone is heard without a gap", || {
            let mut blocks = self.heard()?;
            let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
                bail!("nothing")
            };
            let begin = last.millis - seconds * 1000.0;
            ensure!(first.millis <= begin, "not for long enough yet");
            blocks.retain(|block| block.millis >= begin);
            let silence = longest_silence(&blocks);
            ensure!(silence < most, "a pause of {silence} ms");
            let hertz = frequency(&blocks).context("nothing")?;
            ensure!((hertz - HERTZ).abs() < 1.0, "it has {hertz} Hz");
            Ok(blocks)
        })
    }

    /// The last half second of what was heard.
    fn last(&self) -> Result<Vec<Block>> {
        let mut blocks = self.heard()?;
        Ok(blocks.split_off(blocks.len().saturating_sub(LAST)))
    }

    /// What is heard while `seconds` pass for the page.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn listen(&self, seconds: f64) -> Result<Vec<Block>> {
        let before = self.heard()?.len();
        wait_for_ok("the page listens", || {
            let blocks = self.heard()?.split_off(before);
            let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else {
                bail!("nothing yet")
            };
            ensure!(last.millis - first.millis >= seconds * 1000.0, "not long enough");
            Ok(blocks)
        })
    }
}
