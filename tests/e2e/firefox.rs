//! Firefox as Debian packages it, which decodes VP8 and no H.264.

use anyhow::Result;
use lumen_tests::{
    browser::{Browser, Transport},
    picture::colour_of_key,
    rig::{Rig, Setup},
};

use crate::picture::{has_size, shows_quadrants};

/// `KEY_W` of linux/input-event-codes.h.
const KEY_W: u32 = 17;

/// Firefox makes no connections over loopback, where a desktop's media socket is by itself if the page is.
pub(crate) const REACHED_BY_FIREFOX: (&str, &str) = ("--udp-listen", "0.0.0.0");

#[test]
fn firefox_shows_the_desktop_and_types() -> Result<()> {
    let (option, everywhere) = REACHED_BY_FIREFOX;
    let rig = Setup::new().option(option, everywhere).start()?;
    let browser = Browser::start_firefox()?;
    let page = browser.open(rig.url())?;
    shows_quadrants(&page)?;
    page.wait_for_format("video/VP8")?;
    page.key_down("KeyW")?;
    page.key_up("KeyW")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))?;
    page.resize(1000, 750)?;
    has_size(&page, 1000, 750)?;
    page.wait_until_quiet()?;
    page.ensure_connected_once()
}

#[test]
fn firefox_says_what_to_do_where_the_desktop_is_on_loopback_only() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start_firefox()?;
    let page = browser.open(rig.url())?;
    page.wait_for_status("--udp-listen=0.0.0.0")?;
    page.wait_for_status("media.peerconnection.ice.loopback")?;
    drop(browser);
    // Which works, also through a tunnel for one TCP port.
    let browser = Browser::start_firefox_on_loopback()?;
    let page = browser.open(rig.url())?;
    shows_quadrants(&page)?;
    page.ensure_connected_once()?;
    shows_quadrants(&browser.open_relayed(rig.url(), Transport::Tcp)?)
}
