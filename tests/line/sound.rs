//! Sound over lines that lose packets.

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    browser::Browser,
    hearing::{HERTZ, Listener, frequency, longest_silence, playing_for_ever},
    knob::knob,
    line::{
        Line, SERVER,
        shape::{Loss, Shape},
    },
    measured::note,
    rig::Setup,
};

/// The page is listened to for so many seconds by default. `make sound` does so for a minute.
const SECONDS: f64 = 6.0;

#[test]
fn tone_over_a_line_that_loses_one_packet_in_twenty_has_its_frequency_and_no_gap() -> Result<()> {
    let seconds = knob("LUMEN_TEST_LISTEN_SECONDS", SECONDS)?;
    let lossy = Shape { loss: Loss::per_mille(50), ..Shape::default() };
    let line = Line::new(lossy, Shape::default())?;
    let rig = Setup::new()
        .app(playing_for_ever("pw-play")?)
        .option("--relay", "off")
        .on_host(&line.server, "0.0.0.0:8080")
        .start()?;
    let browser = Browser::start_on(Some(&line.browser), &[])?;
    let page = Listener::open(&browser, &rig.url_from(SERVER))?;
    let before = page.0.heard_sound()?;
    let blocks = page.listen(seconds)?;
    let after = page.0.heard_sound()?;
    let hertz = frequency(&blocks).context("nothing was heard")?;
    let silence = longest_silence(&blocks);
    let made_up = (after.concealed - before.concealed) / (after.played - before.played) * 100.0;
    note("a tone over a line that loses 5 %: longest silence, ms", silence);
    note("a tone over a line that loses 5 %: made up by the browser, %", made_up);
    ensure!((hertz - HERTZ).abs() < 1.0, "it is heard at {hertz} Hz");
    ensure!(silence < 30.0, "it pauses for {silence} ms");
    ensure!(made_up < 1.5, "{made_up} % of it is made up");
    Ok(())
}
