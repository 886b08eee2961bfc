//! A viewer with gamepads, which looks at no picture: `pad-player ADDRESS`, the address being the one that
//! `lumen run` prints; or one with `#login=COOKIE,KEY` instead of a token, of a browser that has signed in.
//! `pad-player ADDRESS --decode` looks at them all; `--vp8` has it take VP8 instead of H.264.
//!
//! Obeys lines of standard input:
//! - `pad N BUTTONS X Y RX RY LEFT RIGHT`: the whole state of a pad; its first one plugs it in;
//! - `unplug N`;
//! - `storm N COUNT`: plugs and unplugs a pad so often, a thousand times a second;
//! - `raw HEX`: these bytes on the pads' data channel;
//! - `input HEX`: these on the one of input;
//! - `latency NODE COUNT`: presses a button of pad 0 so often and takes the times until each press
//!   can be read from its device.
//!
//! Prints what it hears: `connected`, `available 0` or `1`, `rumble PAD STRONG WEAK MILLIS`, `picture BYTES` for
//! each with which a decoder can start, `decoded HASH` for each that it has decoded, `closed REASON`, `latency p50 … ms p95 … ms`. Like a page it comes back when it is cut off, with all pads,
//! unless it misbehaved.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "its output is what tests read")]

mod decoding;
mod device;

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    net::SocketAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lumen_ipc::{lease::PROOF_INTERVAL, message::pads::PadReport};
use lumen_tests::{
    measured::percentile,
    patience::wait_for_ok,
    viewer::{Codec, INPUT, MOTION, PADS, SignedIn, Viewer, login},
};

use self::{decoding::Decoding, device::Device};

/// How often it checks what it has received. Rare enough to leave an emulated processor to the
/// processes under test; its measurements do not depend on it.
const TICK: Duration = Duration::from_millis(50);

/// The tag of a sign of life, on the channel of motions.
const STILL_HELD: u8 = 0x0c;

/// A pad and the sequence number of its last message.
#[derive(Clone, Copy, Default)]
struct Pad {
    plugged: bool,
    state: PadReport,
    sequence: u16,
}

/// What lets it in.
enum Admission {
    /// The token of a desktop, which is exchanged for a log-in each time.
    Token(String),
    /// A log-in.
    SignedIn(SignedIn),
}

/// Where it watches what.
struct Target {
    address: SocketAddr,
    admission: Admission,
    codec: Codec,
}

struct Player {
    target: Target,
    viewer: Viewer,
    heard: usize,
    /// Pictures received.
    seen: usize,
    pads: BTreeMap<u8, Pad>,
    /// When it last said that something is held.
    stayed: Instant,
    decoding: Option<Decoding>,
}

fn main() -> Result<()> {
    let url = std::env::args().nth(1).context("usage: pad-player ADDRESS [--decode|--vp8]")?;
    let option = std::env::args().nth(2).unwrap_or_default();
    let (decodes, vp8) = (option == "--decode", option == "--vp8");
    let codec = if vp8 { Codec::Vp8 } else { Codec::H264 };
    let (address, admission) = parse(&url)?;
    let target = Target { address, admission, codec };
    let viewer = target.join()?;
    let (pads, stayed) = (BTreeMap::new(), Instant::now());
    let mut player = Player { target, viewer, heard: 0, seen: 0, pads, stayed, decoding: None };
    if decodes {
        player.decode()?;
    }
    player.run(&lines())
}

/// `http://ADDRESS/#token=TOKEN` or `http://ADDRESS/#login=COOKIE,KEY`.
fn parse(url: &str) -> Result<(SocketAddr, Admission)> {
    let rest = url.trim().strip_prefix("http://").context("an http address is expected")?;
    let (address, fragment) = rest.split_once("/#").context("the address lets nobody in")?;
    let admission = match fragment.split_once('=') {
        Some(("token", token)) => Admission::Token(token.to_owned()),
        Some(("login", halves)) => {
            let (cookie, key) = halves.split_once(',').context("half of a log-in")?;
            Admission::SignedIn(SignedIn { cookie: cookie.to_owned(), key: key.to_owned() })
        }
        _ => bail!("the address has neither a token nor a log-in"),
    };
    Ok((address.parse()?, admission))
}

impl Target {
    /// A desktop whose rtc is being restarted takes a moment.
    fn join(&self) -> Result<Viewer> {
        let viewer = wait_for_ok("the viewer is let in", || {
            let signed_in = match &self.admission {
                Admission::Token(token) => login(self.address, token)?.signed_in()?,
                Admission::SignedIn(halves) => halves.clone(),
            };
            let viewer = Viewer::watching(self.address, &signed_in, self.codec)?;
            viewer.wait_until_connected()?;
            Ok(viewer)
        })?;
        say("connected");
        Ok(viewer)
    }
}

fn lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// If the reader goes away, the closed standard input ends the player.
fn say(line: &str) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}

impl Player {
    fn run(&mut self, lines: &Receiver<String>) -> Result<()> {
        loop {
            match lines.recv_timeout(TICK) {
                Ok(line) => self.carry_out(&line)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            self.listen()?;
            self.stay()?;
        }
    }

    /// While something is held the viewer is there, also if nothing changes. The message carries a proof.
    fn stay(&mut self) -> Result<()> {
        let holds = self.pads.values().any(|pad| pad.state != PadReport::default());
        if holds && self.stayed.elapsed() >= PROOF_INTERVAL {
            self.stayed = Instant::now();
            self.viewer.send(MOTION, &[STILL_HELD])?;
        }
        Ok(())
    }

    /// What is sent just as the connection ends is lost, as it is of a page.
    fn carry_out(&mut self, line: &str) -> Result<()> {
        self.listen()?;
        let obeyed = self.obey(line).with_context(|| line.to_owned());
        if self.viewer.seen().closed.is_some() { Ok(()) } else { obeyed }
    }

    fn obey(&mut self, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["pad", pad, buttons, x, y, rx, ry, left, right] => {
                let sticks = [x.parse()?, y.parse()?, rx.parse()?, ry.parse()?];
                let triggers = [left.parse()?, right.parse()?];
                let state = PadReport { buttons: buttons.parse()?, sticks, triggers };
                self.show(pad.parse()?, state)
            }
            ["unplug", pad] => self.unplug(pad.parse()?),
            ["storm", pad, count] => self.storm(pad.parse()?, count.parse()?),
            ["input", digits] => self.viewer.send(INPUT, &unhex(digits)?),
            ["raw", digits] => self.viewer.send(PADS, &unhex(digits)?),
            ["latency", node, count] => self.latency(node, count.parse()?),
            _ => bail!("no such command"),
        }
    }

    fn show(&mut self, number: u8, state: PadReport) -> Result<()> {
        let pad = self.pads.entry(number).or_default();
        *pad = Pad { plugged: true, state, sequence: pad.sequence.wrapping_add(1) };
        self.viewer.pad(number, pad.sequence, &state)
    }

    fn unplug(&mut self, number: u8) -> Result<()> {
        let pad = self.pads.get(&number).copied().unwrap_or_default();
        // The sequence numbers continue if the pad comes back.
        let sequence = pad.sequence.wrapping_add(1);
        self.viewer.unplug_pad(number, sequence)?;
        self.pads.insert(number, Pad { sequence, ..Pad::default() });
        Ok(())
    }

    fn storm(&mut self, number: u8, count: u32) -> Result<()> {
        let start = Instant::now();
        for round in 0..count {
            let sent = self.show(number, PadReport::default()).and_then(|()| self.unplug(number));
            // The desktop may close a viewer that storms; `listen` reports why, and the viewer
            // comes back without this pad, as it would have been after the storm.
            if sent.is_err() {
                self.pads.remove(&number);
                return Ok(());
            }
            let due = start + Duration::from_millis(round.into());
            while Instant::now() < due {
                std::thread::yield_now();
            }
        }
        say("stormed");
        Ok(())
    }

    fn latency(&mut self, node: &str, count: usize) -> Result<()> {
        let mut device = Device::open(node)?;
        let mut times = Vec::new();
        for round in 0..2 * count {
            let pressed = round % 2 == 0;
            let began = Instant::now();
            self.show(0, PadReport { buttons: pressed.into(), ..PadReport::default() })?;
            device.wait_for_south(pressed)?;
            if pressed {
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
        }
        let [p50, p95] = [50.0, 95.0].map(|percent| percentile(&times, percent).unwrap_or(0.0));
        say(&format!("latency p50 {p50:.2} ms p95 {p95:.2} ms"));
        Ok(())
    }

    fn listen(&mut self) -> Result<()> {
        let (messages, frames, closed) = {
            let seen = self.viewer.seen();
            let messages = seen.messages.get(self.heard..).unwrap_or_default().to_vec();
            let frames = seen.frames.get(self.seen..).unwrap_or_default().to_vec();
            (messages, frames, seen.closed.clone())
        };
        (self.heard, self.seen) = (self.heard + messages.len(), self.seen + frames.len());
        for frame in frames.iter().filter(|frame| frame.keyframe) {
            say(&format!("picture {}", frame.bytes));
        }
        self.look();
        for message in messages {
            match message[..] {
                [0x87, available] => say(&format!("available {available}")),
                [0x88, pad, s1, s0, w1, w0, m1, m0] => {
                    let [strong, weak, millis] =
                        [[s1, s0], [w1, w0], [m1, m0]].map(u16::from_be_bytes);
                    say(&format!("rumble {pad} {strong} {weak} {millis}"));
                }
                _ => {}
            }
        }
        match closed {
            Some(reason) => self.come_back(&reason),
            None => Ok(()),
        }
    }

    /// Keeps what comes from now on.
    fn decode(&mut self) -> Result<()> {
        self.viewer.seen().kept = Some(Vec::new());
        self.decoding = Some(Decoding::new()?);
        Ok(())
    }

    fn look(&mut self) {
        let Some(decoding) = &mut self.decoding else { return };
        let units = self.viewer.seen().kept.as_mut().map(std::mem::take).unwrap_or_default();
        for hash in units.iter().filter_map(|unit| decoding.decode(unit)) {
            say(&format!("decoded {hash:016x}"));
        }
    }

    fn come_back(&mut self, reason: &str) -> Result<()> {
        say(&format!("closed {reason}"));
        ensure!(!reason.contains("the page sent"), "thrown out for good");
        self.viewer = self.target.join()?;
        (self.heard, self.seen) = (0, 0);
        if self.decoding.is_some() {
            self.decode()?;
        }
        let plugged = self.pads.iter().filter(|(_, pad)| pad.plugged);
        let states: Vec<_> = plugged.map(|(number, pad)| (*number, pad.state)).collect();
        states.into_iter().try_for_each(|(number, state)| self.show(number, state))
    }
}

fn unhex(digits: &str) -> Result<Vec<u8>> {
    let byte = |at: usize| -> Result<u8> {
        let digits = digits.get(at..at + 2).context("an odd digit")?;
        Ok(u8::from_str_radix(digits, 16)?)
    };
    (0..digits.len()).step_by(2).map(byte).collect()
}
