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
fn signing_out_ends_picture_and_login_at_once_and_in_every_window() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    wait_until("there is something to sign out of", || {
        page.evaluate("!document.querySelector('#sign-out').hidden").unwrap_or(false)
    })?;
    page.evaluate::<()>("void document.querySelector('#sign-out').click()")?;
    asks_for_token(&page)?;
    wait_until("the viewer is gone", || {
        let status = rig.lumen(&["status"]);
        status.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("no viewer"))
    })?;
    page.reload()?;
    asks_for_token(&page)
}

#[test]
fn login_whose_life_is_over_asks_for_the_token_while_the_page_is_open() -> Result<()> {
    let rig = Setup::new().option("--login-life", "8s").start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    asks_for_token(&page)
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
