//! A compositor between an app and other workers: media that takes what it draws, and rtc, which passes on what a
//! viewer does.

use std::{os::unix::net::UnixStream, time::Duration};

use lumen_compositor::shell::{Compositor, Shell};
use lumen_ipc::{
    codec::{self, Message},
    demand::OutputDemand,
    link::{Generation, LinkName},
    message::{
        desktop,
        frames::{self, FrameReleased, ToMedia},
        grants::ToWorker,
        input::{self, Action, OutputPoint, PressState},
        transfer::{self, ClipboardPolicy},
    },
    service::{CompositorConfig, Keymap},
    units::{ButtonCode, Fps, FrameSize, OutputId, PeerId},
};
use lumen_ipc_runtime::{bootstrap::Grant, channel::Channel, link_end::Reports};

use super::page;

/// The viewer who has proved to be there.
const VIEWER: PeerId = PeerId(1);

/// See the page.
pub(crate) struct Scene {
    shell: Shell,
    media: Channel<ToMedia, frames::ToCompositor>,
    input: Channel<input::ToRtc, input::ToCompositor>,
    transfer: Channel<transfer::ToRtc, transfer::ToCompositor>,
    desktop: Channel<desktop::ToRtc, desktop::ToCompositor>,
}

impl Scene {
    /// An empty desktop that somebody watches who may type.
    pub(crate) fn new() -> Self {
        let config = CompositorConfig {
            size: FrameSize::nearest(160, 120),
            max_fps: Fps::MAX,
            keymap: Keymap::default(),
            clipboard: ClipboardPolicy::Both,
        };
        let compositor = Compositor::new(&config).expect("a desktop");
        let mut shell = Shell::new(compositor).expect("a shell");
        let lease = page::lease(VIEWER);
        shell.compositor().set_leases(&[lease]);
        let media = attach(&mut shell, LinkName::Frames);
        let input = attach(&mut shell, LinkName::Input);
        let transfer = attach(&mut shell, LinkName::Transfer);
        let desktop = attach(&mut shell, LinkName::Desktop);
        let mut scene = Self { shell, media, input, transfer, desktop };
        let (output, demand) = (OutputId::PRIMARY, OutputDemand { watched: true, size: None });
        let wanted = frames::ToCompositor::DemandChanged { output, demand };
        scene.media.send(&wanted, &[]).expect("room");
        let action = Action::Proved(page::answer(&lease, lease.challenge));
        scene.input.send(&input::ToCompositor { peer: VIEWER, output, action }, &[]).expect("room");
        scene.turn();
        scene
    }

    /// The app's end of a connection.
    pub(crate) fn connect(&mut self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        self.shell.compositor().accept(theirs);
        ours
    }

    /// A message of rtc or of media, or media's word that all frames have been read.
    pub(crate) fn command(&mut self, kind: u8, content: &[u8]) {
        match kind % 4 {
            0 => say(&mut self.shell, &mut self.input, content),
            1 => say(&mut self.shell, &mut self.media, content),
            2 => say(&mut self.shell, &mut self.transfer, content),
            _ => self.release(),
        }
    }

    /// The viewer presses a button and releases it.
    pub(crate) fn click(&mut self) {
        self.turn();
        let (button, at) = (ButtonCode::new(0x110).expect("a button"), OutputPoint { x: 0, y: 0 });
        for state in [PressState::Pressed, PressState::Released] {
            let (output, action) = (OutputId::PRIMARY, Action::Button { button, state, at });
            // The link has gone if a message before was not allowed.
            let _ = self.input.send(&input::ToCompositor { peer: VIEWER, output, action }, &[]);
        }
        self.turn();
    }

    fn release(&self) {
        while let Ok(received) = self.media.receive() {
            let ToMedia::FrameReady(frame) = received.message else { continue };
            let released = FrameReleased { output: frame.output, sequence: frame.sequence };
            let _ = self.media.send(&frames::ToCompositor::FrameReleased(released), &[]);
        }
    }

    /// Turns the loop until nothing waits in it. What rtc is told is read.
    pub(crate) fn turn(&mut self) {
        for _ in 0..2 {
            self.shell.turn(Some(Duration::ZERO)).expect("the loop turns");
        }
        while self.input.receive().is_ok() || self.desktop.receive().is_ok() {}
        while self.transfer.receive().is_ok() {}
    }
}

fn attach<In: Message, Out: Message>(shell: &mut Shell, link: LinkName) -> Channel<In, Out> {
    let (ours, theirs) = Channel::pair().expect("sockets");
    let what = ToWorker::LinkEnd { link, generation: Generation(1) };
    let descriptor = theirs.into_descriptor();
    shell.grant(Grant { what, descriptor, reports: Reports::default() }).expect("a link end");
    ours
}

/// Sends a message, if the bytes are one; over another link if the compositor has closed the one before.
fn say<In: Message, Out: Message>(shell: &mut Shell, link: &mut Channel<In, Out>, content: &[u8]) {
    let Ok(message) = codec::decode::<Out>(content, 0) else { return };
    if link.send(&message, &[]).is_err() {
        *link = attach(shell, Out::LINK);
    }
}
