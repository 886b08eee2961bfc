//! Many desktops that nobody watches, and how long an account that signs in waits for its picture.

use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};
use lumen_tests::{
    accounts::Accounts,
    browser::{Browser, Page},
    hosted::{HostRig, HostSetup, SessionRig, SessionSetup},
    measured::percentile,
    patience::wait_until,
    process::{Process, descendants},
    rig::runs_as_root,
};

use crate::report::{pair, row};

const SESSIONS: usize = 100;
/// Long enough that one wake-up more or less does not matter.
const SPAN: Duration = Duration::from_secs(20);
/// Over this time desktops that still start take more than this part of a processor…
const WINDOW: Duration = Duration::from_secs(2);
const STARTING: f64 = 0.2;
/// …and no longer than this.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often signing in is tried.
const ROUNDS: usize = 5;
const PASSWORD: &str = "correct horse";
/// The page asks for name and password, and nothing is on its way.
const ASKS: &str = "!document.querySelector('#sign-in').hidden \
                    && !document.querySelector('#sign-in button[type=submit]').disabled";

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    if !runs_as_root() {
        row("idle sessions, accounts that sign in", "as root only", "");
        return Ok(());
    }
    idle()?;
    signing_in()
}

fn idle() -> Result<()> {
    // All start at once: one that looks for the host again meanwhile has two places until it is known again.
    let host = HostSetup::new().as_root().option("--sessions-total", "128").start()?;
    let start = |_| SessionSetup::new().nameless().app(["sleep", "infinity"]).launch(&host);
    let _sessions: Vec<SessionRig> = (0..SESSIONS).map(start).collect::<Result<_>>()?;
    host.wait_for_sessions(SESSIONS)?;
    // A desktop is there before its sound server and session manager have started.
    let start = Instant::now();
    while used(&processes(&host)?, WINDOW) > STARTING {
        ensure!(start.elapsed() < PATIENCE, "the desktops are still starting");
    }
    let processes = processes(&host)?;
    let used = used(&processes, SPAN);
    let memory: u64 = processes.iter().filter_map(|one| one.proportional_memory().ok()).sum();
    let each = memory as f64 / 1e6 / SESSIONS as f64;
    let figure = format!("{SESSIONS} idle sessions: CPU of a core, all processes and the host");
    row(&figure, &format!("{:.2} %", used * 100.0), "< 1 %");
    row("  memory of each, shared pages once (PSS)", &format!("{each:.1} MB"), "≤ 20 MB");
    Ok(())
}

/// The part of a processor that these take over a span of time which begins now.
fn used(processes: &[Process], span: Duration) -> f64 {
    let before: Vec<(Process, Duration)> =
        processes.iter().filter_map(|one| Some((*one, one.processor_time().ok()?))).collect();
    let began = Instant::now();
    // The span to measure, not a guess at when something is done.
    thread::sleep(span);
    // What helped only at the start is not there any more.
    let spent =
        before.iter().filter_map(|(one, before)| one.processor_time().ok()?.checked_sub(*before));
    spent.sum::<Duration>().as_secs_f64() / began.elapsed().as_secs_f64()
}

/// Lumen's processes: the host, the sessions and all that descends from them but apps.
fn processes(host: &HostRig) -> Result<Vec<Process>> {
    let status = host.status()?;
    let apps: Vec<u32> = status.sessions.iter().filter_map(|session| session.app.pid).collect();
    let tree = |pid: u32| [Process(pid)].into_iter().chain(descendants(Process(pid)));
    let sessions = status.sessions.iter().flat_map(|session| tree(session.supervisor_pid));
    let all = tree(status.supervisor_pid).chain(sessions);
    Ok(all.filter(|process| !apps.contains(&process.0)).collect())
}

fn signing_in() -> Result<()> {
    let (mut new, mut attached) = (Vec::new(), Vec::new());
    let mut machine = Accounts::new(&[("alice", 4001, PASSWORD)])?;
    machine.open()?;
    let setup = HostSetup::new().as_root().option("--auth", "password");
    let setup = setup.option("--login-socket", &machine.socket("login"));
    let host = setup.option("--session-socket", &machine.socket("session")).start()?;
    let browser = Browser::start()?;
    for _ in 0..ROUNDS {
        let page = visit(&browser, &host)?;
        new.push(first_picture(&page)?);
        page.wait_until_quiet()?;
        let other = visit(&browser, &host)?;
        attached.push(first_picture(&other)?);
        page.close()?;
        other.close()?;
        let session = host.status()?.sessions.pop().context("a session")?;
        host.lumen(&["stop", &session.id.to_string()])?;
        wait_until("the desktop has ended", || machine.running("login").is_empty())?;
    }
    for (which, times, target) in
        [("a new desktop", new, "≤ 2000 ms"), ("the desktop that runs", attached, "≤ 600 ms")]
    {
        let figure = format!("sign-in by password to first frame of {which}, p50/max");
        let measured = pair(percentile(&times, 50.0), percentile(&times, 100.0), "ms");
        row(&figure, &measured, target);
    }
    Ok(())
}

fn visit(browser: &Browser, host: &HostRig) -> Result<Page> {
    let page = browser.open(&format!("http://{}/", host.address()))?;
    wait_until("the page asks who it is", || page.evaluate(ASKS).unwrap_or(false))?;
    Ok(page)
}

/// Milliseconds from the form's submission to the first decoded frame.
fn first_picture(page: &Page) -> Result<f64> {
    let submitted: f64 = page.evaluate(&format!(
        "(document.querySelector('#sign-in-name').value = 'alice', \
          document.querySelector('#sign-in-password').value = '{PASSWORD}', \
          document.querySelector('#sign-in').requestSubmit(), \
          performance.timeOrigin + performance.now())"
    ))?;
    page.wait_for_frame_after(SystemTime::UNIX_EPOCH)?;
    Ok(page.frames()?.first().context("no frame")?.at - submitted)
}
