//! Three sessions of one host, each watched by its own page.
//!
//! Each session's app shows a picture that keeps changing, and that gets a colour of its own once the page
//! has pressed its key. So the picture shows whether a page shows another session, or none any more.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use lumen_ipc::{
    process::{ProcessId, Worker},
    units::SessionId,
};

use crate::{
    app::Show,
    app_event::AppEvent,
    browser::{Browser, Page},
    hosted::{HostRig, SessionRig, SessionSetup},
    picture::{Colour, colour_of_key},
    process::Process,
};

/// Pictures that an app draws per second: enough to see soon that pictures arrive, and few enough for
/// three encoders, and a browser that decodes three streams, on two processors.
const FPS: u32 = 5;
/// Size of a page's window, for the same reason.
const WINDOW: (u32, u32) = (480, 320);
/// A point in the flat part of the picture.
const FLAT: (f64, f64) = (0.75, 0.75);

/// A key, by its evdev code and its `KeyboardEvent.code`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    /// The evdev code.
    pub code: u32,
    /// The browser's name.
    pub name: &'static str,
}

/// Two keys for each session, which no other session's page presses. All have different colours but the
/// last.
const KEYS: [[Key; 2]; 3] = [
    [Key { code: 30, name: "KeyA" }, Key { code: 33, name: "KeyF" }],
    [Key { code: 31, name: "KeyS" }, Key { code: 34, name: "KeyG" }],
    [Key { code: 32, name: "KeyD" }, Key { code: 35, name: "KeyH" }],
];

/// A session and the page that watches it.
#[derive(Debug)]
pub struct Watched {
    /// The session.
    pub session: SessionRig,
    /// Its number.
    pub number: SessionId,
    /// The page.
    pub page: Page,
    /// Keys that only this page presses.
    pub keys: [Key; 2],
    /// The app's process at the start.
    pub app: Process,
}

impl Watched {
    fn start(host: &HostRig, browser: &Browser, name: &str, keys: [Key; 2]) -> Result<Self> {
        let session = SessionSetup::new().named(name).show(Show::Blink, FPS).start(host)?;
        session.app_log().wait_until_drawn()?;
        let page = open(browser, &session)?;
        let app = Process(session.app_log().pid()?);
        let watched = Self { number: session.number(host)?, session, page, keys, app };
        watched.press(watched.keys[0])?;
        Ok(watched)
    }

    /// Presses and releases a key, and waits until the page shows its colour.
    ///
    /// # Errors
    /// When the page does not show it.
    pub fn press(&self, key: Key) -> Result<()> {
        self.page.key_down(key.name)?;
        self.page.key_up(key.name)?;
        self.shows(colour_of_key(key.code))
    }

    /// Waits until the page shows this colour.
    ///
    /// # Errors
    /// When it does not.
    pub fn shows(&self, colour: Colour) -> Result<()> {
        self.page.wait_for_colour(FLAT, colour)
    }

    /// Checks that the same app still reacts to keys: the page shows the second key's colour, then the
    /// first's.
    ///
    /// # Errors
    /// When the app has died or was replaced, gets no keys or is not shown, or a key stays down.
    pub fn goes_on(&self) -> Result<()> {
        let named = || format!("session {}", self.number);
        ensure!(self.app.is_alive(), "the app of {} has died", named());
        ensure!(self.session.app_log().pid()? == self.app.0, "{} has another app", named());
        for key in [self.keys[1], self.keys[0]] {
            self.press(key).with_context(named)?;
        }
        self.session.app_log().wait_until_nothing_held().with_context(named)
    }

    /// Waits until the page shows a picture that was made after now.
    ///
    /// # Errors
    /// When none comes.
    pub fn is_live(&self) -> Result<()> {
        let shown = self.page.wait_for_frame_after(SystemTime::now());
        shown.map(drop).with_context(|| format!("session {}", self.number))
    }

    /// Checks that the app never got a key that another page pressed.
    ///
    /// # Errors
    /// When it got one.
    pub fn got_own_keys_only(&self) -> Result<()> {
        let own = self.keys.map(|key| key.code);
        for event in self.session.app_log().events() {
            if let AppEvent::Key { code, .. } = event {
                ensure!(own.contains(&code), "session {} got key {code}", self.number);
            }
        }
        Ok(())
    }

    /// One of its workers.
    ///
    /// # Panics
    /// For a worker of the host.
    #[must_use]
    pub fn worker(&self, worker: Worker) -> ProcessId {
        ProcessId::new(Some(self.number), worker).expect("a session's worker")
    }
}

/// A page that shows the session.
fn open(browser: &Browser, session: &SessionRig) -> Result<Page> {
    let page = browser.open_sized(session.url(), WINDOW.0, WINDOW.1)?;
    page.wait_for_picture()?;
    Ok(page)
}

/// A host, its three sessions, and the browser with their pages.
#[derive(Debug)]
pub struct Trio {
    /// The sessions. They are dropped before their host, which would let them go on.
    pub sessions: [Watched; 3],
    /// The browser of all pages.
    pub browser: Browser,
    /// The host.
    pub host: HostRig,
}

impl Trio {
    /// Starts a host, three sessions, and a browser with a page for each.
    ///
    /// # Errors
    /// When something does not start, or a page does not show its session.
    pub fn start() -> Result<Self> {
        let (host, browser) = (HostRig::start()?, Browser::start()?);
        let start = |name, number: usize| Watched::start(&host, &browser, name, KEYS[number]);
        let sessions = [start("orange", 0)?, start("cyan", 1)?, start("magenta", 2)?];
        Ok(Self { sessions, browser, host })
    }
    /// Closes every page.
    ///
    /// # Errors
    /// When a page is gone.
    pub fn close_pages(&self) -> Result<()> {
        self.sessions.iter().try_for_each(|session| session.page.close())
    }

    /// Opens a page for every session, as at the start.
    ///
    /// # Errors
    /// When one does not show its session.
    pub fn open_pages(&mut self) -> Result<()> {
        for session in &mut self.sessions {
            session.page = open(&self.browser, &session.session)?;
        }
        Ok(())
    }

    /// The compositor of each session.
    ///
    /// # Errors
    /// When one is not ready in time.
    pub fn compositors(&self) -> Result<Vec<Process>> {
        let compositor =
            |session: &Watched| self.host.ready_worker(session.worker(Worker::Compositor));
        self.sessions.iter().map(compositor).collect()
    }
}
