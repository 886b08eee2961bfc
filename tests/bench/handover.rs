//! The hand-over of a frame from compositor to media: the real channel and message between two
//! threads, with one byte over a bare socketpair as the floor. [`copies`] measures what the real
//! processes copy.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use lumen_ipc::{
    codec::{MAX_MESSAGE_BYTES, encode},
    message::frames::{Damage, FrameReady, Picture, ToCompositor, ToMedia},
    units::{FrameSequence, FrameSize, MonotonicMicros, OutputId, SlotIndex},
};
use lumen_ipc_runtime::{
    channel::{Channel, ReceiveError},
    clock,
};
use lumen_tests::measured::percentile;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{
    copies,
    report::{pair, row},
};

/// Enough that ten values are above the 99th percentile.
const FRAMES: usize = 1000;
/// Time between two frames: the receiver sleeps in between, as media does.
const PACE: Duration = Duration::from_millis(2);

/// Prints the figures of this part.
pub(crate) fn run() -> Result<()> {
    let floor = floor()?;
    let channel = through_channel()?;
    let shown = |times: &[f64]| pair(percentile(times, 50.0), percentile(times, 99.0), "µs");
    row("hand-over to a sleeping thread, bare socket, p50/p99", &shown(&floor), "(floor)");
    row("hand-over compositor→media, FrameReady, p50/p99", &shown(&channel), "p99 < 100 µs");
    let (channel, floor) = (percentile(&channel, 50.0), percentile(&floor, 50.0));
    let ratio = channel.zip(floor).map_or(f64::NAN, |(channel, floor)| channel / floor);
    row("hand-over, p50 over its floor", &format!("{ratio:.2} x"), "");
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    let bytes = encode(&frame(0)?, &mut buffer)?.len();
    row("bytes of the message that hands over a frame", &bytes.to_string(), "");
    copies::run()
}

fn frame(sequence: u64) -> Result<ToMedia> {
    Ok(ToMedia::FrameReady(FrameReady {
        output: OutputId::PRIMARY,
        picture: Picture::Drawn(SlotIndex::new(0)?),
        sequence: FrameSequence(sequence),
        damage: Damage::full(FrameSize::new(1920, 1080)?),
        committed: clock::now(),
        rendered: clock::now(),
    }))
}

fn wait(source: impl AsFd) -> Result<()> {
    poll(&mut [PollFd::new(source.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
    Ok(())
}

fn elapsed(since: MonotonicMicros) -> f64 {
    clock::now().since(since) as f64
}

fn through_channel() -> Result<Vec<f64>> {
    let (media, compositor) = Channel::<ToMedia, ToCompositor>::pair()?;
    let receiver = thread::spawn(move || -> Result<Vec<f64>> {
        let mut times = Vec::new();
        while times.len() < FRAMES {
            wait(&media)?;
            match media.receive() {
                Ok(received) => {
                    if let ToMedia::FrameReady(frame) = received.message {
                        times.push(elapsed(frame.rendered));
                    }
                }
                Err(ReceiveError::Empty) => {}
                Err(error) => return Err(error).context("receiving a frame"),
            }
        }
        Ok(times)
    });
    for sequence in 0..FRAMES {
        thread::sleep(PACE);
        compositor.send(&frame(sequence as u64)?, &[])?;
    }
    receiver.join().ok().context("the receiver panicked")?
}

fn floor() -> Result<Vec<f64>> {
    let (receiving, sending) = UnixDatagram::pair()?;
    receiving.set_nonblocking(true)?;
    let receiver = thread::spawn(move || -> Result<Vec<f64>> {
        let mut times = Vec::new();
        let mut stamp = [0; 8];
        while times.len() < FRAMES {
            wait(&receiving)?;
            match receiving.recv(&mut stamp) {
                Ok(_) => times.push(elapsed(MonotonicMicros(u64::from_ne_bytes(stamp)))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(times)
    });
    for _ in 0..FRAMES {
        thread::sleep(PACE);
        sending.send(&clock::now().0.to_ne_bytes())?;
    }
    drop(OwnedFd::from(sending));
    receiver.join().ok().context("the receiver panicked")?
}
