//! A browser that reaches the desktop only through the relay, over each transport.
//!
//! Needs Chromium, and openssl for the relay's certificate.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    app::Show,
    browser::{Browser, Page},
    measured::note_time,
    patience::wait_for_ok,
    picture::{QUADRANTS, colour_of_key},
    rig::{Rig, Setup},
    stage::Folder,
};
use serde::Deserialize;

use crate::{
    picture::shows_quadrants,
    viewers::{Program, Seen},
};

/// `KEY_W`.
const KEY_W: u32 = 17;
/// The relay's name on the gateway's port. Browsers find this host under it (RFC 6761).
const NAME: &str = "relay.localhost";

/// Longer than the slowest machine takes to bring back a relayed viewer's picture.
const GENEROUS: Duration = Duration::from_secs(15);

/// What the page reports about its paths.
#[derive(Debug, Deserialize)]
struct Report {
    used: Option<Used>,
    paths: Vec<Tried>,
}

#[derive(Debug, Deserialize)]
struct Used {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Tried {
    name: String,
    works: Option<bool>,
}

fn report(page: &Page) -> Result<Report> {
    page.evaluate("lumen.report()")
}

/// The printed URL with a wish for the path: `only`, or one transport.
fn url(rig: &Rig, wish: &str) -> String {
    rig.url().replace("/#", &format!("/?relay={wish}#"))
}

/// A certificate for the relay and its key.
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    _folder: Folder,
}

impl Certificate {
    fn new() -> Result<Self> {
        let folder = Folder::new("certificate", 0o755)?;
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=relay.localhost", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&chain)
            .output()
            .context("running openssl")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // The ordinary user who starts Lumen may differ from the one who runs the tests.
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
        Ok(Self { chain, key, _folder: folder })
    }

    fn setup(&self) -> Result<Setup> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path in UTF-8");
        Ok(Setup::new()
            .option("--relay-cert", &text(&self.chain)?)
            .option("--relay-key", &text(&self.key)?)
            .option("--relay-name", NAME))
    }
}

/// Watches over one transport, and acts.
fn works_by(rig: &Rig, browser: &Browser, way: &str) -> Result<()> {
    let page = browser.open(&url(rig, way))?;
    shows_quadrants(&page)?;
    page.key_down("KeyW")?;
    page.key_up("KeyW")?;
    page.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))?;
    let used = report(&page)?.used.context("no path is used")?.name;
    let expected = format!("relay {}", way.to_uppercase());
    ensure!(used == expected, "{used} where {expected} is expected");
    page.close()
}

#[test]
fn picture_and_keys_pass_the_relay_over_udp() -> Result<()> {
    works_by(&Rig::start()?, &Browser::start()?, "udp")
}

#[test]
fn picture_and_keys_pass_the_relay_over_tcp() -> Result<()> {
    works_by(&Rig::start()?, &Browser::start()?, "tcp")
}

#[test]
fn picture_and_keys_pass_the_relay_over_tls() -> Result<()> {
    let certificate = Certificate::new()?;
    works_by(&certificate.setup()?.start()?, &Browser::start()?, "tls")
}

#[test]
fn report_tries_every_way_ports_shared_with_the_gateway_included() -> Result<()> {
    let certificate = Certificate::new()?;
    let rig = certificate.setup()?.start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let report = report(&page)?;
    let used = report.used.as_ref().map(|used| used.name.as_str());
    assert_eq!(used, Some("direct UDP"), "{report:?}");
    assert!(report.paths.iter().all(|path| path.works == Some(true)), "{report:?}");
    let names: Vec<_> = report.paths.iter().map(|path| path.name.as_str()).collect();
    let expected = ["direct UDP", "relay UDP", "relay TCP", "relay TLS", "relay TCP", "relay TLS"];
    assert_eq!(names, expected);
    Ok(())
}

#[test]
fn two_viewers_behind_the_relay_see_the_same() -> Result<()> {
    let rig = Rig::start()?;
    let browser = Browser::start()?;
    let (first, second) = (browser.open(&url(&rig, "udp"))?, browser.open(&url(&rig, "tcp"))?);
    shows_quadrants(&first)?;
    shows_quadrants(&second)?;
    second.key_down("KeyW")?;
    second.key_up("KeyW")?;
    first.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))?;
    second.wait_for_colour((0.5, 0.5), colour_of_key(KEY_W))
}

/// Kills `worker` under a relayed viewer of a changing picture; returns the time until the picture
/// changed again, and how many peer connections the page has made because of it.
fn interrupted_by_death_of(worker: Worker) -> Result<(Duration, usize)> {
    let rig = Setup::new().show(Show::Blink, 30).start()?;
    let browser = Browser::start()?;
    let page = browser.open(&url(&rig, "udp"))?;
    page.wait_for_picture()?;
    let before = page.connections_made()?;
    let at = SystemTime::now();
    rig.kill(worker)?;
    let killed = at.duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
    // Frames on their way still arrive, then none for a while: the end of that gap counts.
    let end_of_gap = format!(
        "(() => {{ let last = {killed}; for (const {{ at }} of lumenTest.frames) {{ \
         if (at > {killed} && at - last > 150) return at - {killed}; \
         last = Math.max(last, at); }} return null; }})()"
    );
    let millis = wait_for_ok("the picture moves again", || {
        page.evaluate::<Option<f64>>(&end_of_gap)?
            .with_context(|| format!("it stands still: {}", page.console().unwrap_or_default()))
    })?;
    Ok((Duration::from_secs_f64(millis / 1000.0), page.connections_made()? - before))
}

#[test]
fn relay_killed_keeps_the_connection_of_a_relayed_viewer() -> Result<()> {
    let (time, peers) = interrupted_by_death_of(Worker::Turn)?;
    note_time("turn killed, relayed picture moves again (aim 2000 ms)", time);
    assert_eq!(peers, 0, "the page connected anew");
    assert!(time < GENEROUS, "{time:?}");
    Ok(())
}

#[test]
fn rtc_killed_brings_a_relayed_viewer_back() -> Result<()> {
    let (time, _) = interrupted_by_death_of(Worker::Rtc)?;
    note_time("rtc killed, relayed picture moves again (aim 2000 ms)", time);
    Ok(())
}

#[test]
fn aiortc_decodes_the_picture_through_the_relay() -> Result<()> {
    let rig = Setup::new().option("--size", "1280x720").start()?;
    for way in ["udp", "tcp"] {
        let Seen { height, width, .. } =
            Program::AiortcRelayed.watches(&rig, &[way], QUADRANTS[0])?;
        assert_eq!((width, height), (1280, 720), "{way}");
    }
    Ok(())
}
