//! Browsers that sign in by an identity provider, in the order of production: the page, the host, `lumen-oidc`, a real
//! provider's own pages, `lumen-login`, a desktop. Needs root.

use anyhow::{Result, ensure};
use lumen_tests::{
    accounts::Accounts,
    browser::{Browser, Page},
    hosted::{HostRig, HostSetup},
    identity::IdentityProvider,
    patience::wait_until,
};

use crate::picture::shows_quadrants;

const ALICE: u32 = 4001;
const SECRET: &str = "a-secret-of-the-tests";
/// The page has shown its form, and nothing is on its way.
const ASKS: &str = "!document.querySelector('#sign-in').hidden \
                    && !document.querySelector('#sign-in-provider').disabled";
/// It offers the provider by its name.
const OFFERS: &str = "!document.querySelector('#sign-in-provider').hidden && \
                      document.querySelector('#sign-in-provider').textContent \
                      === 'Sign in with Example & Söhne'";
const ERROR: &str = "document.querySelector('#sign-in-error').textContent";

/// A machine with alice's account, its host, and a provider that knows both alice and bob.
struct Site {
    host: HostRig,
    machine: Accounts,
    provider: IdentityProvider,
}

impl Site {
    fn open() -> Result<Self> {
        let mut machine = Accounts::new(&[("alice", ALICE, "unused")])?;
        machine.open()?;
        let setup = HostSetup::new().as_root().option("--auth", "password");
        let setup = setup.option("--login-socket", &machine.socket("login"));
        let setup = setup.option("--session-socket", &machine.socket("session"));
        let setup = setup.option("--oidc-socket", &machine.socket("oidc"));
        let host = setup.option("--oidc-name", "Example & Söhne").start()?;
        let provider = IdentityProvider::start(&format!("http://{}/", host.address()), SECRET)?;
        machine.trust(&provider.settings(), SECRET)?;
        Ok(Self { host, machine, provider })
    }

    fn visit(&self, browser: &Browser) -> Result<Page> {
        let page = browser.open(&format!("http://{}/", self.host.address()))?;
        wait_until("the page offers the provider", || {
            page.evaluate(ASKS).unwrap_or(false) && page.evaluate(OFFERS).unwrap_or(false)
        })?;
        Ok(page)
    }

    /// Presses the button, and waits for the provider's own form.
    fn leave(&self, page: &Page) -> Result<()> {
        press(page, "#sign-in-provider")?;
        self.is_there(page, "form input[name=login]")
    }

    /// Waits until the provider shows this element.
    fn is_there(&self, page: &Page, selector: &str) -> Result<()> {
        let shows = format!(
            "location.origin === '{}' && document.readyState === 'complete' \
             && document.querySelector('{selector}') !== null",
            self.provider.issuer()
        );
        wait_until(&format!("the provider shows {selector}"), || {
            page.evaluate(&shows).unwrap_or(false)
        })
    }

    /// Signs in at the provider, and allows what Lumen asks for.
    fn agree(&self, page: &Page, name: &str) -> Result<()> {
        page.evaluate::<()>(&format!(
            "void (document.querySelector('[name=login]').value = '{name}', \
             document.querySelector('[name=password]').value = 'x')"
        ))?;
        press(page, "form [type=submit]")?;
        self.is_there(page, "form input[name=prompt][value=consent]")?;
        press(page, "form [type=submit]")
    }
}

/// Clicks, once what evaluates it has its answer: the page may be left by that.
fn press(page: &Page, selector: &str) -> Result<()> {
    let click = format!("document.querySelector('{selector}').click()");
    page.evaluate::<()>(&format!("void setTimeout(() => {click})"))
}

/// Waits until the page says this, and offers to try again.
fn says(page: &Page, words: &str) -> Result<()> {
    wait_until(&format!("the page says: {words}"), || {
        page.evaluate::<String>(ERROR).is_ok_and(|said| said.contains(words))
    })?;
    ensure!(page.evaluate::<bool>(ASKS)? && page.evaluate::<bool>(OFFERS)?);
    ensure!(page.evaluate::<String>("location.search")?.is_empty(), "the address is clean");
    Ok(())
}

#[test]
fn account_that_a_provider_states_gets_its_desktop_and_comes_back_to_it() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::start()?;
    let page = site.visit(&browser)?;
    site.leave(&page)?;
    site.agree(&page, "alice")?;
    shows_quadrants(&page)?;
    ensure!(site.machine.sessions() == ["open_session alice"]);
    ensure!(page.evaluate::<String>("location.search")?.is_empty(), "the address is clean");
    let said = site.host.said();
    ensure!(said.contains("by oidc, as alice"), "{said}");
    page.reload()?;
    shows_quadrants(&page)?;

    // Whoever signs out and in again comes to the same desktop; the provider still knows the browser, and asks nothing.
    press(&page, "#sign-out")?;
    wait_until("the page offers the provider again", || page.evaluate(OFFERS).unwrap_or(false))?;
    press(&page, "#sign-in-provider")?;
    shows_quadrants(&page)?;
    ensure!(site.machine.sessions() == ["open_session alice"]);
    wait_until("the errands' processes have ended", || site.machine.running("oidc").is_empty())?;
    Ok(())
}

#[test]
fn browser_without_an_account_here_or_without_an_attempt_is_not_signed_in() -> Result<()> {
    let site = Site::open()?;
    let browser = Browser::start()?;
    let page = site.visit(&browser)?;

    // Somebody who turns back at the provider.
    site.leave(&page)?;
    press(&page, "a[href$=abort]")?;
    says(&page, "You cancelled signing in, or Example & Söhne does not let you in here.")?;

    // The answer to an attempt of somebody else: its address is all that a stranger can give away.
    let forged = format!("http://{}/?code=stolen&state=stolen", site.host.address());
    let other = browser.open(&forged)?;
    says(&other, "This window has not begun that attempt")?;
    other.close()?;

    // Somebody whom the provider knows, and this machine does not.
    site.leave(&page)?;
    site.agree(&page, "bob")?;
    says(&page, "Example & Söhne has signed you in, but your account may not sign in here.")?;
    ensure!(site.machine.sessions().is_empty() && site.host.status()?.sessions.is_empty());
    let (said, provider) = (site.host.said(), site.machine.said());
    for secret in ["stolen", SECRET] {
        ensure!(!said.contains(secret) && !provider.contains(secret), "{secret} is in a log");
    }
    Ok(())
}
