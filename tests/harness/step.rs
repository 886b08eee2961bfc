//! Flashes and beeps of one program, and how far apart a page shows and plays them.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use lumen_ipc_runtime::clock;
use serde::Deserialize;

use crate::{
    app::AppLog, app_event::AppEvent, browser::Page, measured::percentile, picture::Colour,
};

/// From the beginning of one beep to that of the next, in milliseconds.
pub const PERIOD_MILLIS: u32 = 1000;
/// How long a beep and its flash last, in milliseconds.
pub const BEEP_MILLIS: u32 = 100;
/// The beep's frequency.
pub const BEEP_HERTZ: f64 = 1000.0;
/// The flash's colour.
pub const FLASH: Colour = Colour::new(255, 255, 255);

/// So much sound a browser keeps in store where no packet is late, in milliseconds: Chromium reckons in
/// steps of this length.
const QUIETLY_KEPT: f64 = 20.0;

/// Notes when pictures that flash are shown and when beeps are played, both in milliseconds of the page's
/// clock. A beep is noted with its first loud sample after a tenth of a second of silence; the script
/// processor hears it two of its buffers before the time at which it would play it itself.
const OBSERVE: &str = "(async () => {
  const step = (window.lumenStep = { flashes: [], beeps: [], stores: [] });
  const sound = document.querySelector('#sound');
  const context = new AudioContext({ latencyHint: 'interactive' });
  await context.resume();
  const size = 256;
  const ear = context.createScriptProcessor(size, 1, 1);
  let quiet = 0;
  const beeps = (at) => {
    step.beeps.push(at);
    lumenTest.receivedSound().then((received) => step.stores.push(received));
  };
  const millisAt = (time) => {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    return performanceTime + (time - contextTime) * 1000;
  };
  ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
    const rate = context.sampleRate;
    const begins = playbackTime - (2 * size) / rate;
    inputBuffer.getChannelData(0).forEach((sample, at) => {
      if (Math.abs(sample) < 0.1) {
        quiet += 1;
        return;
      }
      if (quiet > rate / 10) beeps(millisAt(begins + at / rate));
      quiet = 0;
    });
  };
  context.createMediaStreamSource(sound.srcObject).connect(ear);
  ear.connect(context.destination);
  const probe = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const video = document.querySelector('video.front');
  let lit = true;
  const look = (_, { expectedDisplayTime }) => {
    video.requestVideoFrameCallback(look);
    probe.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
    const [red] = probe.getImageData(0, 0, 1, 1).data;
    if (red > 192 && !lit) step.flashes.push(expectedDisplayTime);
    lit = red > 192;
  };
  video.requestVideoFrameCallback(look);
})()";

#[derive(Debug, Deserialize)]
struct Noted {
    flashes: Vec<f64>,
    beeps: Vec<f64>,
    /// Noted with each beep.
    stores: Vec<Store>,
}

/// What a browser has kept in store against jitter so far.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Store {
    /// How long each sample was kept, in milliseconds, all together.
    kept: f64,
    samples: f64,
}

/// How long each flash was on its way from its commit to the viewer's eye, and each beep from the moment at
/// which the sound server plays it to the viewer's ear, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// Of flashes.
    pub shown: Vec<f64>,
    /// Of beeps.
    pub heard: Vec<f64>,
    /// How long the browser kept samples in store against jitter meanwhile, in the mean and in milliseconds.
    pub kept: f64,
}

impl Delays {
    /// How much longer beeps are on their way than flashes: the difference of the lower quartiles, because
    /// a machine that is busy with other things delays now one and now the other.
    #[must_use]
    pub fn lag(&self) -> Option<f64> {
        Some(percentile(&self.heard, 25.0)? - percentile(&self.shown, 25.0)?)
    }

    /// The same without what the browser keeps in store because packets are late on this machine, which is
    /// whatever exceeds `QUIETLY_KEPT`.
    #[must_use]
    pub fn lag_without_store(&self) -> Option<f64> {
        Some(self.lag()? - (self.kept - QUIETLY_KEPT).max(0.0))
    }
}

/// Flashes and beeps of a program, and the page that shows and plays them.
#[derive(Debug)]
pub struct Observer<'a> {
    app: &'a AppLog,
    page: &'a Page,
    /// What is to be added to the monotonic clock's time for that of the page, in milliseconds.
    to_page: f64,
}

impl<'a> Observer<'a> {
    /// Begins to look and to listen.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn begin(app: &'a AppLog, page: &'a Page) -> Result<Self> {
        page.evaluate::<()>(OBSERVE)?;
        let origin: f64 = page.evaluate("performance.timeOrigin")?;
        // Both clocks are read at the same moment.
        let monotonic = clock::now().0 as f64 / 1000.0;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
        Ok(Self { app, page, to_page: wall - origin - monotonic })
    }

    /// The delays of the newest `count` flashes and beeps.
    ///
    /// # Errors
    /// When there are not so many yet.
    pub fn newest(&self, count: usize) -> Result<Delays> {
        let noted: Noted = self.page.evaluate("window.lumenStep")?;
        let in_page = |micros: u64| micros as f64 / 1000.0 + self.to_page;
        let mut delays = Delays::default();
        for event in self.app.events() {
            let AppEvent::Flashed { meant_micros, committed_micros } = event else { continue };
            delays.shown.extend(since(in_page(committed_micros), &noted.flashes));
            delays.heard.extend(since(in_page(meant_micros), &noted.beeps));
        }
        for all in [&mut delays.shown, &mut delays.heard] {
            ensure!(all.len() >= count, "there are only {}", all.len());
            all.drain(..all.len() - count);
        }
        let stores = &noted.stores[noted.stores.len().saturating_sub(count)..];
        if let [first, .., last] = stores {
            delays.kept = (last.kept - first.kept) / (last.samples - first.samples).max(1.0);
        }
        Ok(delays)
    }
}

/// How long after `from` the one of these was that is nearest; `None` if none belongs to it, because there is one a
/// period.
fn since(from: f64, all: &[f64]) -> Option<f64> {
    let half = f64::from(PERIOD_MILLIS) / 2.0;
    all.iter().map(|at| at - from).find(|lag| (-half..half).contains(lag))
}
