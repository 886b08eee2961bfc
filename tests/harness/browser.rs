//! A real Chromium, driven through playwright by the small Node program in `tests/browser/`, or a real
//! Firefox.
//!
//! The program reads one JSON command a line and answers each with one line, so that tests stay
//! in one language and read from top to bottom.

mod clipboard;
mod driver;
mod keys;
mod mouse;
mod path;
mod sound;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use mouse::MouseButton;
pub use path::{Path, Transport};
pub use sound::HeardSound;

use crate::{
    network::Host,
    patience::{patience, wait_for_ok, wait_until},
    picture::Colour,
    process::descendants,
    stall::Stall,
};
use driver::Lease;
use path::SelectedPath;

/// A Chromium or Firefox that one test has. Dropping it closes its pages; then another test may have it.
#[derive(Clone, Debug)]
pub struct Browser {
    lease: Arc<Mutex<Lease>>,
}

impl Browser {
    /// Starts Chromium, or continues with one that a test before this one has left (`browser/driver.rs`).
    ///
    /// # Errors
    /// When Node, playwright or Chromium are missing; `make test` installs them.
    pub fn start() -> Result<Self> {
        Lease::plain(&launch(&[])).map(Self::of)
    }

    /// Starts Chromium, for a test that leaves something behind in it, such as a text on the clipboard.
    ///
    /// # Errors
    /// As [`Browser::start`].
    pub fn start_own() -> Result<Self> {
        Self::start_on(None, &[])
    }

    /// Starts Chromium on a test host of its own, with additional flags.
    ///
    /// # Errors
    /// As [`Browser::start`].
    pub fn start_on(host: Option<&Host>, flags: &[&str]) -> Result<Self> {
        Lease::own(host, &["driver.mjs"], &launch(flags)).map(Self::of)
    }

    /// Starts Firefox as Debian packages it, which has no H.264. It knows only some of what
    /// Chromium does for tests.
    ///
    /// # Errors
    /// When Node or Firefox are missing; `make test` installs Firefox.
    pub fn start_firefox() -> Result<Self> {
        Self::start_firefox_preferring(&json!({}))
    }

    /// As [`Browser::start_firefox`], with connections over loopback, which Firefox makes only so.
    ///
    /// # Errors
    /// As [`Browser::start_firefox`].
    pub fn start_firefox_on_loopback() -> Result<Self> {
        Self::start_firefox_preferring(&json!({ "media.peerconnection.ice.loopback": true }))
    }

    fn start_firefox_preferring(preferences: &Value) -> Result<Self> {
        let program = ["--experimental-websocket", "--no-warnings", "firefox.mjs"];
        let launch = json!({ "do": "launch", "preferences": preferences });
        Lease::own(None, &program, &launch).map(Self::of)
    }

    fn of(lease: Lease) -> Self {
        Self { lease: Arc::new(Mutex::new(lease)) }
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens `url` in a window with cookies of its own, of 1280 × 720 pixels.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open(&self, url: &str) -> Result<Page> {
        self.open_sized(url, 1280, 720)
    }

    /// As [`Browser::open`], with another size.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open_sized(&self, url: &str, width: u32, height: u32) -> Result<Page> {
        self.open_with(&json!({ "do": "open", "url": url, "width": width, "height": height }))
    }

    /// As [`Browser::open_sized`], on a display with this many device pixels to a CSS pixel, as a
    /// browser's device mode emulates it.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open_scaled(&self, url: &str, (width, height): (u32, u32), ratio: f64) -> Result<Page> {
        self.open_with(
            &json!({ "do": "open", "url": url, "width": width, "height": height, "ratio": ratio }),
        )
    }

    /// As [`Browser::open`], in a real window without emulation.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open_plain(&self, url: &str) -> Result<Page> {
        self.open_with(&json!({ "do": "open", "url": url, "plain": true }))
    }

    /// As [`Browser::open`], but the page's WebRTC may use the relay only, by this transport.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open_relayed(&self, url: &str, transport: Transport) -> Result<Page> {
        let relay = transport.name();
        self.open_with(
            &json!({ "do": "open", "url": url, "width": 1280, "height": 720, "relay": relay }),
        )
    }

    /// As [`Browser::open_sized`], but a test can spoil the page's pictures before they are
    /// decoded, and those of so many macroblocks or more are spoiled from the beginning.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open_spoiled(
        &self,
        url: &str,
        (width, height): (u32, u32),
        macroblocks: Option<u32>,
    ) -> Result<Page> {
        let spoil = macroblocks.map_or_else(|| json!({}), |from| json!({ "garblesFrom": from }));
        self.open_with(
            &json!({ "do": "open", "url": url, "width": width, "height": height, "spoil": spoil }),
        )
    }

    /// As [`Browser::open`], but the browser seems to lack these formats of video, such as `video/H264`.
    ///
    /// # Errors
    /// When the page cannot be loaded.
    pub fn open_lacking(&self, url: &str, formats: &[&str]) -> Result<Page> {
        let (width, height) = (1280, 720);
        self.open_with(
            &json!({ "do": "open", "url": url, "width": width, "height": height, "lacks": formats }),
        )
    }

    fn open_with(&self, command: &Value) -> Result<Page> {
        let page = self.ask(command)?.as_u64().context("the number of a page")?;
        Ok(Page { browser: self.clone(), page })
    }

    /// Stops every process of Chromium until the value is dropped.
    ///
    /// # Errors
    /// When one cannot be stopped.
    pub fn stall(&self) -> Result<Stall> {
        let mut lease = self.lease();
        lease.keep_from_others();
        Stall::of(&descendants(lease.process()?))
    }

    fn ask(&self, command: &Value) -> Result<Value> {
        self.lease().ask(command)
    }
}

/// The command that starts Chromium with these flags and the usual ones.
fn launch(flags: &[&str]) -> Value {
    json!({ "do": "launch", "flags": flags })
}

/// What a page knows about a decoded frame.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct DecodedFrame {
    /// When it was decoded, in milliseconds of the wall clock.
    pub at: f64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How many frames the browser had shown by then: a busy page is not told about all of them.
    pub presented: u32,
    /// Its timestamp on the network.
    pub rtp: u32,
}

/// An open page. Dropping it leaves it open until its browser ends.
#[derive(Clone, Debug)]
pub struct Page {
    browser: Browser,
    page: u64,
}

impl Page {
    /// Evaluates a JavaScript expression in the page, waiting for it if it is a promise.
    ///
    /// # Errors
    /// When it throws or its value is of another shape.
    pub fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> Result<T> {
        let value = self.ask(json!({ "do": "evaluate", "expression": expression }))?;
        let shown = value.to_string();
        serde_json::from_value(value).with_context(|| format!("{expression} is {shown}"))
    }

    /// Frames decoded so far, over all connections of the page.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn frames(&self) -> Result<Vec<DecodedFrame>> {
        self.evaluate("lumenTest.frames")
    }

    /// Waits until the page shows a picture and accepts keys.
    ///
    /// # Errors
    /// When it never does.
    pub fn wait_for_picture(&self) -> Result<()> {
        self.wait_until_true("a first decoded frame", "lumenTest.frames.length > 0")?;
        self.wait_for_controls()
    }

    /// Waits until the page accepts keys.
    ///
    /// # Errors
    /// When it never does.
    pub fn wait_for_controls(&self) -> Result<()> {
        self.wait_until_true("a page that takes keys", "lumenTest.isControllable()")
    }

    fn wait_until_true(&self, what: &str, expression: &str) -> Result<()> {
        wait_for_ok(what, || {
            let holds: bool = self.evaluate(expression)?;
            if holds { Ok(()) } else { bail!("not yet; the page says: {}", self.console()?) }
        })
    }

    /// All texts that the page's status line has shown.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn statuses(&self) -> Result<Vec<String>> {
        self.evaluate("lumenTest.statuses")
    }

    /// Waits until the status line has shown a text that contains this.
    ///
    /// # Errors
    /// When it never does.
    pub fn wait_for_status(&self, part: &str) -> Result<()> {
        wait_for_ok("a text in the status line", || {
            let statuses = self.statuses()?;
            ensure!(statuses.iter().any(|status| status.contains(part)), "it says {statuses:?}");
            Ok(())
        })
    }

    /// How many connections the page has made so far; a page that lost none has made one.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn connections_made(&self) -> Result<usize> {
        self.evaluate("lumenTest.peers.length")
    }

    /// Waits until the page has a connection after the first `made`, and accepts keys over it. A page that has
    /// not noticed yet that rtc is gone accepts keys, too, and may still show what rtc has sent.
    ///
    /// # Errors
    /// When it never does.
    pub fn wait_until_connected_anew(&self, made: usize) -> Result<()> {
        wait_until("the page connects anew", || {
            self.connections_made().is_ok_and(|now| now > made)
        })?;
        self.wait_for_controls()
    }

    /// Makes sure that the page has made one connection and no other.
    ///
    /// # Errors
    /// When it has made none or several, with the page's messages about it.
    pub fn ensure_connected_once(&self) -> Result<()> {
        let made = self.connections_made()?;
        ensure!(
            made == 1,
            "the page connected anew, {made} times in all; it says: {}",
            self.console()?
        );
        Ok(())
    }

    /// The path of the picture now.
    ///
    /// # Errors
    /// When there is no picture, or its path is unknown.
    pub fn path(&self) -> Result<Path> {
        let selected: Option<SelectedPath> = self.evaluate("lumenTest.path()")?;
        let selected = selected.context("WebRTC has no path")?;
        match (selected.kind.as_str(), selected.relayed.as_deref()) {
            ("relay", Some("udp")) => Ok(Path::Relayed(Transport::Udp)),
            ("relay", Some("tcp")) => Ok(Path::Relayed(Transport::Tcp)),
            ("relay", Some("tls")) => Ok(Path::Relayed(Transport::Tls)),
            ("host" | "srflx" | "prflx", _) => Ok(Path::Direct),
            (kind, relayed) => bail!("a path by {kind}, {relayed:?}"),
        }
    }

    /// Waits until pictures come in this format, such as `video/VP8`.
    ///
    /// # Errors
    /// When they come in another.
    pub fn wait_for_format(&self, wanted: &str) -> Result<()> {
        wait_for_ok("a format of pictures", || {
            let format: Option<String> = self.evaluate("lumenTest.pictureType()")?;
            ensure!(format.as_deref() == Some(wanted), "they come in {format:?}, not in {wanted}");
            Ok(())
        })
    }

    /// Waits for a frame decoded after `instant`, and returns how much later it came. The page
    /// reports it; the test does not poll meanwhile, so that waiting does not slow the frame down.
    ///
    /// # Errors
    /// When none comes.
    pub fn wait_for_frame_after(&self, instant: SystemTime) -> Result<Duration> {
        let millis = instant.duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
        let patience = patience().as_millis();
        let frame: DecodedFrame =
            self.evaluate(&format!("lumenTest.frameAfter({millis}, {patience})"))?;
        Ok(Duration::from_secs_f64((frame.at - millis) / 1000.0))
    }

    /// Waits until the picture is still and no longer improves: no new frame for a second.
    ///
    /// # Errors
    /// When frames keep coming.
    pub fn wait_until_quiet(&self) -> Result<()> {
        wait_until("no new frame for a second", || {
            self.evaluate("lumenTest.quietMillis()").is_ok_and(|quiet: f64| quiet > 1000.0)
        })
    }

    /// The colour of the picture at a place given as fractions of its width and height.
    ///
    /// # Errors
    /// When there is no picture.
    pub fn colour_at(&self, x: f64, y: f64) -> Result<Colour> {
        self.evaluate(&format!("lumenTest.colourAt({x}, {y})"))
    }

    /// The colours of a part of the picture, given in its pixels, row by row.
    ///
    /// # Errors
    /// When there is no picture.
    pub fn colours_in(&self, place: (u32, u32), size: (u32, u32)) -> Result<Vec<Colour>> {
        let ((left, top), (width, height)) = (place, size);
        let asked = format!("lumenTest.coloursIn({left}, {top}, {width}, {height})");
        let channels: Vec<u8> = self.evaluate(&asked)?;
        let (pixels, _) = channels.as_chunks::<3>();
        Ok(pixels.iter().map(|[red, green, blue]| Colour::new(*red, *green, *blue)).collect())
    }

    /// Waits until the picture is about this colour at a place.
    ///
    /// # Errors
    /// When it stays different.
    pub fn wait_for_colour(&self, (x, y): (f64, f64), wanted: Colour) -> Result<()> {
        wait_for_ok("a colour in the browser", || {
            let seen = self.colour_at(x, y)?;
            if wanted.is_about(seen) {
                return Ok(());
            }
            bail!("the browser shows {seen} at {x},{y} where {wanted} is expected")
        })
    }

    /// Does something once the page accepts it: what is done earlier would be lost.
    fn act(&self, command: Value) -> Result<()> {
        self.wait_for_controls()?;
        self.ask(command).map(drop)
    }

    /// Gives the window another size.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.ask(json!({ "do": "resize", "width": width, "height": height })).map(drop)
    }

    /// Gives the window another size and its display another ratio, as zooming or another monitor
    /// does.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn rescale(&self, (width, height): (u32, u32), ratio: f64) -> Result<()> {
        let command = json!({ "do": "rescale", "width": width, "height": height, "ratio": ratio });
        self.ask(command).map(drop)
    }

    /// The brightness of each device pixel in a part of the window, row by row.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn brightness(&self, (x, y): (u32, u32), (width, height): (u32, u32)) -> Result<Vec<u8>> {
        let command =
            json!({ "do": "brightness", "x": x, "y": y, "width": width, "height": height });
        Ok(serde_json::from_value(self.ask(command)?)?)
    }

    /// Reloads the page.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn reload(&self) -> Result<()> {
        self.ask(json!({ "do": "reload" })).map(drop)
    }

    /// Goes to another address in the same window, with the same cookies.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn go_to(&self, url: &str) -> Result<()> {
        self.ask(json!({ "do": "goTo", "url": url })).map(drop)
    }

    /// Closes the window.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn close(&self) -> Result<()> {
        self.ask(json!({ "do": "close" })).map(drop)
    }

    /// Saves what the window shows as a PNG.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn screenshot(&self, path: &std::path::Path) -> Result<()> {
        self.ask(json!({ "do": "screenshot", "path": path })).map(drop)
    }

    /// All that the page wrote to its console, and every uncaught error.
    ///
    /// # Errors
    /// When the page is gone.
    pub fn console(&self) -> Result<String> {
        let lines = self.ask(json!({ "do": "console" }))?;
        Ok(serde_json::from_value::<Vec<String>>(lines)?.join("\n"))
    }

    fn ask(&self, mut command: Value) -> Result<Value> {
        if let Some(fields) = command.as_object_mut() {
            fields.insert("page".to_owned(), self.page.into());
        }
        self.browser.ask(&command)
    }
}
