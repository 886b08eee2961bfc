//! An honest viewer's pictures beside each attack of a stranger, and beside a hostile browser.
//!
//! A native viewer watches an app that scrolls at a fixed rate. Quiet spans alternate with attacks in one
//! run, and with work on this machine that takes as much of a processor as the attacker itself, which in the
//! world has a machine of its own. So the ratios of these rates hold on a busy machine, too, and the more so where
//! root runs the tests: then all that is measured goes before the machine's other work (`priority`). Each attack also says how long a new
//! viewer takes to its first picture, what the workers that strangers reach use of a processor, and how many
//! lines the log grows by.
//!
//! # Rates
//! Attackers keep to rates that are far above what one stranger's line carries, and that do not use up this
//! machine by themselves: then the attacker's own system calls would be measured. All traffic is on loopback.
//!
//! # Length
//! Each attack is measured for five seconds in five rounds, whose medians are compared. `LUMEN_TEST_SIEGE` sets
//! another number; `make siege` uses 20.
//!
//! # Proof
//! Each attack knows what it is to be answered, if anything. One that is answered otherwise does not attack what
//! its name says, and has not been withstood.

#![forbid(unsafe_code)]

mod attack;
mod browsers;
mod datagrams;
mod meter;
mod priority;
mod sockets;
mod stun;
mod work;

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    nginx::{Nginx, documented},
    relay,
    rig::{Rig, Setup},
    viewer::Viewer,
};

use attack::{Attack, Target};
use meter::Meter;

/// The app's and the desktop's rate: one that a busy machine keeps, too. Below it the machine would be
/// measured, and not the attack.
const FPS: u32 = 15;

fn desktop() -> Setup {
    let setup = Setup::new().show(lumen_tests::app::Show::Scroll, FPS);
    setup.option("--size", "640x360").option("--resize", "fixed").option("--fps", &FPS.to_string())
}

/// Where the relay takes datagrams.
fn relay_port(rig: &Rig) -> Result<u16> {
    rig.ready_worker(Worker::Turn)?;
    Ok(relay::address_of(&rig.status()?)?.port())
}

/// The media socket's port, as the answer to a viewer names it.
fn media_port(viewer: &Viewer) -> Result<u16> {
    viewer.wait_for_frame(0)?;
    let answer = viewer.seen().answer.clone();
    let direct = |line: &&str| line.starts_with("a=candidate:") && line.contains(" typ host");
    let port = answer.lines().find(direct).and_then(|line| line.split(' ').nth(5)?.parse().ok());
    port.with_context(|| format!("no candidate in {answer}"))
}

fn withstands(meter: &Meter<'_>, attacks: &[Attack]) -> Result<()> {
    let fallen: Vec<String> = attacks
        .iter()
        .map(|attack| meter.measure(attack))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    ensure!(fallen.is_empty(), "{}", fallen.join("\n"));
    Ok(())
}

/// No attack may cost a worker.
fn nobody_was_restarted(rig: &Rig) -> Result<()> {
    for process in rig.status()?.processes() {
        let (worker, restarts) = (process.process.kind(), process.restarts);
        ensure!(restarts == 0, "{worker} was started anew {restarts} times: {}", rig.said());
    }
    Ok(())
}

/// The sum of what the log says was held back of `worker`'s lines.
fn held_back(rig: &Rig, worker: Worker) -> Result<u64> {
    let output = rig.lumen(&["logs", worker.name()])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |line: &str| {
        let (before, _) = line.split_once(" lines of this kind were held back")?;
        before.rsplit(' ').next()?.parse::<u64>().ok()
    };
    let suppressed = |line: &str| {
        let after = line.split_once("suppressed=")?.1;
        after.split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    Ok(said.lines().filter_map(|line| count(line).or_else(|| suppressed(line))).sum())
}

#[test]
fn honest_viewer_keeps_its_frame_rate_beside_each_attack_of_a_stranger() -> Result<()> {
    let rig = priority::start(desktop().option("--relay-port", "0"))?;
    let target = |viewer: &Viewer| -> Result<Target> {
        let door = rig.address();
        let at = |port| (door.ip(), port).into();
        let (media, relay) = (at(media_port(viewer)?), at(relay_port(&rig)?));
        Ok(Target { door, media, relay, token: rig.token().to_owned() })
    };
    let meter = Meter::start(&rig, rig.address(), target)?;
    let attacks = [datagrams::attacks(), sockets::attacks(), browsers::attacks()].concat();
    withstands(&meter, &attacks)?;
    nobody_was_restarted(&rig)?;
    // What strangers had logged was counted and held back.
    ensure!(held_back(&rig, Worker::Gateway)? > 100, "{}", rig.said());
    Ok(())
}

#[test]
fn honest_viewer_behind_a_trusted_proxy_keeps_its_frame_rate_beside_strangers() -> Result<()> {
    let setup = desktop().option("--relay", "off").option("--udp-listen", "127.0.0.1");
    let rig = priority::start(setup.option("--trusted-proxy", "127.0.0.1"))?;
    let nginx = Nginx::start(&documented(&format!("http://{}", rig.address()))?)?;
    let target = |_: &Viewer| -> Result<Target> {
        let door = rig.address();
        Ok(Target { door, media: door, relay: door, token: rig.token().to_owned() })
    };
    let proxy = nginx.origin();
    let proxy = proxy.strip_prefix("http://").context("no TLS")?.parse()?;
    let meter = Meter::start(&rig, proxy, target)?;
    withstands(&meter, &sockets::attacks_through_a_proxy())?;
    nobody_was_restarted(&rig)
}
