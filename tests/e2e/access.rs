//! Who gets in.

use anyhow::Result;
use lumen_tests::{
    browser::Browser,
    patience::wait_until,
    rig::{Rig, Setup},
};

/// The page's form that asks for a token.
const ASKS_FOR_TOKEN: &str = "!document.querySelector('#login').hidden";

fn asks_for_token(page: &lumen_tests::browser::Page) -> Result<()> {
    wait_until("the page asks for a token", || page.evaluate(ASKS_FOR_TOKEN).unwrap_or(false))
}

#[test]
fn address_without_a_token_asks_for_it() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("http://{}/", rig.address()))?;
    asks_for_token(&page)?;
    assert!(page.frames()?.is_empty());
    Ok(())
}

#[test]
fn address_with_a_wrong_token_asks_again() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("http://{}/#token=wrong", rig.address()))?;
    asks_for_token(&page)?;
    assert!(page.frames()?.is_empty());
    Ok(())
}

#[test]
fn token_leaves_the_address_bar_and_the_login_outlives_a_reload() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let address: String = page.evaluate("location.href")?;
    assert!(!address.contains("token"), "{address}");
    page.reload()?;
    page.wait_for_picture()
}

#[test]
fn no_authentication_on_loopback_lets_in_without_a_token() -> Result<()> {
    let rig = Setup::new().option("--auth", "none").start()?;
    assert_eq!(rig.token(), "");
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()
}

#[test]
fn browser_with_an_rsa_key_is_refused_with_the_keys_that_are_taken() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.evaluate::<()>("lumenTest.useRsaKeys().then(() => lumenTest.peers[0].close())")?;
    page.wait_for_status("its certificate must have an ECDSA key")?;
    wait_until("the log says so", || rig.said().contains("must have an ECDSA key"))
}
