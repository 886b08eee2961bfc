//! A connected viewer and the workers behind rtc, who say whatever they like in whatever order.

use std::sync::Arc;

use lumen_ipc::{
    codec::{self, Message},
    message::{desktop, packets::FrameStamps, pads, signalling, sound, transfer},
    units::PeerId,
    video::VideoFormat,
};
use lumen_ipc_runtime::clock::Anchor;
use lumen_rtc::{
    peer::{encode::DesktopState, media::VideoFrame},
    sound::SoundClock,
};

use super::connection::Connection;

struct Session {
    connection: Connection,
    frames: u64,
    sound: SoundClock,
    anchor: Anchor,
}

/// Commands: a byte of kind, one of length, and the content.
pub(crate) fn session(bytes: &[u8]) {
    let (connection, sound) = (Connection::listening(), SoundClock::default());
    Session { connection, frames: 0, sound, anchor: Anchor::new() }.follow(bytes);
}

impl Session {
    fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((&[kind, length], rest)) = bytes.split_first_chunk::<2>() {
            let (content, rest) = rest.split_at(usize::from(length).min(rest.len()));
            bytes = rest;
            self.command(kind % 16, content);
            self.connection.turn();
            if !self.connection.is_open() {
                return;
            }
        }
        // The last words arrive, too.
        self.connection.turn();
    }

    fn command(&mut self, kind: u8, content: &[u8]) {
        let (now, peers) = (self.connection.now, &mut self.connection.peers);
        match kind {
            0..=4 => self.send(kind, content),
            5 => self.connection.wait(content),
            6 => drop(read::<transfer::ToRtc>(content).map(|said| peers.transfer(now, said))),
            7 => drop(read::<pads::ToRtc>(content).map(|said| peers.pads_said(now, said))),
            8 => drop(read::<desktop::ToRtc>(content).map(|said| peers.desktop(now, &said))),
            9 => drop(read::<signalling::ToRtc>(content).map(|said| peers.signalling(now, said))),
            10 => self.show(content),
            11 => self.connection.deliver(content),
            12 => self.ask_for_keyframe(),
            13 => peers.transfer_lost(now),
            14 => peers.desktop_state(now, DesktopState::CompositorRestarting),
            _ => match read::<sound::ToRtc>(content) {
                Some(message) => peers.sound(now, &self.sound.frame(message, &self.anchor)),
                None => peers.overflowed(now, PeerId(content.first().copied().unwrap_or(0).into())),
            },
        }
    }

    /// A message of the viewer on one of its channels; the last kind is text where bytes are expected.
    fn send(&mut self, kind: u8, content: &[u8]) {
        let viewer = &mut self.connection.viewer;
        let channels = [viewer.input, viewer.motion, viewer.pads, viewer.transfer, viewer.input];
        let channel = channels[usize::from(kind)];
        if let Some(mut channel) = viewer.rtc.channel(channel) {
            let _ = channel.write(kind != 4, content);
        }
    }

    fn show(&mut self, content: &[u8]) {
        self.frames += 1;
        let frame = VideoFrame {
            data: Arc::from(content),
            format: VideoFormat::H264ConstrainedBaseline,
            keyframe: content.first().is_some_and(|byte| byte % 2 == 1),
            rtp_ticks: self.frames * 3000,
            captured: self.connection.now,
            stamps: FrameStamps::default(),
        };
        self.connection.peers.video(self.connection.now, &frame);
    }

    fn ask_for_keyframe(&mut self) {
        let viewer = &mut self.connection.viewer;
        let mid = viewer.mid.expect("a video section");
        let mut direct = viewer.rtc.direct_api();
        if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(str0m::media::KeyframeRequestKind::Pli);
        }
    }
}

/// A message of another worker, if the bytes are one that has no descriptors.
fn read<M: Message>(bytes: &[u8]) -> Option<M> {
    codec::decode::<M>(bytes, 0).ok()
}
