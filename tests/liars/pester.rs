//! Floods of the neighbours with messages that break no contract: what a liar may say, as fast as it is
//! taken.

use std::{
    io::IoSlice,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use anyhow::Result;
use lumen_ipc::{
    codec::{self, MAX_MESSAGE_BYTES, Message},
    demand::OutputDemand,
    line::Line,
    link::LinkName,
    message::{
        desktop::{self, Statement},
        frames,
        input::{self, Action, OutputPoint},
        pads::{self, PadAction, PadReport},
        signalling,
        transfer::{self, Kind, Offer, OfferId},
    },
    process::Worker,
    units::{OutputId, OutputSize, PadIndex, PeerId, Scale},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, sendmsg},
};

use crate::{
    goal::{Goal, Row},
    puppet::{End, Puppet},
    scene::Scene,
};

/// How long the flood on one link lasts.
const FLOOD: Duration = Duration::from_secs(1);

/// Floods each link on which the liar has something to say; somebody watches the other session meanwhile.
pub(crate) fn pester(scene: &Scene, puppet: &Puppet, row: &mut Row) -> Result<()> {
    let borrowed = puppet.borrow()?;
    for end in borrowed.ends() {
        let begun = Instant::now();
        let (mut number, mut said) = (0, 0);
        while let Some(message) = message(scene.part.kind(), end.link, number)? {
            number += 1;
            match send(&end, &message) {
                Ok(()) => said += 1,
                Err(Errno::EAGAIN) => wait_for_room(&end),
                // The neighbour has had enough of it.
                Err(_) => break,
            }
            if begun.elapsed() >= FLOOD {
                break;
            }
        }
        let seen = scene.other.shows_pictures();
        let link = end.link;
        println!("{link}: {said} messages, the last of them number {number}");
        for goal in [Goal::App, Goal::Session, Goal::Trust] {
            row.tried(goal, said, begun);
        }
        row.expect(Goal::Session, seen.is_ok(), || format!("a flood on {link}: {seen:?}"));
    }
    Ok(())
}

fn send(end: &End<'_>, message: &[u8]) -> Result<(), Errno> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(end.socket.as_raw_fd(), &[IoSlice::new(message)], &[], flags, None).map(drop)
}

fn wait_for_room(end: &End<'_>) {
    let mut waiting = [PollFd::new(end.socket.as_fd(), PollFlags::POLLOUT)];
    // Whatever comes of it, the flood goes on until its time is over.
    let _ = poll(&mut waiting, PollTimeout::from(50_u8));
}

/// The message of this number on a link; `None` where the worker has nothing to say that is legal at any
/// time.
fn message(worker: Worker, link: LinkName, number: u32) -> Result<Option<Vec<u8>>> {
    let peer = PeerId(u64::from(number % 64));
    let message = match (worker, link) {
        (Worker::Compositor, LinkName::Desktop) => encoded(&statement(number)?)?,
        (Worker::Media, LinkName::Frames) => {
            let demand =
                OutputDemand { watched: !number.is_multiple_of(3), size: Some(size(number)) };
            encoded(&frames::ToCompositor::DemandChanged { output: OutputId::PRIMARY, demand })?
        }
        (Worker::Rtc, LinkName::Input) => encoded(&input::ToCompositor {
            peer,
            output: OutputId::PRIMARY,
            action: action(number),
        })?,
        (Worker::Rtc, LinkName::Transfer) => {
            let offer = OfferId(number);
            encoded(&match number % 2 {
                0 => transfer::ToCompositor::Offered(Offer {
                    offer,
                    kind: Kind::Text,
                    bytes: Some(number),
                }),
                _ => transfer::ToCompositor::Withdrawn { offer: OfferId(number - 1) },
            })?
        }
        (Worker::Rtc, LinkName::Pads) => encoded(&pads::ToGamepad { peer, action: pad(number)? })?,
        (Worker::Gamepad, LinkName::Pads) => encoded(&pads::ToRtc::Rumbled {
            peer,
            pad: PadIndex::new(0)?,
            strong: u16::MAX,
            weak: u16::MAX,
            millis: u16::MAX,
        })?,
        (Worker::Gateway, LinkName::Signalling) => {
            encoded(&signalling::ToRtc::PeerGone { peer: PeerId(u64::MAX - u64::from(number)) })?
        }
        _ => return Ok(None),
    };
    Ok(Some(message))
}

fn statement(number: u32) -> Result<desktop::ToRtc> {
    let statement = match number % 2 {
        0 => Statement::OutputResized(size(number)),
        _ => Statement::TitleChanged(Line::of(&format!("title {number}"))),
    };
    Ok(desktop::ToRtc { output: OutputId::PRIMARY, statement })
}

/// Another size than the one before, small and large ones.
fn size(number: u32) -> OutputSize {
    let side = |step: u32| number.wrapping_mul(step) % 4096;
    OutputSize::nearest(side(977), side(1913), Scale::nearest(f64::from(number % 5)))
}

/// All but keys and buttons, of which none may be pressed.
fn action(number: u32) -> Action {
    let place = (number.wrapping_mul(7919) % 65_536) as u16;
    match number % 5 {
        0 => Action::PointerTo(OutputPoint { x: place, y: u16::MAX - place }),
        1 => Action::Wheel { right_v120: i16::MIN, down_v120: i16::MAX },
        2 => Action::StillHeld,
        3 => Action::PeerLeft,
        _ => Action::ReleaseAll,
    }
}

fn pad(number: u32) -> Result<PadAction> {
    let pad = PadIndex::new(u64::from(number % 4))?;
    Ok(match number % 3 {
        0 => PadAction::Plugged(pad),
        1 => PadAction::Reported(pad, PadReport { buttons: u32::MAX, ..PadReport::default() }),
        _ => PadAction::Unplugged(pad),
    })
}

fn encoded<M: Message>(message: &M) -> Result<Vec<u8>> {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    Ok(codec::encode(message, &mut buffer)?.to_vec())
}
