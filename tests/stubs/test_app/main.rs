//! The app the end-to-end tests show: a window of known pixels that writes down every event.
//!
//! `test-app --log FILE [--picture NAME] [--fps N] [--format xrgb|argb]`, with the pictures
//! - `quadrants`: four flat colours, still (the default);
//! - `checkers`: one flat colour with a square of black and white pixels, still;
//! - `colours`: bars of saturated colours above thin letters in the same colours, still;
//! - `flash`: one flat colour, and white when standard input says so (`flashes`);
//! - `flat`: one flat colour, still;
//! - `motion`: a coloured, grained picture that changes in every pixel;
//! - `scroll`: a page of text that moves up one line a frame;
//! - `noise`: grey noise, new in every frame, around a flat square that a key colours;
//! - `blink`: one flat colour with a small square that changes; a key changes the flat colour only.
//!
//! A key press fills the window with the key's own colour, so that a test can tell in the browser
//! which key arrived. In the format `argb` something behind the window might be seen as far as a
//! compositor knows, so it has to draw the window. Trusts its compositor: it is a test's tool and
//! fails loudly.

#![forbid(unsafe_code)]

mod animation;
mod flashes;
mod shared_pixels;
mod window;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use lumen_tests::{app::Show, app_event::AppEvent};
use wayland_client::protocol::wl_shm::Format;

/// What the command line asks for.
struct Options {
    log: PathBuf,
    show: Show,
    frame_interval: Duration,
    format: Format,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let (mut log, mut show, mut fps) = (None, Show::Quadrants, 60_u32);
        let mut format = Format::Xrgb8888;
        while let Some(option) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--log" => log = Some(PathBuf::from(value)),
                "--picture" => {
                    show =
                        Show::from_name(&value).with_context(|| format!("no picture {value}"))?;
                }
                "--fps" => fps = value.parse().context("--fps wants a number")?,
                "--format" => format = format_of(&value)?,
                _ => bail!("unknown option {option}"),
            }
        }
        let log = log.context("--log FILE is needed")?;
        Ok(Self { log, show, frame_interval: Duration::from_secs(1) / fps.max(1), format })
    }
}

fn format_of(word: &str) -> Result<Format> {
    match word {
        "argb" => Ok(Format::Argb8888),
        "xrgb" => Ok(Format::Xrgb8888),
        _ => bail!("no format {word}"),
    }
}

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut window = window::Window::open(&options)?;
    window.log(&AppEvent::Started { pid: std::process::id() })?;
    window.run()
}
