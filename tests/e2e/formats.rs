//! Browsers that lack a format of video, alone and beside others. Chromium seems to lack what the test says.

use anyhow::{Result, ensure};
use lumen_tests::{
    browser::{Browser, Page},
    patience::wait_for_ok,
    picture::colour_of_key,
    rig::Rig,
};

use crate::picture::{has_size, shows_quadrants};

/// `KEY_W` and `KEY_A` of linux/input-event-codes.h.
const KEY_W: u32 = 17;
const KEY_A: u32 = 30;

const H264: &str = "video/H264";
const VP8: &str = "video/VP8";

/// Presses `code` in one page and waits until all show its colour.
fn press(page: &Page, code: &str, key: u32, all: &[&Page]) -> Result<()> {
    page.key_down(code)?;
    page.key_up(code)?;
    all.iter().try_for_each(|page| page.wait_for_colour((0.5, 0.5), colour_of_key(key)))
}

/// Waits until `lumen status` says this of media.
fn media_says(rig: &Rig, part: &str) -> Result<()> {
    wait_for_ok("what media says", || {
        let status = String::from_utf8(rig.lumen(&["status"])?.stdout)?;
        ensure!(status.contains(part), "{status}");
        Ok(())
    })
}

#[test]
fn browser_without_h264_sees_the_desktop_in_vp8() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_lacking(rig.url(), &[H264])?;
    shows_quadrants(&page)?;
    page.wait_for_format(VP8)?;
    media_says(&rig, "VP8")?;
    press(&page, "KeyW", KEY_W, &[&page])?;
    page.resize(1000, 750)?;
    has_size(&page, 1000, 750)?;
    press(&page, "KeyA", KEY_A, &[&page])?;
    page.wait_until_quiet()?;
    page.ensure_connected_once()
}

#[test]
fn viewers_get_vp8_while_one_of_them_lacks_h264_and_then_h264_again() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let able = browser.open(rig.url())?;
    shows_quadrants(&able)?;
    able.wait_for_format(H264)?;
    let lacking = browser.open_lacking(rig.url(), &[H264])?;
    shows_quadrants(&lacking)?;
    let both = [&able, &lacking];
    both.iter().try_for_each(|page| page.wait_for_format(VP8))?;
    press(&lacking, "KeyW", KEY_W, &both)?;
    press(&able, "KeyA", KEY_A, &both)?;
    lacking.close()?;
    able.wait_for_format(H264)?;
    press(&able, "KeyW", KEY_W, &[&able])?;
    able.ensure_connected_once()
}

#[test]
fn browser_with_none_of_the_formats_is_told_so() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open_lacking(rig.url(), &[H264, VP8])?;
    page.wait_for_status("can decode none of the formats")
}
