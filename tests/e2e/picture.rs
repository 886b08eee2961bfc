//! What the browser shows is what the app drew, at any size of its window.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lumen_tests::{
    app::Show,
    browser::{Browser, Page, Path, Transport},
    measured::{note, percentile},
    patience::wait_until,
    picture::QUADRANTS,
    rig::{Rig, Setup},
    viewer::{INPUT, Viewer},
};

/// Middles of the quadrants.
const MIDDLES: [(f64, f64); 4] = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
/// Places 2 % from the cross in the middle, where a picture that is stretched, shifted or cut shows
/// the neighbouring colour.
const NEAR_THE_CROSS: [(f64, f64); 4] = [(0.48, 0.48), (0.52, 0.48), (0.48, 0.52), (0.52, 0.52)];
/// Near the corners, which a cropped picture would lose.
const CORNERS: [(f64, f64); 4] = [(0.01, 0.01), (0.99, 0.01), (0.01, 0.99), (0.99, 0.99)];

pub(crate) fn shows_quadrants(page: &Page) -> Result<()> {
    for places in [MIDDLES, NEAR_THE_CROSS, CORNERS] {
        for (place, colour) in places.into_iter().zip(QUADRANTS) {
            page.wait_for_colour(place, colour)?;
        }
    }
    Ok(())
}

#[test]
fn first_page_shows_the_apps_colours() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    shows_quadrants(&page)
}

#[test]
fn page_at_the_ipv6_loopback_shows_the_apps_colours_by_each_way() -> Result<()> {
    let rig = Setup::new().listen("[::1]:0").start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    shows_quadrants(&page)?;
    assert_eq!(page.path()?, Path::Direct);
    page.close()?;
    for transport in [Transport::Udp, Transport::Tcp] {
        let page = browser.open_relayed(rig.url(), transport)?;
        shows_quadrants(&page)?;
        assert_eq!(page.path()?, Path::Relayed(transport));
        page.close()?;
    }
    Ok(())
}

#[test]
fn page_reports_nothing_wrong() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let console = page.console()?;
    assert!(!console.contains("error") && !console.contains("uncaught"), "{console}");
    Ok(())
}

#[test]
fn window_resized_gives_the_desktop_its_size() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 1280, 720)?;
    shows_quadrants(&page)?;
    page.resize(900, 700)?;
    has_size(&page, 900, 700)?;
    shows_quadrants(&page)?;
    page.resize(640, 360)?;
    has_size(&page, 640, 360)?;
    shows_quadrants(&page)
}

#[test]
fn window_resized_costs_one_keyframe() -> Result<()> {
    /// Long enough that the desktop may change its size again, and that all later pictures have
    /// come.
    const PAUSE: Duration = Duration::from_millis(500);
    for (show, what) in [(Show::Quadrants, "still"), (Show::Motion, "in motion")] {
        let rig = Setup::new().show(show, 60).start()?;
        let viewer = Viewer::join(&rig)?;
        viewer.wait_until_connected()?;
        viewer.wait_for_frame(0)?;
        let keys = || -> Vec<Instant> {
            let seen = viewer.seen();
            seen.frames.iter().filter(|frame| frame.keyframe).map(|frame| frame.at).collect()
        };
        let rest = || {
            let since = Instant::now();
            wait_until("the desktop has rested", || since.elapsed() > PAUSE)
        };
        rest()?;
        let (before, mut times) = (keys().len(), Vec::new());
        for round in 0..20_u16 {
            let size = [640 + 8 * round, 480, 120].map(u16::to_be_bytes).concat();
            let (asked, known) = (Instant::now(), keys().len());
            viewer.send(INPUT, &[&[8], &*size].concat())?;
            wait_until("a keyframe comes", || keys().len() > known)?;
            times.push(keys()[known].duration_since(asked).as_secs_f64() * 1000.0);
            rest()?;
        }
        assert_eq!(keys().len() - before, times.len(), "keyframes for {} sizes", times.len());
        let middle = percentile(&times, 50.0).context("there are some")?;
        note(&format!("resized, {what}: first picture of the new size"), format!("{middle:.1} ms"));
    }
    Ok(())
}

/// Waits for a picture of this size.
pub(crate) fn has_size(page: &Page, width: u32, height: u32) -> Result<()> {
    wait_until(&format!("the picture is {width}x{height}"), || {
        let last = page.frames().ok().and_then(|frames| frames.last().copied());
        last.is_some_and(|frame| (frame.width, frame.height) == (width, height))
    })
}

#[test]
fn window_larger_than_any_decoder_takes_gets_the_largest_desktop_of_its_shape() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 4112, 2658)?;
    has_size(&page, 3814, 2464)?;
    shows_quadrants(&page)?;
    page.resize(4500, 3000)?;
    has_size(&page, 3746, 2496)?;
    shows_quadrants(&page)?;
    page.resize(3000, 4500)?;
    has_size(&page, 2496, 3746)?;
    shows_quadrants(&page)?;
    page.ensure_connected_once()
}

#[test]
fn desktop_of_the_largest_sizes_is_decoded() -> Result<()> {
    for size in ["4096x2304", "3072x3072"] {
        let rig = Setup::new().option("--size", size).option("--resize", "fixed").start()?;
        let browser = Browser::start()?;
        let page = browser.open_sized(rig.url(), 1280, 720)?;
        shows_quadrants(&page)?;
        let (width, height) = size.split_once('x').expect("two sides");
        has_size(&page, width.parse()?, height.parse()?)?;
    }
    Ok(())
}

#[test]
fn window_resized_letterboxes_a_desktop_of_fixed_size() -> Result<()> {
    let setup = Setup::new().option("--size", "1280x720").option("--resize", "fixed");
    let rig = setup.start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), 800, 800)?;
    shows_quadrants(&page)?;
    has_size(&page, 1280, 720)?;
    #[derive(serde::Deserialize)]
    struct PictureBox {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
    }
    let found: PictureBox = page.evaluate("lumenTest.pictureBox()")?;
    // 1280:720 in 800 x 800: full width, bars above and below. One pixel for rounding.
    let expected = [(found.x, 0.0), (found.y, 175.0), (found.width, 800.0), (found.height, 450.0)];
    for (found, expected) in expected {
        assert!((found - expected).abs() <= 1.0, "{found} where {expected} is expected");
    }
    Ok(())
}
