//! Pretence: viewers that there are not. A liar in rtc's place types, presses buttons of gamepads and copies for
//! them, one in the gateway's place introduces them to the rtc of each session.

use std::{
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use lumen_ipc::{
    codec::{self, MAX_MESSAGE_BYTES, Message},
    lease::{KEY_BYTES, LeaseId, Proof},
    link::LinkName,
    login::{Login, LoginId, Rights},
    message::{
        input::{Action, OutputPoint, PressState, ToCompositor},
        pads::{PadAction, PadReport, ToGamepad},
        signalling::{ToGateway, ToRtc},
        transfer::{self, Kind, Offer, OfferId},
    },
    process::Worker,
    text::Text,
    units::{ButtonCode, KeyCode, OutputId, PadIndex, PeerId, SessionId},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, recv, sendmsg},
};
use str0m::{
    RtcConfig,
    media::{Direction, MediaKind},
};

use crate::{
    goal::{Goal, Row},
    puppet::{Borrowed, End, Puppet},
    scene::Scene,
};

/// Numbers of viewers that were never introduced, among them small ones, which real viewers have.
const NOBODY: [u64; 6] = [0, 1, 2, 3, 0xdead, u64::MAX];
/// How long an answer is awaited that must not come.
const SILENCE: Duration = Duration::from_secs(2);

/// Pretends whatever the liar's part allows.
pub(crate) fn pretend(scene: &Scene, puppet: &Puppet, row: &mut Row) -> Result<()> {
    let borrowed = puppet.borrow()?;
    match scene.part.kind() {
        Worker::Rtc => type_for_nobody(scene, &borrowed, row),
        Worker::Gateway => introduce_nobody(scene, &borrowed, row),
        _ => Ok(()),
    }
}

fn end_of<'ends>(borrowed: &'ends Borrowed, link: LinkName) -> Result<End<'ends>> {
    let mut ends = borrowed.ends().into_iter();
    ends.find(|end| end.link == link).with_context(|| format!("the link {link}"))
}

fn say<M: Message>(socket: &OwnedFd, message: &M) -> Result<()> {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    let bytes = codec::encode(message, &mut buffer)?;
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], &[], flags, None)?;
    Ok(())
}

/// Keys and buttons of viewers that there are not. Whether the app gets any is seen at the end of the
/// play.
fn type_for_nobody(scene: &Scene, borrowed: &Borrowed, row: &mut Row) -> Result<()> {
    let begun = Instant::now();
    let input = end_of(borrowed, LinkName::Input)?;
    let (key, button) = (KeyCode::new(30)?, ButtonCode::new(0x110)?);
    let middle = OutputPoint { x: u16::MAX / 2, y: u16::MAX / 2 };
    let mut said = 0;
    for number in NOBODY {
        let pressed = |state| {
            [Action::Key { key, state, locks: None }, Action::Button { button, state, at: middle }]
        };
        let proof = Proof { lease: LeaseId(number), tag: [0; KEY_BYTES] };
        let actions = [Action::Proved(proof), Action::PointerTo(middle), Action::StillHeld]
            .into_iter()
            .chain(pressed(PressState::Pressed))
            .chain(pressed(PressState::Released))
            .chain([Action::ReleaseAll]);
        for action in actions {
            let output = OutputId::PRIMARY;
            say(input.socket, &ToCompositor { peer: PeerId(number), output, action })?;
            said += 1;
        }
    }
    // The compositor has heard all that once it has answered something else, such as this breach.
    sendmsg::<()>(
        input.socket.as_raw_fd(),
        &[IoSlice::new(&[0xff; 40])],
        &[],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    wait_for(input.socket, Instant::now() + SILENCE);
    said += play_for_nobody(borrowed)?;
    row.tried(Goal::Keys, said + 1, begun);
    let taken = copy_for_nobody(borrowed)?;
    row.expect(Goal::Keys, !taken, || "apps may paste what it copied".to_owned());
    // Pictures that the app draws later show that it has got its events.
    scene.own.session.app_log().wait_until_drawn()?;
    Ok(())
}

/// Buttons of gamepads. Whether a device shows them is a matter of gamepad's tests: there may be none here.
fn play_for_nobody(borrowed: &Borrowed) -> Result<usize> {
    let pads = end_of(borrowed, LinkName::Pads)?;
    let report = PadReport { buttons: u32::MAX, ..PadReport::default() };
    let pad = PadIndex::MIN;
    let actions = [PadAction::Plugged(pad), PadAction::Reported(pad, report), PadAction::PeerLeft];
    for number in NOBODY {
        for action in actions {
            say(pads.socket, &ToGamepad { peer: PeerId(number), action })?;
        }
    }
    Ok(NOBODY.len() * actions.len())
}

/// Offers text for apps to paste; returns whether the compositor takes it.
fn copy_for_nobody(borrowed: &Borrowed) -> Result<bool> {
    let link = end_of(borrowed, LinkName::Transfer)?;
    let offer = Offer { offer: OfferId(u32::MAX), kind: Kind::Text, bytes: Some(4) };
    say(link.socket, &transfer::ToCompositor::Offered(offer))?;
    let end = Instant::now() + SILENCE;
    while wait_for(link.socket, end) {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        let length = recv(link.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
        let bytes = buffer.get(..length).filter(|bytes| !bytes.is_empty());
        match bytes.map(|bytes| codec::decode::<transfer::ToRtc>(bytes, 0)).transpose()? {
            Some(transfer::ToRtc::Taken { offer: OfferId(u32::MAX) }) => return Ok(true),
            Some(transfer::ToRtc::Lapsed { offer: OfferId(u32::MAX) }) => return Ok(false),
            Some(_) => {}
            None => break,
        }
    }
    bail!("the compositor does not say what became of an offer")
}

/// Introduces viewers that nobody has logged in, with all rights, and makes their offers. They may watch,
/// in either session; that they may do no more is tried in rtc, where the liar cannot see it.
fn introduce_nobody(scene: &Scene, borrowed: &Borrowed, row: &mut Row) -> Result<()> {
    let offer = offer()?;
    for end in borrowed.ends() {
        let Some(session) = end.session else { continue };
        let goal = match session == scene.other.number {
            true => Goal::Session,
            false => Goal::Keys,
        };
        let begun = Instant::now();
        let peers = introduce(end.socket, session, &offer)?;
        row.tried(goal, peers, begun);
        if answered(end.socket)? && goal == Goal::Session {
            row.admit(goal, "viewers that it makes up may watch, and not type");
        }
    }
    Ok(())
}

fn introduce(socket: &OwnedFd, session: SessionId, offer: &str) -> Result<usize> {
    let logins = [LoginId::OPEN, LoginId(1), LoginId(0xdead)];
    for (number, id) in logins.into_iter().enumerate() {
        let peer = PeerId(0xdead_0000 + number as u64);
        let rights = Rights { control: true };
        let login = Login { id, session, rights, expires_in_seconds: None };
        say(socket, &ToRtc::PeerJoined { peer, login, relay: None })?;
        say(socket, &ToRtc::OfferMade { peer, sdp: Text::truncated(offer) })?;
    }
    Ok(logins.len())
}

/// Whether rtc makes an answer to one of the offers.
fn answered(socket: &OwnedFd) -> Result<bool> {
    let end = Instant::now() + SILENCE;
    while wait_for(socket, end) {
        let mut buffer = vec![0; MAX_MESSAGE_BYTES];
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
        let bytes = buffer.get(..length).filter(|bytes| !bytes.is_empty());
        match bytes.map(|bytes| codec::decode::<ToGateway>(bytes, 0)).transpose()? {
            Some(ToGateway::AnswerMade { .. }) => return Ok(true),
            Some(_) => {}
            // Rtc has closed its end.
            None => return Ok(false),
        }
    }
    Ok(false)
}

/// Waits until something can be read or the other side is gone; false at `end`.
fn wait_for(socket: &OwnedFd, end: Instant) -> bool {
    let left = end.saturating_duration_since(Instant::now());
    let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    poll(&mut waiting, limit).is_ok_and(|ready| ready > 0)
}

/// An offer as a browser makes it.
fn offer() -> Result<String> {
    str0m::crypto::from_feature_flags().install_process_default();
    let mut rtc = RtcConfig::new().clear_codecs().enable_h264(true).build(Instant::now());
    let mut change = rtc.sdp_api();
    change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    change.add_channel("input".to_owned());
    let (offer, _) = change.apply().context("an empty offer")?;
    Ok(offer.to_sdp_string())
}
