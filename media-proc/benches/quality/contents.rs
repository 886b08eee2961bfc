//! What the pictures show: six kinds of content that desktops consist of, drawn by formulas, so that
//! every machine measures the same.

use lumen_ipc::{message::frames::Rect, units::FrameSize};
use lumen_media::convert::{Frame, MACROBLOCK, MacroblockMap, Planes};

/// Pictures of each content. The first is coded whole and not counted.
pub(crate) const PICTURES: usize = 24;

pub(crate) const WIDTH: usize = 1280;
pub(crate) const HEIGHT: usize = 720;

/// Red, green and blue.
type Colour = [u8; 3];

/// One kind of content.
#[derive(Clone, Copy)]
pub(crate) struct Content {
    pub(crate) name: &'static str,
    /// The colour of a pixel in a picture, by number of the picture, column and row.
    colour: fn(usize, usize, usize) -> Colour,
    /// Where text is, if anywhere, by the same three.
    text: Option<fn(usize, usize, usize) -> bool>,
}

pub(crate) const CONTENTS: [Content; 6] = [
    Content { name: "typing", colour: typing, text: Some(|_, _, _| true) },
    Content { name: "scrolling text", colour: scrolling, text: Some(|_, _, _| true) },
    Content { name: "window dragged", colour: dragged, text: Some(in_window) },
    Content { name: "photograph panned", colour: panned, text: None },
    Content { name: "video", colour: video, text: None },
    Content { name: "game", colour: game, text: Some(in_score) },
];

/// One picture of a content.
pub(crate) struct Shot {
    pub(crate) planes: Planes,
    /// What differs from the picture before; everything in the first.
    pub(crate) changed: MacroblockMap,
    /// For each pixel, whether it is part of text; empty where the content has none.
    pub(crate) text: Vec<bool>,
}

pub(crate) fn size() -> FrameSize {
    FrameSize::nearest(WIDTH as u32, HEIGHT as u32)
}

/// All pictures of `content`.
pub(crate) fn shots(content: Content) -> Vec<Shot> {
    let mut before: Option<Vec<u8>> = None;
    (0..PICTURES)
        .map(|number| {
            let pixels = draw(content, number);
            let changed = before.as_ref().map_or_else(
                || MacroblockMap::whole(size()),
                |before| differences(before, &pixels),
            );
            let mut planes = Planes::new(size());
            let frame =
                Frame::new(&pixels, size().stride_bytes(), size()).expect("covers the size");
            planes.update(frame, &MacroblockMap::whole(size())).expect("same size");
            before = Some(pixels);
            let text = content.text.map_or_else(Vec::new, |is_text| {
                places().map(|(column, row)| is_text(number, column, row)).collect()
            });
            Shot { planes, changed, text }
        })
        .collect()
}

fn places() -> impl Iterator<Item = (usize, usize)> {
    (0..HEIGHT).flat_map(|row| (0..WIDTH).map(move |column| (column, row)))
}

fn draw(content: Content, number: usize) -> Vec<u8> {
    places()
        .flat_map(|(column, row)| {
            let [red, green, blue] = (content.colour)(number, column, row);
            [blue, green, red, 255]
        })
        .collect()
}

fn differences(before: &[u8], after: &[u8]) -> MacroblockMap {
    let mut map = MacroblockMap::constant(size());
    for y in (0..HEIGHT).step_by(MACROBLOCK) {
        for x in (0..WIDTH).step_by(MACROBLOCK) {
            let differs = (y..(y + MACROBLOCK).min(HEIGHT)).any(|row| {
                let line = (row * WIDTH + x) * 4..(row * WIDTH + x + MACROBLOCK) * 4;
                before[line.clone()] != after[line]
            });
            if differs {
                let side = MACROBLOCK as u16;
                map.mark(Rect { x: x as u16, y: y as u16, width: side, height: side });
            }
        }
    }
    map
}

/// A letter more in each picture, at the end of a page that is half full.
fn typing(number: usize, column: usize, row: usize) -> Colour {
    let (letter, line) = (column / 9, row / 18);
    let written = line < 20 || line == 20 && letter < 20 + number;
    if written { letters(column, row) } else { PAPER }
}

fn scrolling(number: usize, column: usize, row: usize) -> Colour {
    letters(column, row + 7 * number)
}

/// A window with text over a photograph.
fn dragged(number: usize, column: usize, row: usize) -> Colour {
    if !in_window(number, column, row) {
        return photograph(column as f64, row as f64);
    }
    let (left, top) = window(number);
    if row < top + 24 { [60, 90, 160] } else { letters(column - left + 9, row - top + 180) }
}

const fn window(number: usize) -> (usize, usize) {
    (200 + 9 * number, 120 + 5 * number)
}

fn in_window(number: usize, column: usize, row: usize) -> bool {
    let (left, top) = window(number);
    (left..left + 600).contains(&column) && (top..top + 400).contains(&row)
}

fn panned(number: usize, column: usize, row: usize) -> Colour {
    photograph((column + 6 * number) as f64, (row + 4 * number) as f64)
}

/// A camera that pans and zooms, somebody who moves before it, and the noise of its sensor.
fn video(number: usize, column: usize, row: usize) -> Colour {
    let (x, y, time) = (column as f64, row as f64, number as f64);
    let zoom = time.mul_add(0.01, 1.0);
    let (dx, dy) = (x - 640.0 - 200.0 * (time * 0.1).sin(), y - 380.0 + 30.0 * (time * 0.2).cos());
    let colour = if dx * dx / 14_000.0 + dy * dy / 50_000.0 < 1.0 {
        let sway = 5.0 * time.mul_add(0.3, dy * 0.02).sin();
        photograph(dx.mul_add(1.5, 2000.0 + sway), dy.mul_add(1.5, 900.0))
    } else {
        photograph((x - 640.0) / zoom + time.mul_add(2.3, 640.0), (y - 360.0) / zoom + 400.0)
    };
    let noise = (chance(column as i64 + 7919 * number as i64, row as i64) * 9.0).floor() - 4.0;
    colour.map(|part| (f64::from(part) + noise) as u8)
}

/// A floor and a ceiling that come nearer, figures that move, and a score.
fn game(number: usize, column: usize, row: usize) -> Colour {
    if row < 40 {
        let lit = in_score(number, column, row) && is_stroke(column, row);
        return if lit { [255, 220, 90] } else { [20; 3] };
    }
    let (x, y, time) = (column as f64, row as f64, number as f64);
    for figure in 0..5_u8 {
        let place = f64::from(figure);
        let across = 200.0 + 220.0 * place + 40.0 * time.mul_add(0.25, place).sin();
        let down = 300.0 + 60.0 * time.mul_add(0.2, 2.0 * place).cos();
        if (x - across).abs() < 30.0 && (y - down).abs() < 45.0 {
            let cloth = 50 + ((column * 7 + row * 3) & 31) as u8;
            return [200 - figure * 30, 60 + figure * 30, cloth];
        }
    }
    let below = row > 360;
    let distance = if below { y - 350.0 } else { 370.0 - y };
    let along = (x - 640.0) / distance * 200.0 + 1.5 * time;
    let away = 40_000.0 / distance + 6.0 * time;
    let tile = ((along / 16.0).floor() + (away / 16.0).floor()) as i64 & 1 == 1;
    let light = (0.5 + clouds(along / 10.0, away / 10.0)) * if below { 1.0 } else { 0.7 };
    let paint = if tile { [150.0, 110.0, 70.0] } else { [70.0, 90.0, 130.0] };
    paint.map(|part| (part * light) as u8)
}

fn in_score(_: usize, column: usize, row: usize) -> bool {
    row < 40 && column < 400
}

const PAPER: Colour = [250, 250, 245];

fn letters(column: usize, row: usize) -> Colour {
    if is_stroke(column, row) { [30, 40, 60] } else { PAPER }
}

/// Whether a stroke of a letter is there: letters of 9×18 pixels, words of different lengths.
fn is_stroke(column: usize, row: usize) -> bool {
    let (x, y) = (column % 9, row % 18);
    let shape = ((column / 9 + row / 18 * 311 + 1) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let inside = x < 6 && (4..14).contains(&y);
    let is_space = shape >> 60 < 3;
    inside && !is_space && shape >> ((y - 4) / 2 * 3 + x / 2) & 1 == 1
}

/// Hills and skies with soft edges, fine grain, and some hard edges.
fn photograph(x: f64, y: f64) -> Colour {
    let (hill, sky) = (clouds(x / 90.0, y / 90.0), clouds(x / 60.0 + 50.0, y / 60.0 + 9.0));
    let grain = smooth(x / 3.0, y / 3.0) * 18.0;
    let edge = if (x / 200.0 + y / 300.0) as i64 % 2 == 1 { 20.0 } else { 0.0 };
    [
        hill * 260.0 + grain - 30.0 + edge,
        hill * 120.0 + sky * 140.0 + grain - 10.0,
        sky * 220.0 + grain + 10.0 - edge,
    ]
    .map(|part| part as u8)
}

/// Noise of six sizes, each half as wide and about half as strong as the one before.
fn clouds(x: f64, y: f64) -> f64 {
    let (mut sum, mut strength, mut scale) = (0.0, 0.5, 1.0);
    for _ in 0..6 {
        sum += strength * smooth(x * scale, y * scale);
        strength *= 0.55;
        scale *= 2.03;
    }
    sum
}

/// Chances at whole places, joined smoothly.
fn smooth(x: f64, y: f64) -> f64 {
    let (left, top) = (x.floor(), y.floor());
    let ease = |part: f64| part * part * 2.0_f64.mul_add(-part, 3.0);
    let (across, down) = (ease(x - left), ease(y - top));
    let corner = |dx: i64, dy: i64| chance(left as i64 + dx, top as i64 + dy);
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * across;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * across;
    upper + (lower - upper) * down
}

/// A number from 0 to 1 that depends on the place alone.
fn chance(x: i64, y: i64) -> f64 {
    let mixed =
        (x as u32).wrapping_mul(374_761_393).wrapping_add((y as u32).wrapping_mul(668_265_263));
    let mixed = (mixed ^ mixed >> 13).wrapping_mul(1_274_126_177);
    f64::from((mixed ^ mixed >> 16) & 0xFFFF) / 65_535.0
}
