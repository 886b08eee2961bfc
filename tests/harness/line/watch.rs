//! A page that watches a desktop through a line, and what becomes of the picture.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};
use lumen_ipc::process::Worker;
use serde::Deserialize;

use crate::{
    app::Show,
    browser::{Browser, DecodedFrame, Page},
    line::{Line, SERVER, shape::Shape, way::Counts},
    measured::percentile,
    patience::patience,
    rig::{Rig, Setup},
    viewer::Viewer,
};

/// A desktop to watch.
#[derive(Clone, Copy, Debug)]
pub struct Desktop {
    /// What it shows.
    pub show: Show,
    /// Its width and height.
    pub size: (u32, u32),
    /// Frames per second, of the app and of the desktop.
    pub fps: u32,
}

impl Desktop {
    /// As tables of figures have it.
    #[must_use]
    pub const fn measured(show: Show) -> Self {
        Self { show, size: (1280, 720), fps: 30 }
    }
}

/// What a new page has to come to terms with its line: gaps and freezes count from then on.
const SETTLING: Duration = Duration::from_secs(2);

/// A desktop, a browser, and the line between them.
#[derive(Debug)]
pub struct Watch {
    page: Page,
    _browser: Browser,
    rig: Rig,
    /// The line.
    pub line: Line,
}

/// What the page saw over a span of time.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Distinct frames decoded per second in the second half.
    pub fps: f64,
    /// Freezes as the browser counts them, without those of the first seconds.
    pub freezes: u64,
    /// The longest time between two frames, or from the last to the end; not in the first seconds.
    pub longest_gap: Duration,
    /// What 95 of 100 times between two frames do not exceed; not in the first seconds.
    pub gap_p95: Duration,
    /// Mean time of a frame in the browser's jitter buffer; not in the first seconds.
    pub buffered: Duration,
    /// Keyframes decoded; not in the first seconds.
    pub keyframes: u64,
    /// Packets that the browser asked for again; not in the first seconds.
    pub nacks: u64,
    /// Height of the picture at the end, as it was sent.
    pub height: u32,
    /// Connections that the page made since it was opened.
    pub connections: usize,
    /// Mbit/s that arrived, with all headers.
    pub megabits: f64,
    /// Packets that the line dropped.
    pub dropped: u64,
    /// The longest time by which this machine was too slow to deliver a packet, since the line began.
    pub latest: Duration,
}

/// Figures of the page's connections up to a moment.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Received {
    /// The moment, in milliseconds of the page's clock.
    now: f64,
    freezes: u64,
    nacks: u64,
    keyframes: u64,
    buffered: f64,
    emitted: f64,
    height: u32,
}

/// How the picture came back after an interruption.
#[derive(Clone, Copy, Debug)]
pub struct Return {
    /// How long after the interruption's end the first new frame was decoded.
    pub after: Duration,
    /// Connections that the page made since it was opened.
    pub connections: usize,
}

impl Watch {
    /// Starts a desktop, and opens it in a browser at the other end of a line.
    ///
    /// # Errors
    /// When the line cannot be made, or no picture comes.
    pub fn start(desktop: Desktop, down: Shape, up: Shape) -> Result<Self> {
        let line = Line::new(down, up)?;
        let Desktop { show, size: (width, height), fps } = desktop;
        let setup = Setup::new().quiet().show(show, fps).option("--fps", &fps.to_string());
        let setup = setup.option("--size", &format!("{width}x{height}"));
        let setup = setup.option("--resize", "fixed").option("--relay", "off");
        let rig = setup.on_host(&line.server, "0.0.0.0:8080").start()?;
        rig.app_log().wait_until_drawn()?;
        let browser = Browser::start_on(Some(&line.browser), &[])?;
        let page = browser.open_sized(&rig.url_from(SERVER), width, height)?;
        page.wait_for_picture()?;
        Ok(Self { page, _browser: browser, rig, line })
    }

    /// Watches for this long.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn over(&self, span: Duration) -> Result<Seen> {
        let (start, counts) = (Instant::now(), self.line.counts());
        let first = self.received()?;
        // The span to measure, not a guess at when something is done.
        thread::sleep(SETTLING.saturating_sub(start.elapsed()));
        let settled = self.received()?;
        thread::sleep(span.saturating_sub(start.elapsed()));
        let end = self.received()?;
        let frames: Vec<f64> = self.page.frames()?.iter().map(|frame| frame.at).collect();
        let picture = Frames { frames: &frames, settled: settled.now, end: end.now };
        let emitted = end.emitted - settled.emitted;
        let buffered =
            if emitted > 0.0 { (end.buffered - settled.buffered) / emitted } else { 0.0 };
        let (passed, dropped) = since(counts, self.line.counts());
        Ok(Seen {
            fps: picture.rate_from((first.now + end.now) / 2.0),
            freezes: end.freezes.saturating_sub(settled.freezes),
            longest_gap: picture.gap(100.0),
            gap_p95: picture.gap(95.0),
            buffered: Duration::from_secs_f64(buffered.max(0.0)),
            keyframes: end.keyframes.saturating_sub(settled.keyframes),
            nacks: end.nacks.saturating_sub(settled.nacks),
            height: end.height,
            connections: self.page.connections_made()?,
            megabits: passed as f64 * 8.0 / 1e6 / start.elapsed().as_secs_f64(),
            dropped,
            latest: self.line.latest(),
        })
    }

    /// Every frame decoded so far.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn frames(&self) -> Result<Vec<DecodedFrame>> {
        self.page.frames()
    }

    /// The parameters of the format in which the page receives pictures.
    ///
    /// # Errors
    /// When the page is gone, or receives none.
    pub fn format(&self) -> Result<String> {
        self.page.evaluate("lumenTest.pictureFormat()").context("the format of the picture")
    }

    /// Another viewer of the same desktop, on its own machine, with no line between.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn beside(&self) -> Result<Viewer> {
        let address = (IpAddr::V4(SERVER.parse()?), self.rig.address().port()).into();
        // The viewer's thread has the network of the thread that makes it.
        let token = self.rig.token();
        self.line.server.inside(|| Viewer::with_token(address, token))
    }

    /// The value of a counter or gauge of media.
    ///
    /// # Errors
    /// When there is none.
    pub fn media(&self, metric: &str) -> Result<i64> {
        self.rig.metric(Worker::Media, metric)
    }

    /// What Lumen has printed so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.rig.said()
    }

    /// Interrupts the line for this long, and waits for the picture.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn interrupt(&self, time: Duration) -> Result<Return> {
        let over = SystemTime::now() + time;
        self.line.interrupt(time);
        thread::sleep(time);
        let after = self.page.wait_for_frame_after(over)?;
        Ok(Return { after, connections: self.page.connections_made()? })
    }

    /// Milliseconds from each of so many key presses to the frame that shows it.
    ///
    /// # Errors
    /// When one is never shown.
    pub fn key_latencies(&self, presses: usize) -> Result<Vec<f64>> {
        #[derive(Deserialize)]
        struct Press {
            total: f64,
        }
        // A key that is lost would keep the page waiting for ever.
        let patience = (patience() * 2).as_millis();
        let presses: Vec<Press> = self.page.evaluate(&format!(
            "Promise.race([lumenTest.keyLatencies({presses}), new Promise((_, fail) =>
                setTimeout(() => fail(new Error('a key was never shown')), {patience}))])"
        ))?;
        Ok(presses.into_iter().map(|press| press.total).collect())
    }

    fn received(&self) -> Result<Received> {
        self.page.evaluate("lumenTest.receivedPictures()").context("what the page received")
    }
}

/// Bytes passed and packets dropped between two looks at the line.
const fn since(before: Counts, after: Counts) -> (u64, u64) {
    (after.bytes - before.bytes, after.dropped() - before.dropped())
}

/// When frames were decoded, in milliseconds of the page's clock.
struct Frames<'page> {
    frames: &'page [f64],
    settled: f64,
    end: f64,
}

impl Frames<'_> {
    /// Frames per second from some moment to the end.
    fn rate_from(&self, start: f64) -> f64 {
        let shown = self.frames.iter().filter(|at| (start..self.end).contains(*at)).count();
        shown as f64 * 1000.0 / (self.end - start)
    }

    /// The time that so many per cent of all gaps do not exceed.
    fn gap(&self, percent: f64) -> Duration {
        let before = self.frames.iter().rfind(|at| **at < self.settled).copied();
        let after = self.frames.iter().filter(|at| (self.settled..self.end).contains(*at));
        // What has no frame at its end is a gap all the same.
        let times: Vec<f64> = before.into_iter().chain(after.copied()).chain([self.end]).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        Duration::from_secs_f64(percentile(&gaps, percent).unwrap_or(0.0).max(0.0) / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn gaps_count_from_the_last_frame_before_settling_to_the_end() {
        let picture =
            Frames { frames: &[0.0, 10.0, 90.0, 100.0, 110.0], settled: 50.0, end: 150.0 };
        assert_eq!(picture.gap(100.0), 80 * MILLISECOND);
        assert_eq!(picture.gap(50.0), 10 * MILLISECOND);
        let still = Frames { frames: &[0.0], settled: 50.0, end: 150.0 };
        assert_eq!(still.gap(95.0), 150 * MILLISECOND);
    }

    #[test]
    fn rate_counts_frames_of_its_half_only() {
        let picture =
            Frames { frames: &[0.0, 10.0, 500.0, 750.0, 999.0], settled: 0.0, end: 1000.0 };
        assert!((picture.rate_from(500.0) - 6.0).abs() < 1e-9);
    }
}
