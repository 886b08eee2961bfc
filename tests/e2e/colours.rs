//! A still picture keeps its colours, however saturated: in areas, and in strokes of one pixel as far
//! as one colour sample for four pixels can carry them.

use anyhow::{Context as _, Result};
use lumen_tests::{
    app::Show,
    browser::{Browser, Page},
    measured::note,
    patience::wait_until,
    picture::{BARS, Colour, Picture, subsampled},
    rig::Setup,
};

const WIDTH: u32 = 1920;
const HEIGHT: u32 = 1080;

/// Rows that are looked at.
const ROWS: u32 = 64;

/// The most that a channel of a flat area may be off.
const CLOSE: u8 = 3;

/// The share of channels of thin letters that may be off by more: Chromium's conversion alone takes up
/// to [`CLOSE`].
const BEARABLE: f64 = 0.01;

fn differences(one: Colour, other: Colour) -> [u8; 3] {
    [one.red.abs_diff(other.red), one.green.abs_diff(other.green), one.blue.abs_diff(other.blue)]
}

/// The mean difference of all channels.
fn mean(ones: &[Colour], others: &[Colour]) -> f64 {
    let sums = ones.iter().zip(others).flat_map(|(one, other)| differences(*one, *other));
    sums.map(f64::from).sum::<f64>() / (3 * ones.len()) as f64
}

/// The largest difference of any channel in `ones`, with the colours that have it, and the share of
/// channels that differ by more than [`CLOSE`].
fn worst(ones: &[Colour], others: &[Colour]) -> (u8, String, f64) {
    let pairs = ones.iter().zip(others);
    let all = pairs.clone().flat_map(|(one, other)| differences(*one, *other));
    let share =
        all.filter(|difference| *difference > CLOSE).count() as f64 / (3 * ones.len()) as f64;
    let differing = pairs.map(|(one, other)| {
        let [red, green, blue] = differences(*one, *other);
        (red.max(green).max(blue), one, other)
    });
    let (worst, one, other) =
        differing.max_by_key(|(difference, ..)| *difference).expect("there are pixels");
    (worst, format!("{one} where {other} is expected"), share)
}

/// A part of the picture: its name, its first row, and the share of its channels that may be off by
/// more than [`CLOSE`].
const PARTS: [(&str, u32, f64); 3] =
    [("bars", 260, 0.0), ("letters on white", 600, BEARABLE), ("letters on black", 900, BEARABLE)];

/// What is seen of a part beside what was drawn: whether that is bearable, and how far it is off.
fn compare(page: &Page, drawn: &Picture, part: (&str, u32, f64)) -> Result<(bool, String)> {
    let (name, top, bearable) = part;
    let seen = page.colours_in((0, top), (WIDTH, ROWS))?;
    let pixels = drawn.part((0, top as usize), (WIDTH as usize, ROWS as usize));
    let best = subsampled(&pixels, WIDTH as usize);
    let (difference, colours, share) = worst(&seen, &best);
    let figures = format!(
        "{name}: mean error {:.2}, of which subsampling takes {:.2}; {:.2} % are off by more than \
         {CLOSE}, by up to {difference}: {colours}",
        mean(&seen, &pixels),
        mean(&best, &pixels),
        share * 100.0
    );
    Ok((share <= bearable, figures))
}

/// Flat areas are as drawn. Thin letters are as well as one colour sample for four pixels can show
/// them, which is far from what was drawn. On a busy machine seconds can pass between two steps of
/// refinement, so that only the picture itself says when it is done.
#[test]
fn still_saturated_colours_are_shown_within_three_levels() -> Result<()> {
    let rig = Setup::new().show(Show::Colours, 60).start()?;
    let browser = Browser::start()?;
    let page = browser.open_sized(rig.url(), WIDTH, HEIGHT)?;
    page.wait_for_colour((0.06, 0.25), BARS[0])?;
    let drawn = Picture::colours(WIDTH as usize, HEIGHT as usize);
    for part in PARTS {
        let mut figures = String::new();
        wait_until("the colours are as drawn", || {
            compare(&page, &drawn, part).is_ok_and(|(bearable, seen)| {
                figures = seen;
                bearable
            })
        })
        .with_context(|| figures.clone())?;
        note("colours", figures);
    }
    Ok(())
}
