//! Which path leads through which network.

use std::time::Instant;

use anyhow::Result;
use lumen_tests::{browser::Browser, rig::Setup};

use crate::topology::{Gate, Network, SERVER_V4};

#[test]
fn every_network_is_passed() -> Result<()> {
    let network = Network::symmetric_nat(Gate::Open)?;
    let rig = Setup::new().on_host(&network.server, "0.0.0.0:8080").start()?;
    let browser = Browser::start_on(Some(&network.browser))?;
    let started = Instant::now();
    let page = browser.open(&rig.url_from(SERVER_V4))?;
    page.wait_for_picture()?;
    println!("{:?}", started.elapsed());
    Ok(())
}
